"""What comparing two runs or two graphs gives: plain values that JSON can hold."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Agreement:
    """Spikes of one node against the first target's, aligned: a cell is (sample, step, neuron).

    matched: in both; missing: only in the first target; extra: only in this one.
    """

    node: str
    matched: int
    missing: int
    extra: int

    @property
    def share(self) -> float:
        """matched / (matched + missing + extra), 1 where nobody spikes."""
        total = self.matched + self.missing + self.extra
        return self.matched / total if total else 1.0


@dataclass(frozen=True, slots=True, kw_only=True)
class Divergence:
    """The first spike that differs: of the first sample that differs, the earliest step, in execution order.

    step counts model steps with the target's lag removed. v: membrane before the spike test where it is
    known (traces hold it after reset: a side that spiked and has v < 1 shows that), in units of the threshold
    (V/θ); ``spiked`` says who spiked: "first" (missing here) or "second" (extra here).
    """

    sample: int
    step: int
    node: str
    neuron: int
    spiked: str
    v_first: float | None = None
    v_second: float | None = None
    input_first: float | None = None
    input_second: float | None = None

    def __str__(self) -> str:
        return f"{self.node}[{self.neuron}] step {self.step}"


@dataclass(frozen=True, slots=True, kw_only=True)
class PairedChange:
    """Accuracy of this target against the first one on the same samples (McNemar's table).

    change: correct here minus correct there; gained, lost: samples that turned right, wrong;
    se: standard error of ``change`` in samples, sqrt(gained + lost).
    """

    n: int
    change: int
    gained: int
    lost: int
    se: float


@dataclass(frozen=True, slots=True, kw_only=True)
class Versus:
    """How one run differs from another: per node, over all nodes, and where first."""

    agreement: tuple[Agreement, ...] = ()
    spikes_agree: float | None = None
    first_difference: Divergence | None = None
    change: PairedChange | None = None
    same_predictions: float | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class PassResult:
    """A pass as it was applied: what it changed, its law, and what was measured of it."""

    name: str
    options: dict[str, Any]
    changed: str
    law: str
    result: str


@dataclass(frozen=True, slots=True, kw_only=True)
class WeightHistogram:
    """A weight node before and after a target's passes on one axis: counts per bin.

    before is rescaled to the unit of after, so that both can be laid over each other.
    """

    node: str
    target: str
    edges: list[float]
    before: list[int]
    after: list[int]
    scale: float | None
    clipped_share: float


@dataclass(frozen=True, slots=True, kw_only=True)
class QuantizedScale:
    """One scale of a quantisation, and the weights that share it before and after.

    nodes: weight nodes, joined by the scale; channel: output of the one node, None where the scale is of
    whole arrays. bits: of the integers. count: weights. clipped_share: that err by more than
    half a scale; zero_share: that are 0 afterwards. sqnr_db: 10·log10(Σw²/Σ(w−ŵ)²), None where
    nothing differs. edges: of equal bins over both; before, after: counts per bin.
    """

    nodes: tuple[str, ...]
    channel: int | None
    bits: int
    scale: float
    count: int
    clipped_share: float
    zero_share: float
    sqnr_db: float | None
    edges: tuple[float, ...]
    before: tuple[int, ...]
    after: tuple[int, ...]
