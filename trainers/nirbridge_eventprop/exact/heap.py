"""A binary heap of delayed arrivals, ordered by time, then by insertion."""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache

use_cache(__name__)


class Heap(NamedTuple):
    """time (rows,) [s]; entry (rows, 4) int64: insertion number, weight index, target, source."""

    time: NDArray[np.float64]
    entry: NDArray[np.int64]


@njit(cache=True, nogil=True)
def _before(heap: Any, a: Any, b: Any) -> Any:
    if heap.time[a] != heap.time[b]:
        return heap.time[a] < heap.time[b]
    return heap.entry[a, 0] < heap.entry[b, 0]


@njit(cache=True, nogil=True)
def _swap(heap: Any, a: Any, b: Any) -> None:
    heap.time[a], heap.time[b] = heap.time[b], heap.time[a]
    for c in range(4):
        heap.entry[a, c], heap.entry[b, c] = heap.entry[b, c], heap.entry[a, c]


@njit(cache=True, nogil=True)
def push(heap: Any, n: Any, time: Any, number: Any, weight: Any, unit: Any, source: Any) -> None:
    """Insert into a heap of n entries that has room."""
    heap.time[n] = time
    heap.entry[n, 0], heap.entry[n, 1] = number, weight
    heap.entry[n, 2], heap.entry[n, 3] = unit, source
    while n > 0 and _before(heap, n, (n - 1) // 2):
        _swap(heap, n, (n - 1) // 2)
        n = (n - 1) // 2


@njit(cache=True, nogil=True)
def pop(heap: Any, n: Any) -> None:
    """Take the first of n entries away: it lies at index n − 1 afterwards."""
    n -= 1
    _swap(heap, 0, n)
    at = 0
    while True:
        least = at
        for child in (2 * at + 1, 2 * at + 2):
            if child < n and _before(heap, child, least):
                least = child
        if least == at:
            return
        _swap(heap, at, least)
        at = least
