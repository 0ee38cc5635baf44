"""Input events in the one order that every time loop adds them in: by step, within a step by unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def order_events(steps: Any, units: Any, n_steps: Any, n_units: Any, start: Any, order: Any) -> None:
    """Stable order of one sample's events by (step, unit), by two counting sorts.

    steps, units (n,): 0 ≤ step < n_steps, 0 ≤ unit < n_units. Fills order (n,) and start
    (n_steps+1,) int64: the events of step t are ``order[start[t]:start[t+1]]``.
    """
    n = len(steps)
    first = np.zeros(n_units + 1, np.int64)
    for e in range(n):
        first[units[e] + 1] += 1
    for u in range(n_units):
        first[u + 1] += first[u]
    by_unit = np.empty(n, np.int64)
    for e in range(n):
        by_unit[first[units[e]]] = e
        first[units[e]] += 1
    start[:] = 0
    for e in range(n):
        start[steps[e] + 1] += 1
    for k in range(n_steps):
        start[k + 1] += start[k]
    place = start.copy()
    for rank in range(n):
        event = by_unit[rank]
        order[place[steps[event]]] = event
        place[steps[event]] += 1
