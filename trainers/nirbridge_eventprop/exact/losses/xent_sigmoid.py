"""Cross-entropy of the read-out weighted by a falling sigmoid."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, IntegralLoss


@dataclass(frozen=True)
class XentSigmoid(IntegralLoss):
    """ω = 1/(T·(1 + e^((t/T − 0.5)/0.2)))."""

    logit_scale: float = 1.0

    def omega(self, t: Floats, end: float) -> Floats:
        return 1.0 / (end * (1.0 + np.exp((t / end - 0.5) / 0.2)))
