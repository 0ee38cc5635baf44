"""Cross-entropy of first spike times: the earliest output wins, and the right one should be early."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import FirstSpikeLoss, Floats, cross_entropy


@dataclass(frozen=True)
class TtfsXent(FirstSpikeLoss):
    """z = −t/τ0, plus a penalty on the label's t: α·(e^(t/τ1) − 1) (``exp``) or α/(1.01·T − t) (``inverse``).

    tau0, tau1 [s]; alpha has no unit with ``exp`` and is in s with ``inverse``.
    """

    tau0: float = 0.5e-3
    tau1: float = 6.4e-3
    alpha: float = 3e-3
    penalty: Literal["exp", "inverse"] = "exp"

    def at_first_spike(self, t: Floats, label: int, end: float) -> tuple[float, Floats]:
        value, error = cross_entropy(-t / self.tau0, label)
        slope = -error / self.tau0
        if self.penalty == "exp":
            value += self.alpha * float(np.expm1(t[label] / self.tau1))
            slope[label] += self.alpha / self.tau1 * np.exp(t[label] / self.tau1)
        else:
            left = 1.01 * end - t[label]
            value += self.alpha / float(left)
            slope[label] += self.alpha / left**2
        return value, slope
