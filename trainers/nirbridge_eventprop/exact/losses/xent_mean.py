"""Cross-entropy of the time-averaged read-out."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, IntegralLoss


@dataclass(frozen=True)
class XentMean(IntegralLoss):
    """ω = 1/T."""

    logit_scale: float = 1.0

    def omega(self, t: Floats, end: float) -> Floats:
        return np.full(len(t), 1.0 / end)
