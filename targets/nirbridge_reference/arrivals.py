"""One operation of a step: what its source sent, through its matrix, into its target.

A row of ``ops`` (columns in `schedule`) says where from, through what and to where. A sum that must stay
apart (mode `APART`) is made in a buffer of its own and then added, unless that changes no bit: where its
target is still 0, or a single product is added.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_reference.gather import (
    AHEAD,
    DENSE_FROM,
    add,
    add_ahead,
    add_matrix,
    add_rows,
    add_scaled_rows,
    add_targets,
    clear,
    compress,
)

use_cache(__name__)

LISTED, BUFFER, VALUES, EVENTS = range(4)
IDENTITY, DENSE, THRESHOLD, SPARSE, FEW = range(5)
ADD, BEGIN, APART = range(3)


@njit(cache=True, nogil=True, inline="always")
def begin(o: Any, ops: Any, buffer: Any, bias: Any, row: Any) -> None:
    """The target starts from its bias."""
    to = np.uint64(ops[o, 6])
    for i in range(np.uint64(ops[o, 7])):
        buffer[to + i] = bias[row, to + i]


@njit(cache=True, nogil=True, inline="always")
def from_list(
    o: Any, ops: Any, buffer: Any, weights: Any, starts: Any, targets: Any, unit: Any, value: Any, first: Any,
    last: Any, ones: Any, clean: Any,
) -> Any:  # fmt: skip
    """Add what was sent (entries first … last−1 of a list); ``ones``: every value is 1. Returns synops."""
    n = last - first
    matrix, at, size = ops[o, 4], ops[o, 5], ops[o, 7]
    if n == 0 and matrix != THRESHOLD:
        return 0
    apart = ops[o, 9] == APART and n > 1 and not clean
    done = n * size
    if matrix == DENSE and ones:
        add_rows(buffer, ops[o, 6], weights, at, size, unit, first, last, apart)
        return done
    to = ops[o, 10] if apart else ops[o, 6]
    if apart:
        clear(buffer, to, size)
    if matrix == DENSE:
        add_scaled_rows(buffer, to, weights, at, size, unit, value, first, last)
    elif matrix in (SPARSE, FEW):
        reached = add_targets(
            buffer, to, weights, at, starts, ops[o, 8], targets, unit, value, first, last, ones
        )
        done = reached if matrix == SPARSE else done
    elif matrix == IDENTITY:
        done = 0
        for k in range(first, last):
            buffer[to + unit[k]] += value[k]
    else:
        done = 0
        for i in range(size):
            buffer[to + i] = 1 if weights[at + i] < 0 else 0
        for k in range(first, last):
            buffer[to + unit[k]] = 1 if value[k] > weights[at + unit[k]] else 0
    if apart:
        add(buffer, ops[o, 6], buffer, to, size)
    return done


@njit(cache=True, nogil=True, inline="always")
def from_values(
    o: Any, ops: Any, buffer: Any, weights: Any, starts: Any, targets: Any, held: Any, source: Any, unit: Any,
    value: Any, clean: Any,
) -> Any:  # fmt: skip
    """Add the values held[source:source+width]: all rows of a matrix where at least `DENSE_FROM` of them
    are not zero in this step, else those rows alone. ``unit``, ``value``: work space. Returns synops."""
    matrix, at, size, width = ops[o, 4], ops[o, 5], ops[o, 7], ops[o, 2]
    apart = ops[o, 9] == APART and not clean
    to = ops[o, 10] if apart else ops[o, 6]
    if apart:
        clear(buffer, to, size)
    done = 0
    if matrix == IDENTITY:
        add(buffer, to, held, source, size)
    elif matrix == THRESHOLD:
        for i in range(size):
            buffer[to + i] = 1 if held[source + i] > weights[at + i] else 0
    else:
        n = compress(held, source, width, unit, value)
        done = n * size
        if matrix in (SPARSE, FEW):
            reached = add_targets(
                buffer, to, weights, at, starts, ops[o, 8], targets, unit, value, 0, n, False
            )
            done = reached if matrix == SPARSE else done
        elif n >= DENSE_FROM * width:
            add_matrix(buffer, to, weights, at, size, held, source, width)
        else:
            add_scaled_rows(buffer, to, weights, at, size, unit, value, 0, n)
    if apart:
        add(buffer, ops[o, 6], buffer, to, size)
    return done


@njit(cache=True, nogil=True)
def look_ahead(
    o: Any, ops: Any, t: Any, n_steps: Any, event_start: Any, event_unit: Any, event_value: Any, bias: Any,
    weights: Any, held: Any, ahead: Any,
) -> Any:  # fmt: skip
    """Sum an input's next `AHEAD` steps at once where at least `DENSE_FROM` of its values are given.

    Returns whether it did; the sums then lie in ``ahead``, a step after the other, started from the bias.
    """
    q, width, size, to = ops[o, 1], ops[o, 2], ops[o, 7], ops[o, 6]
    if t + AHEAD > n_steps:
        return False
    given = event_start[q, t + AHEAD] - event_start[q, t]
    if given < DENSE_FROM * AHEAD * width:
        return False
    clear(held, 0, AHEAD * width)
    for s in range(AHEAD):
        for e in range(event_start[q, t + s], event_start[q, t + s + 1]):
            held[s * width + event_unit[e]] = event_value[e]
        row = 0 if t + s == 0 else 1
        for i in range(size):
            ahead[ops[o, 11] + s * size + i] = bias[row, to + i] if ops[o, 9] == BEGIN else 0
    add_ahead(ahead, ops[o, 11], weights, ops[o, 5], size, held, width)
    return True


@njit(cache=True, nogil=True)
def from_ahead(o: Any, ops: Any, buffer: Any, ahead: Any, step: Any) -> None:
    """Take one of the sums of `look_ahead`."""
    size, to = ops[o, 7], ops[o, 6]
    if ops[o, 9] == BEGIN:
        clear(buffer, to, size)
    add(buffer, to, ahead, ops[o, 11] + step * size, size)
