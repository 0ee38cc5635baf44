"""Cross-entropy of the exponentially weighted read-out: early evidence counts more."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, IntegralLoss


@dataclass(frozen=True)
class XentExp(IntegralLoss):
    """ω = e^(−t/T)/T."""

    logit_scale: float = 1.0

    def omega(self, t: Floats, end: float) -> Floats:
        return np.exp(-t / end) / end
