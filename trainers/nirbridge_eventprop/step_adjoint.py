"""Adjoint of one sample in mode `step` (EVENTPROP.md §4); arrays as in `kernels`."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, WIDE, blank, fma, load, splat, store, total
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    COUPLE,
    CROSSING,
    DIRECT,
    FORWARD,
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

use_cache(__name__)

FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True, forceinline=True)
def flow(par: Any, i: Any, couple: Any, lv: Any, li: Any) -> Any:
    """λ_I and λ_V of neurons i … i+63 a step back; λ_I."""
    states = par.shape[1]
    was = load(lv, i, WIDE)
    now = fma(load(par, A_S * states + i, WIDE), load(li, i, WIDE), load(couple, i, WIDE) * was)
    store(li, i, now)
    store(lv, i, load(par, A_M * states + i, WIDE) * was)
    return now


@njit(cache=True, nogil=True, forceinline=True)
def flow_alike(par: Any, at: Any, i: Any, couple: Any, lv: Any, li: Any) -> Any:
    """`flow` where all neurons have the coefficients of neuron ``at``."""
    was = load(lv, i, WIDE)
    now = fma(splat(par, par[A_S, at], WIDE), load(li, i, WIDE), splat(par, couple[at], WIDE) * was)
    store(li, i, now)
    store(lv, i, splat(par, par[A_M, at], WIDE) * was)
    return now


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def backward(
    n_steps: Any,
    event_start: Any,
    event_unit: Any,
    sizes: Any,
    par: Any,
    alike: Any,
    weights: Any,
    omega: Any,
    a_mean: Any,
    c_mean: Any,
    error: Any,
    regular: Any,
    slope_kind: Any,
    slope_floor: Any,
    tape_start: Any,
    tape_unit: Any,
    tape_current: Any,
    tape_x: Any,
    back: Any,
    history: Any,
    gradient: Any,
    space: Any,
) -> Any:
    """Adjoint of one sample: adds Σ λ_I at arrivals to ``gradient`` (same layout as ``weights``).

    error (padded outputs,): ∂l/∂z. regular (states,): r_j/θ of the rate term. back (capacity,):
    work space, R of each spike. history (n_steps·width,) takes λ_I of the first layer for
    `arrivals.row_gradient`, which then adds the rows of the Input and of that layer's recurrence; empty:
    they are added here. space: as there. The gradient of a weight is −τ_s·s_post times what is
    added here (EVENTPROP.md §4 with w_EventProp = s·w). Returns how often the slope was clamped from below.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    lv, li = blank(states, par), blank(states, par)
    gain_v, gain_i, d = space[2], space[3], space[4]
    couple = par[COUPLE]
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    for i in range(out_width):
        gain_v[i] = error[i] * a_mean[i] / par[TAU_M, out + i]
        gain_i[i] = error[i] * c_mean[i] / par[TAU_S, out + i]
    back[: tape_start[0, n_steps]] = 0
    clamped = 0
    recorded = len(history) > 0
    for k in range(n_steps - 1, -1, -1):
        impulse = splat(par, -omega[k], NARROW)
        for c in range(0, out_width, NARROW):
            i = out + c
            o_v, o_i = load(lv, i, NARROW), impulse * load(gain_i, c, NARROW)
            o_i = fma(load(couple, i, NARROW), o_v, o_i)
            store(li, i, fma(load(par, A_S * states + i, NARROW), load(li, i, NARROW), o_i))
            o_v = load(par, A_M * states + i, NARROW) * o_v
            store(lv, i, fma(impulse, load(gain_v, c, NARROW), o_v))
        above = layers
        for layer in range(layers - 1, -1, -1):
            at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
            first = tape_start[layer, k]
            last = tape_start[layer + 1, k] if layer + 1 < layers else tape_start[0, k + 1]
            if last > first:
                _arrivals(
                    sizes,
                    above,
                    FORWARD,
                    par,
                    weights,
                    tape_unit,
                    first,
                    last,
                    lv,
                    li,
                    d,
                    back,
                    gradient,
                    True,
                )
            for s in range(first, last):
                j = at + tape_unit[s]
                tau_m, tau_s = par[TAU_M, j], par[TAU_S, j]
                e, theta = par[V_LEAK, j], par[THETA, j]
                rise = tape_current[s] + e - theta
                if rise < slope_floor * theta:
                    rise = slope_floor * theta
                    clamped += 1
                a = (lv[j] * (tape_current[s] + e - par[V_RESET, j]) + back[s]) * tau_m / rise - regular[j]
                if slope_kind == CROSSING:
                    x = tape_x[s]
                    h = 1 / tau_s - 1 / tau_m
                    q = -h * x
                    phi = 1 - q / 2 + q * q / 6 if abs(q) < 1e-5 else (1 - math.exp(-q)) / q
                    em = math.exp(x / tau_m)
                    lv[j] = a / tau_m * em
                    li[j] += a / tau_s * (-x / tau_m * em * phi)
                else:
                    lv[j] = a / tau_m
            event_first, event_last = 0, 0
            if layer == 0 and not recorded:
                event_first, event_last = event_start[k], event_start[k + 1]
            base = sizes[layer, FORWARD]
            for c in range(0, width, WIDE):
                i = at + c
                h_i = flow_alike(par, at, i, couple, lv, li) if alike[layer] else flow(par, i, couple, lv, li)
                if layer == 0 and recorded:
                    store(history, c * n_steps + k * WIDE, h_i)
                for event in range(event_first, event_last):
                    place = base + event_unit[event] * width + c
                    store(gradient, place, load(gradient, place, WIDE) + h_i)
            if k > 0 and sizes[layer, RECURRENT] >= 0:
                first = tape_start[layer, k - 1]
                last = tape_start[layer + 1, k - 1] if layer + 1 < layers else tape_start[0, k]
                if last > first:
                    _arrivals(
                        sizes, layer, RECURRENT, par, weights, tape_unit, first, last, lv, li, d, back,
                        gradient, layer > 0 or not recorded,
                    )  # fmt: skip
            above = layer
    return clamped


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST, error_model="numpy")
def _arrivals(
    sizes: Any, target: Any, kind: Any, par: Any, weights: Any, tape_unit: Any, first: Any, last: Any,
    lv: Any, li: Any, d: Any, back: Any, gradient: Any, rows: Any,
) -> None:  # fmt: skip
    """Spikes first:last arrive at layer ``target``: R += Σ w·s·(λ_V − λ_I), gradient ``rows`` += λ_I."""
    at, width, base = sizes[target, OFFSET], sizes[target, PADDED], sizes[target, kind]
    direct = sizes[target, DIRECT]
    states = par.shape[1]
    for i in range(at, at + width, NARROW):
        jump = load(lv, i, NARROW)
        if direct:
            store(li, i, jump)  # a weight of an LI jumps V, and its adjoint is what rows read
            store(d, i, splat(par, 0.0, NARROW) - load(par, SCALE * states + i, NARROW) * jump)
        else:
            store(d, i, load(par, SCALE * states + i, NARROW) * (jump - load(li, i, NARROW)))
    for s in range(first, last):
        row = base + tape_unit[s] * width
        c = 0
        wide, narrow = splat(par, 0.0, WIDE), splat(par, 0.0, NARROW)
        while c + WIDE <= width:
            wide = fma(load(weights, row + c, WIDE), load(d, at + c, WIDE), wide)
            if rows:
                store(gradient, row + c, load(gradient, row + c, WIDE) + load(li, at + c, WIDE))
            c += WIDE
        while c < width:
            narrow = fma(load(weights, row + c, NARROW), load(d, at + c, NARROW), narrow)
            if rows:
                store(gradient, row + c, load(gradient, row + c, NARROW) + load(li, at + c, NARROW))
            c += NARROW
        back[s] += total(wide) + total(narrow)
