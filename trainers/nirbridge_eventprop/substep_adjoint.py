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
    uniform: Any,
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
    back: Any,
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
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    first_width = sizes[0, PADDED]
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
                    sizes, layer + 1, FORWARD, row, x, dt, par, uniform, weights, lv, li, es, kx, couple,
                    omega[k], error, gradient, layer + 1 == layers,
                )  # fmt: skip
                if sizes[layer, RECURRENT] >= 0:
                    total += _arrive(
                        sizes, layer, RECURRENT, row, x, dt, par, uniform, weights, lv, li, es, kx, couple,
                        omega[k], error, gradient, False,
                    )  # fmt: skip
                back[s] = total
            for s in range(first, last):
                j = tape_unit[s]
                x = float(tape_x[s])
                tau_m, tau_s = float(par[TAU_M, j]), float(par[TAU_S, j])
                e, theta = par[V_LEAK, j], par[THETA, j]
                rise = tape_current[s] + e - theta
                if rise < slope_floor * theta:
                    rise = slope_floor * theta
                    clamped += 1
                lp = lv[j]
                lc = lp * math.exp(-x / tau_m)
                a = (lc * (tape_current[s] + e - par[V_RESET, j]) + back[s]) * tau_m / rise - regular[j]
                lv[j] = a / tau_m * math.exp(x / tau_m)
                li[j] += math.exp(x / tau_s) * tau_m / tau_s * kappa_of(x, tau_m, tau_s) * (lp - lv[j])
            last = first
        for i in range(np.uint64(0), np.uint64(states)):
            li[i] = par[A_S, i] * li[i] + couple[i] * par[KAPPA, i] * lv[i]
            lv[i] = par[A_M, i] * lv[i]
        for i in range(out_width):
            g = omega[k] * error[i]
            lv[out + i] -= g * a_mean[i] / par[TAU_M, out + i]
            li[out + i] -= g * c_mean[i] / par[TAU_S, out + i]
        for event in range(event_start[k], event_start[k + 1]):
            base = sizes[0, FORWARD] + event_unit[event] * first_width
            target = gradient[base : base + first_width]
            for i in range(first_width):
                target[i] += li[i]
    return clamped


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _arrive(
    sizes: Any,
    layer: Any,
    kind: Any,
    row: Any,
    x: Any,
    dt: Any,
    par: Any,
    uniform: Any,
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
    at, width, neurons = sizes[layer, OFFSET], sizes[layer, PADDED], sizes[layer, NEURONS]
    base = sizes[layer, kind] + row * width
    w = weights[base : base + width]
    g = gradient[base : base + width]
    total = par.dtype.type(0)
    if read_out:
        tau_m = tau_s = em = decay = gain = 0.0
        for i in range(neurons):
            s = at + i
            if par[TAU_M, s] != tau_m or par[TAU_S, s] != tau_s:
                tau_m, tau_s = float(par[TAU_M, s]), float(par[TAU_S, s])
                em, decay, gain = math.exp(-x / tau_m), math.exp(-x / tau_s), kappa_of(x, tau_m, tau_s)
            impulse = omega * error[i] / dt  # ∂L/∂Vm of the step, over dt
            lam_v = lv[s] * em - impulse * (1 - em)
            lam_i = li[s] * decay + tau_m / tau_s * gain * lv[s]
            lam_i -= impulse * (tau_s * (1 - decay) - tau_m * gain) / tau_s
            total += w[i] * par[SCALE, s] * (lam_v - lam_i)
            g[i] += lam_i
        return total
    v_now, i_now = lv[at : at + width], li[at : at + width]
    ratio, scale = couple[at : at + width], par[SCALE, at : at + width]
    one = par.dtype.type
    if uniform[layer]:
        em_all = one(math.exp(-x / float(par[TAU_M, at])))
        decay_all = one(math.exp(-x / float(par[TAU_S, at])))
        gain_all = one(kappa_of(x, float(par[TAU_M, at]), float(par[TAU_S, at])))
        for i in range(width):
            arrived = i_now[i] * decay_all + ratio[i] * gain_all * v_now[i]
            total += w[i] * scale[i] * (v_now[i] * em_all - arrived)
            g[i] += arrived
        return total
    factors_of(sizes, layer, par, x, es, kx)
    decays, gains = es[at : at + width], kx[at : at + width]
    for i in range(width):
        arrived = i_now[i] * decays[i] + ratio[i] * gains[i] * v_now[i]
        total += w[i] * scale[i] * (v_now[i] * math.exp(-x / par[TAU_M, at + i]) - arrived)
        g[i] += arrived
    return total
