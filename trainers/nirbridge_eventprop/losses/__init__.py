"""Losses on the read-out's membrane: one file each, found by name.

Every loss here is the cross-entropy of softmax(logit_scale·z) with z = ∫ ω(t)·V(t) dt; a file gives ω
and the read-out by which a reader of the graph predicts a class in the same way (EVENTPROP.md §5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.recording import Readout
from nirbridge_eventprop.losses import xent_exp, xent_mean, xent_sum


@dataclass(frozen=True, slots=True)
class Loss:
    """omega(n_steps, dt) -> (n_steps,) weight of a step's mean read-out, dt included; readout: its name."""

    omega: Callable[[int, float], NDArray[np.float64]]
    readout: Readout


LOSSES: dict[str, Loss] = {
    "xent-mean": Loss(xent_mean.omega, "mean"),
    "xent-exp": Loss(xent_exp.omega, "exp-mean"),
    "xent-sum": Loss(xent_sum.omega, "sum"),
}
