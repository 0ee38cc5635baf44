"""Adjoint of one sample in mode `step` (EVENTPROP.md §4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors
from nirbridge_eventprop.grid.arrays import BIAS, LEAK, RESET, T_REF, TAU_B, TAU_M, TAU_S, THETA, B
from nirbridge_eventprop.grid.wiring import gather

use_cache(__name__)


@njit(cache=True, nogil=True)
def backward(
    n_steps: Any, dt: Any, event_start: Any, event_unit: Any, cells: Any, wires: Any, tape: Any, impulse: Any,
    drive: Any, regular: Any, rescue: Any, floor: Any, sensitive: Any, g_weight: Any, g_delay: Any,
    g_cell: Any,
) -> Any:  # fmt: skip
    """Add one sample's gradients; returns how often V' at a spike was clamped.

    Arguments as `step.forward`. impulse (n_steps, outputs): ∂l/∂(step mean). drive (spikes,): ∂l/∂t_s [1/s].
    regular (n,): r/θ of the rate term. rescue (n,): impulse ∂l/∂V at the largest V. floor: V' counts as
    at least floor·θ/τm.
    g_weight like wires.weights receives Σ λI, of which the gradient is −τs times; g_delay [1/s] likewise;
    g_cell (9, n).
    """
    layers = len(cells.first) - 1
    n = len(cells.theta)
    lv, li, lb = np.zeros(n), np.zeros(n), np.zeros(n)
    ring_v, ring_i = np.zeros((wires.depth, n)), np.zeros((wires.depth, n))
    kept = np.zeros(n)  # λV at the release of the spike that is undone next
    waiting = tape.last.copy()
    spike_step = np.zeros(len(tape.unit), np.int64)
    for k in range(n_steps):
        spike_step[tape.start[k] : tape.start[k + 1]] = k
    couple = cells.tau_m / cells.tau_s * cells.gamma
    felt = np.zeros(n)  # Σ λI at the starts of all steps
    adapts, rescues = np.any(cells.b != 0.0), np.any(rescue != 0.0)
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        top = tape.start[k + 1]
        slot = k % wires.depth
        for layer in range(layers, 0, -1):
            begin, end = cells.first[layer - 1], cells.first[layer]
            for j in range(begin, end if rescues else begin):
                if rescue[j] != 0.0 and tape.peak_at[j] == k:
                    lv[j] -= rescue[j] / cells.tau_m[j]
            while top > tape.start[k] and cells.layer[tape.unit[top - 1]] == layer:
                top -= 1
                row = tape.unit[top] - begin
                back = gather(row, layer, k, n_steps, wires, ring_v, ring_i, g_weight, g_delay)
                clamped += _spike(
                    top, back + drive[top], regular, floor, sensitive, cells, tape, lv, li, lb, kept, g_cell
                )
                waiting[tape.unit[top]] = tape.previous[top]
            if sensitive and adapts:
                for j in range(begin, end):
                    g_cell[TAU_B, j] -= lb[j] * tape.b[k, j] * cells.rho[j] * dt / cells.tau_b[j]
            flow_back(begin, end, cells.alpha, cells.beta, couple, lv, li)
            if adapts:
                for j in range(begin, end):
                    lb[j] *= cells.rho[j]
            if cells.reads and layer == layers:
                read_back(begin, k, dt, impulse, cells, tape, sensitive, lv, li, g_cell)
            if cells.refractory:
                for j in range(begin, end):
                    s = waiting[j]
                    if cells.n_ref[j] > 0 and s >= 0 and spike_step[s] + 1 + cells.n_ref[j] == k:
                        kept[j], lv[j] = lv[j], 0.0
            keep(begin, end, lv, li, ring_v[slot], ring_i[slot], felt)
        for event in range(event_start[k], event_start[k + 1]):
            gather(event_unit[event], 0, k, n_steps, wires, ring_v, ring_i, g_weight, g_delay)
    g_cell[BIAS] -= cells.tau_s * felt
    return clamped


@njit(cache=True, nogil=True)
def flow_back(begin: Any, end: Any, alpha: Any, beta: Any, couple: Any, lv: Any, li: Any) -> None:
    """λV, λI of neurons begin … end−1 from the end of a step to its start; couple: (τm/τs)·κ(dt)."""
    for j in range(np.uint64(begin), np.uint64(end)):
        li[j] = beta[j] * li[j] + couple[j] * lv[j]
    for j in range(np.uint64(begin), np.uint64(end)):
        lv[j] *= alpha[j]


@njit(cache=True, nogil=True)
def keep(begin: Any, end: Any, lv: Any, li: Any, ring_v: Any, ring_i: Any, felt: Any) -> None:
    """λ at a step's start into the rings' rows of that step, λI into its sum."""
    for j in range(np.uint64(begin), np.uint64(end)):
        ring_v[j] = lv[j]
        ring_i[j] = li[j]
    for j in range(np.uint64(begin), np.uint64(end)):
        felt[j] += li[j]


@njit(cache=True, nogil=True)
def read_back(
    begin: Any, k: Any, dt: Any, impulse: Any, cells: Any, tape: Any, sensitive: Any, lv: Any, li: Any,
    g_cell: Any,
) -> None:  # fmt: skip
    """The impulses of step mean k on the read-out, neurons from ``begin``; sensitivities are the tape's."""
    for out in range(impulse.shape[1]):
        j = begin + out
        g = impulse[k, out]
        tau_m, tau_s = cells.tau_m[j], cells.tau_s[j]
        lv[j] -= g * cells.whole[j] / (tau_m * dt)
        li[j] -= g * cells.charge[j] / (tau_s * dt)
        if sensitive:
            alpha, beta = cells.alpha[j], cells.beta[j]
            v, i = tape.v[k, j] - cells.leak[j], tape.i[k, j]
            whole_m = 1.0 - alpha - alpha * dt / tau_m
            charge_m = -cells.gamma[j] - tau_m * cells.gamma_m[j]
            charge_s = 1.0 - beta - beta * dt / tau_s - tau_m * cells.gamma_s[j]
            s, u, q, r = tape.sense_read[k, out]
            g_cell[TAU_M, j] += g / dt * (whole_m * v + charge_m * i + cells.whole[j] * s)
            g_cell[TAU_S, j] += g / dt * (charge_s * i + cells.whole[j] * u + cells.charge[j] * r)
            g_cell[LEAK, j] += g / dt * (dt - cells.whole[j] + cells.whole[j] * q)


