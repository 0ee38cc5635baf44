"""Squared distance of the membrane from a trace, averaged over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, MembraneLoss


@dataclass(frozen=True, eq=False)
class MseTrace(MembraneLoss):
    """½·(1/T)·∫ Σ(V − Y)² dt with Y = target (bins, n), constant in each of the equal bins of [0, T]."""

    target: Floats

    def edges(self, end: float) -> Floats:
        return np.arange(1, len(self.target), dtype=np.float64) * (end / len(self.target))

    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        bins = len(self.target)
        error = v - self.target[np.minimum((t / end * bins).astype(np.int64), bins - 1)]
        share = weight / end
        value = 0.5 * float(share @ (error * error).sum(axis=1))
        return value, np.full(v.shape[1], np.nan), share[:, None] * error
