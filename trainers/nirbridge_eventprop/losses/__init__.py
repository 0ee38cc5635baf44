"""What the trainer can be told to minimise, by name, and the read-out with which a reader then predicts.

Five are the cross-entropy of softmax(logit_scale·z) with z = ∫ ω(t)·V(t) dt: a file each gives ω on a grid.
The others need the general engine, and so does every loss in continuous time: they are in `exact.losses`
(EVENTPROP.md §5).
"""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.recording import Readout
from nirbridge_eventprop.losses import xent_exp, xent_linear, xent_mean, xent_sigmoid, xent_sum


@dataclass(frozen=True, slots=True)
class Loss:
    """omega(n_steps, dt) -> (n_steps,) weight of a step's mean read-out, dt included; readout: its name.

    A graph's read-out has no weights that fall linearly or as a sigmoid: it predicts by those that fall as
    e^(−t/T).
    """

    omega: Callable[[int, float], NDArray[np.float64]]
    readout: Readout


LOSSES: dict[str, Loss] = {
    "xent-mean": Loss(xent_mean.omega, "mean"),
    "xent-exp": Loss(xent_exp.omega, "exp-mean"),
    "xent-sum": Loss(xent_sum.omega, "sum"),
    "xent-linear": Loss(xent_linear.omega, "exp-mean"),
    "xent-sigmoid": Loss(xent_sigmoid.omega, "exp-mean"),
}

READOUTS: dict[str, Readout] = {
    **{name: loss.readout for name, loss in LOSSES.items()},
    "xent-max": "max",
    "xent-timestep": "mean",
    "mse-trace": "mean",
    "ttfs-xent": "first-spike",
    "ttfs-mse": "first-spike",
    "ttfs-rel-mse": "first-spike",
}