@njit(cache=True, nogil=True)
def _spike(
    s: Any, drive: Any, regular: Any, floor: Any, sensitive: Any, cells: Any, tape: Any, lv: Any, li: Any,
    lb: Any, kept: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Undo spike s, whose time later events and the loss feel with ``drive``; 1 where V' was clamped."""
    j, x, b = tape.unit[s], tape.x[s], tape.adapted[s]
    tau_m, tau_s, tau_b, e = cells.tau_m[j], cells.tau_s[j], cells.tau_b[j], cells.leak[j]
    lam, current = lv[j], tape.current[s]
    if cells.n_ref[j] > 0:
        lam, current = kept[j], tape.release[s]
        kept[j] = 0.0
    rise = (tape.current[s] + e - cells.theta[j] - b) / tau_m + b / tau_b
    clamped = rise < floor * cells.theta[j] / tau_m
    if clamped:
        rise = floor * cells.theta[j] / tau_m
    a0 = lam * (current + e - cells.reset[j])
    a = (a0 + drive - cells.b[j] * lb[j]) / rise
    g_cell[THETA, j] += a
    g_cell[RESET, j] -= tau_m * lam
    g_cell[T_REF, j] += a0
    g_cell[B, j] -= tau_b * lb[j]
    lb[j] -= a / tau_b * math.exp(x / tau_b)
    a -= regular[j]
    if sensitive:
        g_cell[TAU_M, j] -= a * tape.sense[s, 0]
        g_cell[TAU_S, j] -= a * tape.sense[s, 1]
        g_cell[LEAK, j] -= a * tape.sense[s, 2]
    lv[j] = a / tau_m * math.exp(x / tau_m)
    li[j] += a / tau_s * factors(-x, tau_m, tau_s)[2]
    return int(clamped)
