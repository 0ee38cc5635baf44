"""Cross-entropy of the linearly weighted read-out."""

from __future__ import annotations

from dataclasses import dataclass

from nirbridge_eventprop.exact.losses.kinds import Floats, IntegralLoss


@dataclass(frozen=True)
class XentLinear(IntegralLoss):
    """ω = (1 − t/T)/T."""

    logit_scale: float = 1.0

    def omega(self, t: Floats, end: float) -> Floats:
        return (1.0 - t / end) / end
