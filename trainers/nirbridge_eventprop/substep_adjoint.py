"""Adjoint of one sample in mode `substep` (EVENTPROP.md §4): exact for the loss at the given step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    FORWARD,
    KAPPA,
    NEURONS,
    OFFSET,
    PADDED,
    RECURRENT,
    SCALE,
    TAU_M,
    TAU_S,
    THETA,
    V_LEAK,
    V_RESET,
)
from nirbridge_eventprop.substep import FAST, factors_of, kappa_of

use_cache(__name__)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def backward(
    n_steps: Any,
    dt: Any,
    event_start: Any,
    event_unit: Any,
    sizes: Any,
    par: Any,
    shared: Any,
    weights: Any,
    omega: Any,
    a_mean: Any,
    c_mean: Any,
    error: Any,
    regular: Any,
    slope_floor: Any,
    tape_start: Any,
    tape_unit: Any,
    tape_round: Any,
    tape_current: Any,
    tape_x: Any,
    tape_factors: Any,
    back: Any,
    history: Any,
    gradient: Any,
) -> Any:
    """Adjoint of one sample; arguments as `kernels.backward`. Returns how often the slope was clamped."""
    layers = len(sizes) - 1
    states = par.shape[1]
    lv = np.zeros(states, par.dtype)
    li = np.zeros(states, par.dtype)
    es = np.zeros(states, par.dtype)
    kx = np.zeros(states, par.dtype)
    couple = np.empty(states, par.dtype)
    layer_of = np.zeros(states, np.int64)
    for layer in range(layers + 1):
        layer_of[sizes[layer, OFFSET] : sizes[layer, OFFSET] + sizes[layer, PADDED]] = layer
    for s in range(states):
        couple[s] = par[TAU_M, s] / par[TAU_S, s]
    out, n_out = np.uint64(sizes[layers, OFFSET]), np.uint64(sizes[layers, PADDED])
    first_width = np.uint64(sizes[0, PADDED])
    gain_v = np.empty(n_out, par.dtype)
    gain_i = np.empty(n_out, par.dtype)
    for i in range(n_out):
        gain_v[i] = error[i] * a_mean[i] / par[TAU_M, out + i]
        gain_i[i] = error[i] * c_mean[i] / par[TAU_S, out + i]
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        last = tape_start[k + 1]
        while last > tape_start[k]:
            first = last - 1
            while first > tape_start[k] and tape_round[first - 1] == tape_round[last - 1]:
                first -= 1
            for s in range(first, last):
                i = tape_unit[s]
                layer = layer_of[i]
                row = i - sizes[layer, OFFSET]
                x = float(tape_x[s])
                total = _arrive(
                    sizes, layer + 1, FORWARD, row, x, tape_factors[s], dt, par, shared, weights, lv, li,
                    es, kx, couple, omega[k], error, gradient, layer + 1 == layers,
                )  # fmt: skip
                if sizes[layer, RECURRENT] >= 0:
                    total += _arrive(
                        sizes, layer, RECURRENT, row, x, tape_factors[s], dt, par, shared, weights, lv, li,
                        es, kx, couple, omega[k], error, gradient, False,
                    )  # fmt: skip
                back[s] = total
            for s in range(first, last):
                j = tape_unit[s]
                tau_m, tau_s = float(par[TAU_M, j]), float(par[TAU_S, j])
                e, theta = par[V_LEAK, j], par[THETA, j]
                rise = tape_current[s] + e - theta
                if rise < slope_floor * theta:
                    rise = slope_floor * theta
                    clamped += 1
                em, decay, kappa = tape_factors[s, 0], tape_factors[s, 1], tape_factors[s, 2]
                lp = lv[j]
                lc = lp * em
                a = (lc * (tape_current[s] + e - par[V_RESET, j]) + back[s]) * tau_m / rise - regular[j]
                lv[j] = a / tau_m / em
                li[j] += tau_m / tau_s * kappa * (lp - lv[j]) / decay
            last = first
        for i in range(np.uint64(states)):
            li[i] = par[A_S, i] * li[i] + couple[i] * par[KAPPA, i] * lv[i]
            lv[i] = par[A_M, i] * lv[i]
        g = omega[k]
        for i in range(n_out):
            lv[out + i] -= g * gain_v[i]
            li[out + i] -= g * gain_i[i]
        if len(history):
            to = np.uint64(k) * first_width
            for i in range(first_width):
                history[to + i] = li[i]
            continue
        for event in range(event_start[k], event_start[k + 1]):
            base = np.uint64(sizes[0, FORWARD]) + np.uint64(event_unit[event]) * first_width
            for i in range(first_width):
                gradient[base + i] += li[i]
    return clamped


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _arrive(
    sizes: Any,
    layer: Any,
    kind: Any,
    row: Any,
    x: Any,
    factors: Any,
    dt: Any,
    par: Any,
    shared: Any,
    weights: Any,
    lv: Any,
    li: Any,
    es: Any,
    kx: Any,
    couple: Any,
    omega: Any,
    error: Any,
    gradient: Any,
    read_out: Any,
) -> Any:
    """A folded arrival: gradient row += i, returns R = Σ w·s·(v − i) (EVENTPROP.md §4, `substep`)."""
    at, width = np.uint64(sizes[layer, OFFSET]), np.uint64(sizes[layer, PADDED])
    base = np.uint64(sizes[layer, kind]) + np.uint64(row) * width
    total = par.dtype.type(0)
    em, decay, gain = factors[0], factors[1], factors[2]
    if read_out:
        tau_m, tau_s = par[TAU_M, at], par[TAU_S, at]
        weight = omega / par.dtype.type(dt)
        for i in range(np.uint64(sizes[layer, NEURONS])):
            s = at + i
            if not shared and (i == 0 or par[TAU_M, s] != tau_m or par[TAU_S, s] != tau_s):
                tau_m, tau_s = par[TAU_M, s], par[TAU_S, s]
                em = math.exp(-x / float(tau_m))
                decay = math.exp(-x / float(tau_s))
                gain = kappa_of(x, float(tau_m), float(tau_s))
            impulse = weight * error[i]  # ∂L/∂Vm of the step, over dt
            lam_v = lv[s] * em - impulse * (1 - em)
            lam_i = li[s] * decay + tau_m / tau_s * gain * lv[s]
            lam_i -= impulse * (tau_s * (1 - decay) - tau_m * gain) / tau_s
            total += weights[base + i] * par[SCALE, s] * (lam_v - lam_i)
            gradient[base + i] += lam_i
        return total
    if shared:
        gain_all = gain * couple[at]
        for i in range(width):
            arrived = li[at + i] * decay + gain_all * lv[at + i]
            total += weights[base + i] * par[SCALE, at + i] * (lv[at + i] * em - arrived)
            gradient[base + i] += arrived
        return total
    factors_of(sizes, layer, par, x, es, kx)
    for i in range(width):
        arrived = li[at + i] * es[at + i] + couple[at + i] * kx[at + i] * lv[at + i]
        v_then = lv[at + i] * math.exp(-x / par[TAU_M, at + i])
        total += weights[base + i] * par[SCALE, at + i] * (v_then - arrived)
        gradient[base + i] += arrived
    return total
