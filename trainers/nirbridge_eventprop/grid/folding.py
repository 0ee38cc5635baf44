"""Spikes that arrive inside a step, x before its end, folded into the state at the end (EVENTPROP.md §3).

I += w·e^(−x/τs)     V += w·κ(x)     step mean of a read-out += w·K(x)/dt,  K = τs(1−e^(−x/τs)) − τm·κ(x)
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors, tau_factors
from nirbridge_eventprop.grid.arrays import TAU_M, TAU_S

use_cache(__name__)

Floats = NDArray[np.float64]


class Folded(NamedTuple):
    """(depth, n): what will be added to I, V and the step mean at the end of the steps to come."""

    i: Floats
    v: Floats
    mean: Floats


@njit(cache=True, nogil=True)
def fold(
    row: Any, layer: Any, k: Any, x: Any, n_steps: Any, dt: Any, wires: Any, cells: Any, ahead: Any, v: Any,
    i: Any, mean: Any,
) -> None:  # fmt: skip
    """A spike x before the end of step k: into v, i (n,), mean (outputs,), and ``ahead`` where delayed."""
    for c in range(wires.start[layer], wires.start[layer + 1]):
        at, to, width = wires.place[c] + row * wires.width[c], wires.post[c], wires.width[c]
        read = cells.reads and cells.layer[to] == len(cells.first) - 1
        es = kappa = whole = 0.0
        for j in range(width):
            then = k + wires.late[c]
            if wires.mixed[c]:
                then += wires.delays[at + j]
            if then >= n_steps:
                continue
            n = to + j
            if j == 0 or not wires.even[c]:
                _, es, kappa = factors(x, cells.tau_m[n], cells.tau_s[n])
            w = wires.weights[at + j]
            if read:
                whole = w * (cells.tau_s[n] * -math.expm1(-x / cells.tau_s[n]) - cells.tau_m[n] * kappa) / dt
            if then == k:
                i[n] += w * es
                v[n] += w * kappa
                if read:
                    mean[j] += whole
            else:
                slot = then % wires.depth
                ahead.i[slot, n] += w * es
                ahead.v[slot, n] += w * kappa
                if read:
                    ahead.mean[slot, n] += whole


@njit(cache=True, nogil=True)
def unfold(
    row: Any, layer: Any, k: Any, x: Any, n_steps: Any, dt: Any, wires: Any, cells: Any, ring_v: Any,
    ring_i: Any, lv: Any, li: Any, impulse: Any, sensitive: Any, g_weight: Any, g_delay: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Undo `fold`: Σ of λI at the arrivals into g_weight; returns R.

    lv, li (n,): λ at the end of step k as it stands. ring_v, ring_i (depth, n): at the ends of later steps.
    """
    total = 0.0
    for c in range(wires.start[layer], wires.start[layer + 1]):
        at, to, width = wires.place[c] + row * wires.width[c], wires.post[c], wires.width[c]
        read = cells.reads and cells.layer[to] == len(cells.first) - 1
        em = es = kappa = by_m = by_s = 0.0
        for j in range(width):
            then = k + wires.late[c]
            if wires.mixed[c]:
                then += wires.delays[at + j]
            if then >= n_steps:
                continue
            n = to + j
            tau_m, tau_s = cells.tau_m[n], cells.tau_s[n]
            if j == 0 or not wires.even[c]:
                em, es, kappa = factors(x, tau_m, tau_s)
                if sensitive:
                    by_m, by_s = tau_factors(x, tau_m, tau_s)
            w = wires.weights[at + j]
            v_end, i_end = lv[n], li[n]
            if then > k:
                v_end, i_end = ring_v[then % wires.depth, n], ring_i[then % wires.depth, n]
            lam_v = v_end * em
            lam_i = i_end * es + tau_m / tau_s * kappa * v_end
            if sensitive:
                g_cell[TAU_M, n] -= tau_m * v_end * w * by_m
                g_cell[TAU_S, n] -= w * (tau_m * v_end * by_s + i_end * es * x / tau_s)
            if read:
                g = impulse[then, j] / dt
                lam_v -= g * (1.0 - em)
                lam_i -= g * (tau_s * (1.0 - es) - tau_m * kappa) / tau_s
                if sensitive:
                    g_cell[TAU_M, n] -= g * w * (kappa + tau_m * by_m)
                    g_cell[TAU_S, n] += g * w * (1.0 - es - es * x / tau_s - tau_m * by_s)
            g_weight[at + j] += lam_i
            change = w * (lam_v - lam_i)
            total += change
            if wires.moves[c]:
                g_delay[at + j] += change
    return total
