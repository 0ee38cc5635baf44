"""What arrives at a layer: sums of rows of weights, and the gradient of those rows from a record of λ_I.

A delay line is c copies of the Input, each read a number of steps later: parallel Delay → Linear branches
into one node. A copy's weights are a block of as many rows as the Input has units; no event is copied.
"""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, WIDE, load, plus_rows, splat, store

use_cache(__name__)


@njit(cache=True, nogil=True)
def add_rows(x: Any, weights: Any, at: Any, width: Any, rows: Any, first: Any, last: Any) -> None:
    """x[:width] += the weight rows of units rows[first:last], in turn; width: a multiple of 64."""
    for c in range(0, width, WIDE):
        store(x, c, plus_rows(load(x, c, WIDE), weights, at + c, width, rows, first, last))


@njit(cache=True, nogil=True)
def add_line(
    x: Any, weights: Any, base: Any, width: Any, n_inputs: Any, line: Any, k: Any, event_start: Any,
    event_unit: Any, loop: Any, loop_at: Any,
) -> None:  # fmt: skip
    """x[:width] += each branch's own sum at step k, branch after branch, as the reference target adds them.

    line (copies,): steps that each branch waits. loop (width,): what arrives by recurrence, added before
    branch ``loop_at``; −1 where nothing does. width: a multiple of 16.
    """
    for c in range(0, width, NARROW):
        total = load(x, c, NARROW)
        for b in range(len(line)):
            if b == loop_at:
                total = total + load(loop, c, NARROW)
            sent = k - line[b]
            if sent < 0 or event_start[sent + 1] == event_start[sent]:
                continue
            at = base + b * n_inputs * width + c
            part = splat(x, 0.0, NARROW)
            total = total + plus_rows(
                part, weights, at, width, event_unit, event_start[sent], event_start[sent + 1]
            )
        if loop_at == len(line):
            total = total + load(loop, c, NARROW)
        store(x, c, total)


@njit(cache=True, nogil=True)
def steps_by_unit(start: Any, end: Any, unit: Any, n_units: Any, n_steps: Any, first: Any, step: Any) -> None:
    """Steps of each unit's events, in order: step[first[u]:first[u+1]] for unit u.

    unit[start[k]:end[k]]: units with an event at step k. Fills first (n_units+1,) and step (events,).
    """
    first[:] = 0
    for k in range(n_steps):
        for e in range(start[k], end[k]):
            first[unit[e] + 1] += 1
    for u in range(n_units):
        first[u + 1] += first[u]
    for k in range(n_steps):
        for e in range(start[k], end[k]):
            u = unit[e]
            step[first[u]] = k
            first[u] += 1
    for u in range(n_units, 0, -1):
        first[u] = first[u - 1]
    first[0] = 0


@njit(cache=True, nogil=True)
def row_gradient(
    gradient: Any, base: Any, width: Any, n_units: Any, late: Any, n_steps: Any, first: Any, step: Any,
    history: Any,
) -> None:  # fmt: skip
    """Gradient row of unit u += λ_I at step k + late for every event of u at step k (see `steps_by_unit`).

    history (n_steps·width,): λ_I of the layer that the rows lead to, as its arrivals read it: 64 neurons at
    all steps, then the next 64. Those stay in the cache while a unit's row is summed in registers.
    """
    for c in range(0, width, WIDE):
        block = c * n_steps
        for u in range(n_units):
            if first[u] == first[u + 1]:
                continue
            total = load(gradient, base + u * width + c, WIDE)
            for e in range(first[u], first[u + 1]):
                k = step[e] + late
                if k >= n_steps:
                    break
                total = total + load(history, block + k * WIDE, WIDE)
            store(gradient, base + u * width + c, total)
