"""Terms that act on hidden neurons by how often they spike: rates towards a target, a lift of the silent."""

from __future__ import annotations

from collections.abc import Iterable

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.stack import Stack


def rate_term(
    stack: Stack, counts: NDArray[np.float64], target: float, upper: float, lower: float
) -> NDArray[np.floating]:
    """r_j/θ_j with r = ρ·(N̄ − ν) from counts N̄ (states,), those of the batch before; 0 in the first batch."""
    par = stack.par
    if np.isnan(counts).any() or not (upper or lower):
        return np.zeros(par.shape[1], par.dtype)
    strength = np.where(counts > target, upper, lower)
    term: NDArray[np.floating] = (strength * (counts - target) / par[5]).astype(par.dtype)
    return term


def silent(stack: Stack, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
    """Hidden neurons without a spike, (states,)."""
    hidden = np.zeros(len(active), dtype=bool)
    for row in stack.sizes[:-1]:
        hidden[row[0] : row[0] + row[2]] = True
    return hidden & ~active


def lift(
    stack: Stack,
    quiet: NDArray[np.bool_],
    by: float,
    free: NDArray[np.bool_],
    buffers: Iterable[NDArray[np.floating]],
) -> None:
    """Add ``by`` (in EventProp's weights, over the copies of a delay line) to what feeds quiet neurons.

    quiet (states,); free (weights,): those that may change.
    """
    for layer, row in enumerate(stack.sizes[:-1]):
        at, width, forward, rows = int(row[0]), int(row[1]), int(row[3]), int(row[4])
        here = slice(forward, forward + rows * width)
        mine = quiet[at : at + width]
        step = by / (len(stack.line) if layer == 0 else 1) / stack.par[11, at : at + width]
        change = np.where(free[here].reshape(rows, width) & mine, step, 0).astype(stack.par.dtype)
        for weights in buffers:
            weights[here].reshape(rows, width)[:] += change
