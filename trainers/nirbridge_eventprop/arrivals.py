"""What arrives at a layer: rows of weights added to its input, and gradient rows of a delay line.

A delay line is c copies of the Input, each read a number of steps later: parallel Delay → Linear branches
into one node. A copy's weights are a block of as many rows as the Input has units; no event is copied.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def add_rows(x: Any, to: Any, weights: Any, at: Any, width: Any, rows: Any, first: Any, last: Any) -> None:
    """x[to:to+width] += the weight rows of units rows[first:last], four to a pass, each added in turn."""
    x0, w0, n = np.uint64(to), np.uint64(at), np.uint64(width)  # unsigned: no test for negative indices
    e = first
    while e + 4 <= last:
        a = w0 + np.uint64(rows[e]) * n
        b = w0 + np.uint64(rows[e + 1]) * n
        c = w0 + np.uint64(rows[e + 2]) * n
        d = w0 + np.uint64(rows[e + 3]) * n
        for i in range(n):
            x[x0 + i] = (((x[x0 + i] + weights[a + i]) + weights[b + i]) + weights[c + i]) + weights[d + i]
        e += 4
    while e < last:
        a = w0 + np.uint64(rows[e]) * n
        for i in range(n):
            x[x0 + i] += weights[a + i]
        e += 1


@njit(cache=True, nogil=True)
def add_line(
    x: Any, part: Any, weights: Any, base: Any, width: Any, n_inputs: Any, line: Any, k: Any,
    event_start: Any, event_unit: Any, loop: Any, loop_at: Any,
) -> None:  # fmt: skip
    """x[:width] += each branch's own sum at step k, branch after branch, as the reference target adds them.

    line (copies,): steps that each branch waits. part (width,): work space. loop (states,): what arrives by
    recurrence, added before branch ``loop_at``; −1 where nothing does.
    """
    n = np.uint64(width)
    for c in range(len(line)):
        if c == loop_at:
            for i in range(n):
                x[i] += loop[i]
        sent = k - line[c]
        if sent < 0 or event_start[sent + 1] == event_start[sent]:
            continue
        part[:width] = 0
        at = base + c * n_inputs * width
        add_rows(part, 0, weights, at, width, event_unit, event_start[sent], event_start[sent + 1])
        for i in range(n):
            x[i] += part[i]
    if loop_at == len(line):
        for i in range(n):
            x[i] += loop[i]


@njit(cache=True, nogil=True)
def line_gradient(
    gradient: Any, base: Any, width: Any, n_inputs: Any, line: Any, n_steps: Any, event_start: Any,
    event_unit: Any, history: Any,
) -> None:  # fmt: skip
    """Gradient rows of the branches: row (c, u) += λ_I at step k + line[c] for every event of u at step k.

    history (n_steps·width,): λ_I of the first layer as its arrivals read it. Unit after unit, so that the
    rows of a unit stay in the nearest cache.
    """
    n, n_events = np.uint64(width), event_start[n_steps]
    first = np.zeros(n_inputs + 1, np.int64)
    for e in range(n_events):
        first[event_unit[e] + 1] += 1
    for u in range(n_inputs):
        first[u + 1] += first[u]
    step = np.empty(n_events, np.int64)
    place = first.copy()
    for k in range(n_steps):
        for e in range(event_start[k], event_start[k + 1]):
            step[place[event_unit[e]]] = k
            place[event_unit[e]] += 1
    for u in range(n_inputs):
        for c in range(len(line)):
            row = np.uint64(base + (c * n_inputs + u) * width)
            for e in range(first[u], first[u + 1]):
                k = step[e] + line[c]
                if k >= n_steps:
                    break
                at = np.uint64(k) * n
                for i in range(n):
                    gradient[row + i] += history[at + i]
