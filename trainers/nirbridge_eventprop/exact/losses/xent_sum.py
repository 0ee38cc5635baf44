"""Cross-entropy of the summed read-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, IntegralLoss


@dataclass(frozen=True)
class XentSum(IntegralLoss):
    """ω = 1/t_unit."""

    t_unit: float = 1e-3
    logit_scale: float = 1.0

    def omega(self, t: Floats, end: float) -> Floats:
        return np.full(len(t), 1.0 / self.t_unit)
