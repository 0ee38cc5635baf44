"""Squared distance of first spike times from target times."""

from __future__ import annotations

from dataclasses import dataclass

from nirbridge_eventprop.exact.losses.kinds import FirstSpikeLoss, Floats


@dataclass(frozen=True, eq=False)
class TtfsMse(FirstSpikeLoss):
    """½·Σ((t − t*)/t_scale)² with t* = target[label], target (classes, n) and t_scale in s."""

    target: Floats
    t_scale: float

    def at_first_spike(self, t: Floats, label: int, end: float) -> tuple[float, Floats]:
        error = (t - self.target[label]) / self.t_scale
        return 0.5 * float(error @ error), error / self.t_scale
