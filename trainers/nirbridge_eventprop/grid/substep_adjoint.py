"""Adjoint of one sample in mode `substep`, exact for its loss at the given step (EVENTPROP.md §4)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors, tau_factors
from nirbridge_eventprop.grid.arrays import BIAS, LEAK, RESET, TAU_B, TAU_M, TAU_S, THETA, B
from nirbridge_eventprop.grid.folding import unfold
from nirbridge_eventprop.grid.step_adjoint import flow_back, keep, read_back
from nirbridge_eventprop.grid.wiring import gather

use_cache(__name__)


@njit(cache=True, nogil=True)
def backward(
    n_steps: Any, dt: Any, event_start: Any, event_unit: Any, event_x: Any, cells: Any, wires: Any, tape: Any,
    impulse: Any, drive: Any, regular: Any, rescue: Any, floor: Any, sensitive: Any, g_weight: Any,
    g_delay: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Add one sample's gradients; arguments as `step_adjoint.backward` and `substep.forward`."""
    n = len(cells.theta)
    layers = len(cells.first) - 1
    hidden = cells.first[layers - 1] if cells.reads else n
    lv, li, lb = np.zeros(n), np.zeros(n), np.zeros(n)
    end_v, end_i = np.zeros((wires.depth, n)), np.zeros((wires.depth, n))  # λ at the ends of steps to come
    start_v, start_i = np.zeros((wires.depth, n)), np.zeros((wires.depth, n))  # and at their starts
    drive = drive.copy()
    couple = cells.tau_m / cells.tau_s * cells.gamma
    felt = np.zeros(n)  # Σ λI at the starts of all steps
    adapts, rescues = np.any(cells.b != 0.0), np.any(rescue != 0.0)
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        slot = k % wires.depth
        for j in range(hidden if rescues else 0):
            if rescue[j] != 0.0 and tape.peak_at[j] == k:
                lv[j] -= rescue[j] / cells.tau_m[j]
        last = tape.start[k + 1]
        while last > tape.start[k]:
            first = last - 1
            while first > tape.start[k] and tape.turn[first - 1] == tape.turn[last - 1]:
                first -= 1
            for s in range(first, last):
                layer = cells.layer[tape.unit[s]]
                drive[s] += unfold(
                    tape.unit[s] - cells.first[layer - 1], layer, k, tape.x[s], n_steps, dt, wires, cells,
                    end_v, end_i, lv, li, impulse, sensitive, g_weight, g_delay, g_cell,
                )  # fmt: skip
            for s in range(first, last):
                clamped += _spike(s, drive[s], regular, floor, sensitive, cells, tape, lv, li, lb, g_cell)
            last = first
        end_v[slot], end_i[slot] = lv, li
        if sensitive:
            _owed(k, dt, cells, tape, lv, li, lb, g_cell)
        flow_back(0, n, cells.alpha, cells.beta, couple, lv, li)
        if adapts:
            lb *= cells.rho
        if cells.reads:
            read_back(hidden, k, dt, impulse, cells, tape, sensitive, lv, li, g_cell)
        keep(0, n, lv, li, start_v[slot], start_i[slot], felt)
        for event in range(event_start[k], event_start[k + 1]):
            if event_x[event] >= dt:
                gather(event_unit[event], 0, k, n_steps, wires, start_v, start_i, g_weight, g_delay)
            else:
                unfold(
                    event_unit[event], 0, k, event_x[event], n_steps, dt, wires, cells, end_v, end_i,
                    end_v[slot], end_i[slot], impulse, sensitive, g_weight, g_delay, g_cell,
                )  # fmt: skip
    g_cell[BIAS] -= cells.tau_s * felt
    return clamped


@njit(cache=True, nogil=True)
def _owed(k: Any, dt: Any, cells: Any, tape: Any, lv: Any, li: Any, lb: Any, g_cell: Any) -> None:
    """What step k's flow owes to time constants and leak, with λ at its end."""
    for j in range(len(lv)):
        tau_m, tau_s = cells.tau_m[j], cells.tau_s[j]
        v, i, alpha = tape.v[k, j] - cells.leak[j], tape.i[k, j], cells.alpha[j]
        by_s = tau_m * lv[j] * i * cells.gamma_s[j] + li[j] * i * cells.beta[j] * dt / tau_s
        g_cell[TAU_M, j] -= tau_m * lv[j] * (v * alpha * dt / (tau_m * tau_m) + i * cells.gamma_m[j])
        g_cell[TAU_S, j] -= by_s
        g_cell[LEAK, j] -= tau_m * lv[j] * (1.0 - alpha)
        g_cell[TAU_B, j] -= lb[j] * tape.b[k, j] * cells.rho[j] * dt / cells.tau_b[j]


@njit(cache=True, nogil=True)
def _spike(
    s: Any, drive: Any, regular: Any, floor: Any, sensitive: Any, cells: Any, tape: Any, lv: Any, li: Any,
    lb: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Undo spike s, whose time later events and the loss feel with ``drive``; 1 where V' was clamped."""
    j, x, b, current = tape.unit[s], tape.x[s], tape.adapted[s], tape.current[s]
    tau_m, tau_s, tau_b, e = cells.tau_m[j], cells.tau_s[j], cells.tau_b[j], cells.leak[j]
    em, es, kappa = factors(x, tau_m, tau_s)
    grow = math.exp(x / tau_b)
    lam_end, lam_b_end = lv[j], lb[j]
    lam, lam_b = lam_end * em, lam_b_end / grow
    rise = (current + e - cells.theta[j] - b) / tau_m + b / tau_b
    clamped = rise < floor * cells.theta[j] / tau_m
    if clamped:
        rise = floor * cells.theta[j] / tau_m
    a = (lam * (current + e - cells.reset[j]) + drive - cells.b[j] * lam_b) / rise
    g_cell[THETA, j] += a
    g_cell[RESET, j] -= tau_m * lam
    g_cell[B, j] -= tau_b * lam_b
    g_cell[TAU_B, j] -= a * b * x / (tau_b * tau_b) + lam_b_end * cells.b[j] / grow * x / tau_b
    lb[j] -= a / tau_b * grow
    a -= regular[j]
    if sensitive:
        v, i, reset = tape.end[s] - e, current * es, cells.reset[j] - e
        back_m, back_s = tau_factors(-x, tau_m, tau_s)
        by_m, by_s = tau_factors(x, tau_m, tau_s)
        g_cell[TAU_M, j] -= a * (-v / em * x / (tau_m * tau_m) + i * back_m)
        g_cell[TAU_M, j] -= tau_m * lam_end * (reset * em * x / (tau_m * tau_m) + current * by_m)
        after = current * by_s - kappa * current * x / (tau_s * tau_s)
        g_cell[TAU_S, j] -= a * i * back_s + tau_m * lam_end * after
        g_cell[LEAK, j] -= a * (1.0 - 1.0 / em) + tau_m * lam_end * (1.0 - em)
    lv[j] = a / (tau_m * em)
    li[j] += tau_m / tau_s * kappa * (lam_end - lv[j]) / es
    return int(clamped)
