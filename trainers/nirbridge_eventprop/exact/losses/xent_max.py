"""Cross-entropy of the largest membrane over time."""

from __future__ import annotations

from dataclasses import dataclass

from nirbridge_eventprop.exact.losses.kinds import Floats, MaximumLoss, cross_entropy


@dataclass(frozen=True)
class XentMax(MaximumLoss):
    """z = logit_scale·max_t V; V(0) = 0 counts."""

    logit_scale: float = 1.0

    def at_maximum(self, top: Floats, label: int) -> tuple[float, Floats, Floats]:
        z = self.logit_scale * top
        value, error = cross_entropy(z, label)
        return value, z, self.logit_scale * error
