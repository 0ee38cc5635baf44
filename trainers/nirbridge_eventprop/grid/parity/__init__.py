"""Other programs' EventProp on a grid, for comparison only: their order of operations, dense."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.grid.sums import Gradients


@dataclass(frozen=True, eq=False)
class Parity:
    """loss: batch mean, with its gradients; readout (samples, outputs); spikes: by sample (step, neuron)."""

    loss: float
    readout: NDArray[np.float64]
    spikes: list[tuple[NDArray[np.int64], NDArray[np.int64]]]
    gradients: Gradients


def moments(fired: NDArray[Any]) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """(step, neuron) of the spikes of a sample from (steps, neurons), in that order."""
    step, neuron = np.nonzero(fired)
    return step.astype(np.int64), neuron.astype(np.int64)
