"""Cross-entropy at every moment, averaged over time."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np

from nirbridge_eventprop.exact.losses.kinds import Floats, MembraneLoss


@dataclass(frozen=True)
class XentTimestep(MembraneLoss):
    """(1/T)·∫ −ln softmax(logit_scale·V(t))[y] dt; there is no single read-out, so it is nan."""

    logit_scale: float = 1.0

    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        z = self.logit_scale * v
        shifted = np.exp(z - z.max(axis=1, keepdims=True))
        total = shifted.sum(axis=1, keepdims=True)
        lost = np.log(total[:, 0]) + z.max(axis=1) - z[:, label]
        error = shifted / total
        error[:, label] -= 1.0
        share = weight / end
        return float(share @ lost), np.full(v.shape[1], np.nan), self.logit_scale * share[:, None] * error
