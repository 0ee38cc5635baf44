"""Runs whose numbers grow beyond what is kept are refused: nothing that follows would mean anything."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.network import Network

MOST = 2**31 - 1  # spikes of a neuron in a step that a tape holds; one more stands for any larger number


def refuse_lost(network: Network, v: NDArray[np.floating], tape: NDArray[np.int32], sample: int) -> None:
    """Raise `BadInput` (NB510) by node where a sample ends with numbers that are lost.

    v (states,): membranes at the end; tape (rows, 4): step, population, unit, value.
    """
    huge = len(tape) and tape[:, 3].max() >= MOST
    if not huge and np.isfinite(v).all():
        return
    fix = "scale down the weights that lead to it, those of its loops first"
    if huge:
        step, at = tape[int(tape[:, 3].argmax()), :2]
        raise BadInput(
            f"sample {sample}: a neuron of node '{network.populations[at].name}' sends {MOST} spikes or more "
            f"in step {step}",
            code="NB510",
            fix=fix,
        )
    ends = np.cumsum([p.size for p in network.populations])
    at = int(np.searchsorted(ends, np.flatnonzero(~np.isfinite(v))[0], side="right"))
    p = network.populations[at]
    lost = int(np.count_nonzero(~np.isfinite(v[ends[at] - p.size : ends[at]])))
    raise BadInput(
        f"sample {sample}: the membrane of {lost} of {p.size} neurons of node '{p.name}' is not finite "
        "at the end",
        code="NB510",
        fix=fix,
    )
