"""Input events in the one order that every time loop adds them in: by step, within a step by unit."""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


LONG = 48  # events of one step up to which they are sorted by insertion


@njit(cache=True, nogil=True)
def order_events(steps: Any, units: Any, n_steps: Any, n_units: Any, start: Any, order: Any) -> None:
    """Stable order of one sample's events by (step, unit).

    steps, units (n,): 0 ≤ step < n_steps, 0 ≤ unit < n_units. Fills order (n,) and start
    (n_steps+1,) int64: the events of step t are ``order[start[t]:start[t+1]]``. Events that come in
    the order of their steps, a few in each, are sorted within the step; others by two counting sorts.
    """
    n = len(steps)
    start[:] = 0
    sorted_already = True
    for e in range(n):
        start[steps[e] + 1] += 1
        if e > 0 and steps[e] < steps[e - 1]:
            sorted_already = False
    longest = 0
    for k in range(n_steps):
        longest = max(longest, start[k + 1])
        start[k + 1] += start[k]
    if not sorted_already or longest > LONG:
        _by_counting(steps, units, n_steps, n_units, start, order)
        return
    for e in range(n):
        at = e
        unit, begin = units[e], start[steps[e]]
        while at > begin and units[order[at - 1]] > unit:
            order[at] = order[at - 1]
            at -= 1
        order[at] = e


@njit(cache=True, nogil=True)
def _by_counting(steps: Any, units: Any, n_steps: Any, n_units: Any, start: Any, order: Any) -> None:
    """Fill ``order`` by a counting sort over units, then one over steps."""
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
    place = start.copy()
    for rank in range(n):
        event = by_unit[rank]
        order[place[steps[event]]] = event
        place[steps[event]] += 1
