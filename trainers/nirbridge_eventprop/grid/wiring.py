"""Spikes along connections: forward into rings of what will arrive, backward out of rings of adjoints.

A ring has a row for each of the next ``depth`` steps. A spike of a step takes ``late`` steps, and its
synapse's delay besides; what would arrive after the last step is lost.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def spread(row: Any, layer: Any, k: Any, n_steps: Any, wires: Any, ring: Any) -> None:
    """A spike of unit ``row`` of a layer in step k: its weights into ring (depth, n), jumps of I to come."""
    for c in range(wires.start[layer], wires.start[layer + 1]):
        at, to, width = wires.place[c] + row * wires.width[c], wires.post[c], wires.width[c]
        when = k + wires.late[c]
        if wires.mixed[c]:
            for j in range(width):
                then = when + wires.delays[at + j]
                if then < n_steps:
                    ring[then % wires.depth, to + j] += wires.weights[at + j]
        elif when < n_steps:
            _add(ring[when % wires.depth], to, wires.weights, at, width)


@njit(cache=True, nogil=True)
def gather(
    row: Any,
    layer: Any,
    k: Any,
    n_steps: Any,
    wires: Any,
    lam_v: Any,
    lam_i: Any,
    g_weight: Any,
    g_delay: Any,
) -> Any:
    """Undo that spike: Σ λI into g_weight, R's own share into g_delay; returns R = Σ w(λV − λI).

    lam_v, lam_i (depth, n): λV and λI at the arrivals of the steps after k, and of k where they are ready.
    """
    total = 0.0
    for c in range(wires.start[layer], wires.start[layer + 1]):
        at, to, width = wires.place[c] + row * wires.width[c], wires.post[c], wires.width[c]
        when = k + wires.late[c]
        if wires.mixed[c] or wires.moves[c]:
            for j in range(width):
                then = when + wires.delays[at + j] if wires.mixed[c] else when
                if then < n_steps:
                    slot = then % wires.depth
                    change = wires.weights[at + j] * (lam_v[slot, to + j] - lam_i[slot, to + j])
                    total += change
                    g_weight[at + j] += lam_i[slot, to + j]
                    if wires.moves[c]:
                        g_delay[at + j] += change
        elif when < n_steps:
            slot = when % wires.depth
            total += _undo(lam_v[slot], lam_i[slot], to, wires.weights, at, width, g_weight)
    return total


@njit(cache=True, nogil=True)
def _add(ring: Any, to: Any, weights: Any, at: Any, width: Any) -> None:
    """ring[to:to+width] += weights[at:at+width]."""
    x, w = np.uint64(to), np.uint64(at)  # unsigned: no test for negative indices
    for j in range(np.uint64(width)):
        ring[x + j] += weights[w + j]


@njit(cache=True, nogil=True, fastmath={"reassoc", "nsz"})
def _undo(lam_v: Any, lam_i: Any, to: Any, weights: Any, at: Any, width: Any, g_weight: Any) -> Any:
    """One spike along one row of weights: Σ w(λV − λI), in an order that vectorises; g_weight += λI."""
    x, w = np.uint64(to), np.uint64(at)
    total = 0.0
    for j in range(np.uint64(width)):
        total += weights[w + j] * (lam_v[x + j] - lam_i[x + j])
    for j in range(np.uint64(width)):
        g_weight[w + j] += lam_i[x + j]
    return total
