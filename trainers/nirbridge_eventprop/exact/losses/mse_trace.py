"""Squared distance of the membrane from a trace, averaged over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, MembraneLoss


@dataclass(frozen=True, eq=False)
class MseTrace(MembraneLoss):
    """½·(1/T)·∫ Σ(V − Y)² dt with Y constant in each of the equal bins of [0, T].

    target (bins, n), or (classes, bins, n) where Y is that of the label.
    """

    target: Floats

    def edges(self, end: float) -> Floats:
        bins = self.target.shape[-2]
        return np.asarray(np.arange(1, bins, dtype=np.float64) * (end / bins))

    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        target = self.target if self.target.ndim == 2 else self.target[label]
        bins = len(target)
        error = v - target[np.minimum((t / end * bins).astype(np.int64), bins - 1)]
        share = weight / end
        value = 0.5 * float(share @ (error * error).sum(axis=1))
        return value, np.full(v.shape[1], np.nan), share[:, None] * error
