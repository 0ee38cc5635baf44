"""What a run costs: terms, totals, residuals against published rows."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from typing import Any, Literal

Basis = Literal["assumed", "fitted", "published", "measured"]
Scope = Literal["board", "chip", "chip-dynamic", "attributed", "host"]
Per = Literal["sample", "batch", "training-sample"]


@dataclass(frozen=True, slots=True, kw_only=True)
class Term:
    """One term of a cost: ``value`` = quantity · coefficient, in ``unit`` ("J" or "s").

    ``value`` None means unknown, which is never the same as 0. ``kind`` is ``static`` where the
    quantity is time, ``dynamic`` where it is a count.
    """

    name: str
    kind: Literal["static", "dynamic"]
    quantity: float | None
    quantity_unit: str
    # as the device's file or the scenario names it, at its central value in SI units; None where no single
    # one multiplies the quantity (``note`` says why)
    coefficient: str | None
    value: float | None
    low: float | None
    high: float | None
    unit: Literal["J", "s"]
    basis: Basis
    source: str
    note: str = ""


@dataclass(frozen=True, slots=True, kw_only=True)
class Total:
    """A sum with its interval [low, high], in ``unit``, per ``per``; basis of the terms that matter."""

    value: float
    low: float
    high: float
    unit: Literal["J", "s"]
    basis: Basis
    source: str
    per: Per


@dataclass(frozen=True, slots=True, kw_only=True)
class Residual:
    """The model against one published row: ``error_pct`` = model/published − 1 in percent.

    ``published`` is [low, high]; the error is taken against its middle. ``role``: calibration (used
    to set a number), consistency (seen before a choice), validation (untouched).
    """

    row: str
    quantity: str
    published: tuple[float, float]
    unit: str
    model: float
    error_pct: float
    role: Literal["calibration", "consistency", "validation"]
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Band:
    """How far a fitted model was from a published row that its fit had not seen: at most ±``error_pct``."""

    quantity: str
    error_pct: float
    basis: Basis
    source: str


@dataclass(frozen=True, slots=True, kw_only=True)
class Cost:
    """Energy and latency of one run. ``energy`` is None where no basis for a figure exists.

    scope: what the energy covers; scenario: the choices it stands on, by name;
    batch: samples per batch; ticks: time steps executed per sample; tick_s: seconds per tick;
    extrapolated: outside the range of the rows that the model was fitted to. overruns: work that did not
    fit its tick, a sentence each; results are computed as if it had. bands: of the fits behind the model,
    by quantity.
    """

    target: str
    energy: Total | None
    latency: Total
    energy_terms: tuple[Term, ...]
    latency_terms: tuple[Term, ...]
    scope: Scope
    batch: int
    ticks: int
    tick_s: float
    scenario: Mapping[str, Any] = field(default_factory=dict)
    extrapolated: bool = False
    residuals: tuple[Residual, ...] = ()
    notes: tuple[str, ...] = ()
    overruns: tuple[str, ...] = ()
    bands: tuple[Band, ...] = ()

    @property
    def static_share(self) -> float | None:
        """Share of the energy that is static, 0 to 1; None where the energy is unknown."""
        if self.energy is None or self.energy.value == 0:
            return None
        return sum(t.value or 0.0 for t in self.energy_terms if t.kind == "static") / self.energy.value

    def edp(self) -> dict[str, float] | None:
        """Energy-delay products in J·s: with the latency of the batch, and with latency/batch."""
        if self.energy is None:
            return None
        per_batch = self.latency.value * (self.batch if self.latency.per == "sample" else 1)
        return {
            "edp_batch_latency_js": self.energy.value * per_batch,
            "edp_amortised_js": self.energy.value * per_batch / self.batch,
        }

    def as_dict(self) -> dict[str, Any]:
        """The cost as JSON: schema ``nirbridge.cost/1``."""
        data = asdict(self)
        data["scenario"] = dict(self.scenario)
        return {"schema": "nirbridge.cost/1", **data, "static_share": self.static_share, "edp": self.edp()}
