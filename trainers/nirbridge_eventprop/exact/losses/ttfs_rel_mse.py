"""Squared distance of the other outputs' first spikes from a lag behind the label's."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import FirstSpikeLoss, Floats


@dataclass(frozen=True)
class TtfsRelMse(FirstSpikeLoss):
    """½·Σ_{n≠y}((t_n − t_y − Δ)/t_scale)², Δ = delta and t_scale in s; rectify: later outputs are free."""

    delta: float
    t_scale: float
    rectify: bool = True

    def at_first_spike(self, t: Floats, label: int, end: float) -> tuple[float, Floats]:
        error = (t - t[label] - self.delta) / self.t_scale
        if self.rectify:
            error = np.minimum(error, 0.0)
        error[label] = 0.0
        slope = error / self.t_scale
        slope[label] = -slope.sum()
        return 0.5 * float(error @ error), slope
