"""Which weights a training may change: all but those of nodes that the option `freeze` names."""

from __future__ import annotations

from fnmatch import fnmatchcase

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge_eventprop.stack import Stack


def free_weights(stack: Stack, freeze: str) -> NDArray[np.bool_]:
    """(weights,) True where a weight is trained; ``freeze``: names with *, ? and [] as in file names.

    Raises `UsageError` (NB701) for a name that no weight node has, and where nothing would be left to train.
    """
    free = np.ones(len(stack.weights), dtype=bool)
    for pattern in freeze.split():
        found = [place for place in stack.nodes if fnmatchcase(place.name, pattern)]
        if not found:
            known = ", ".join(place.name for place in stack.nodes)
            raise UsageError(
                f"trainer option freeze names '{pattern}', which is no weight node of this graph",
                code="NB701",
                fix=f"use names among {known}",
            )
        for place in found:
            free[place.offset : place.offset + place.rows * place.width] = False
    if not free.any():
        raise UsageError(
            f"trainer option freeze = '{freeze}' leaves nothing to train", code="NB701", fix="freeze less"
        )
    return free
