"""The model against a published figure of a coefficients file."""

from __future__ import annotations

from nirbridge.cost.coefficients import Check, Coefficients
from nirbridge.cost.types import Residual


def residual(data: Coefficients, check: Check, model: float) -> Residual:
    """``model`` (in the check's unit) against a check: model/middle of the published range − 1."""
    return Residual(
        row=check.id,
        quantity=str(check.quantity),
        published=check.published,
        unit=check.unit,
        model=model,
        error_pct=100 * (model / (sum(check.published) / 2) - 1),
        role=check.role,
        source=data.sources[str(check.source)].cite,
    )
