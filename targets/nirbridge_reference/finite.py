"""Runs whose numbers grow beyond what is kept are refused: nothing that follows would mean anything."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.network import Network

MOST = 2**31 - 1  # what a tape holds; stands for larger numbers, too
FIX = "scale down the weights that lead to it, those of its loops first, or mend such numbers in the data"


def refuse_lost(
    network: Network,
    v: NDArray[np.floating],
    current: NDArray[np.floating],
    beyond: NDArray[np.int64],
    sample: int,
) -> None:
    """Raise `BadInput` (NB510) by node where numbers were lost in a sample.

    v, current (states,): at its end; beyond (populations,): 0, or one more than the first step in which a
    neuron sent `MOST` spikes or more.
    """
    finite = np.isfinite(v).all() and np.isfinite(current).all()
    if finite and not beyond.any():
        return
    if beyond.any():
        at = int(np.argmin(np.where(beyond > 0, beyond, MOST)))
        found = f"a neuron of node '{network.populations[at].name}' sends {MOST} spikes or more in step"
        raise BadInput(f"sample {sample}: {found} {beyond[at] - 1}", code="NB510", fix=FIX)
    lost = ~(np.isfinite(v) & np.isfinite(current))
    ends = np.cumsum([p.size for p in network.populations])
    at = int(np.searchsorted(ends, np.flatnonzero(lost)[0], side="right"))
    p: Any = network.populations[at]
    n = int(np.count_nonzero(lost[ends[at] - p.size : ends[at]]))
    raise BadInput(
        f"sample {sample}: V or I of {n} of {p.size} neurons of node '{p.name}' is not finite at the end",
        code="NB510",
        fix=FIX,
    )
