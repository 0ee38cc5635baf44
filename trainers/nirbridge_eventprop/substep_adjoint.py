"""Adjoint of one sample in mode `substep` (EVENTPROP.md §4): exact for the loss at the given step."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, WIDE, fma, load, splat, store, total
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    COUPLE,
    FORWARD,
    OFFSET,
    PADDED,
    RATIO,
    RECURRENT,
    SCALE,
    TAU_M,
    TAU_S,
    THETA,
    V_LEAK,
    V_RESET,
)
from nirbridge_eventprop.step_adjoint import flow, flow_alike
from nirbridge_eventprop.substep_spike import FAST, factors_of

use_cache(__name__)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def backward(
    n_steps: Any,
    dt: Any,
    event_start: Any,
    event_unit: Any,
    sizes: Any,
    par: Any,
    alike: Any,
    shared: Any,
    series: Any,
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
    space: Any,
) -> Any:
    """Adjoint of one sample; arguments as `step_adjoint.backward` and `substep.forward`.

    history: takes λ_I for the rows of the Input alone. Returns how often the slope was clamped.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    lv, li = space[0], space[1]
    lv[:] = 0
    li[:] = 0
    gain_v, gain_i = space[2], space[3]
    em, es, kx = space[4], space[5], space[6]
    ratio, couple = par[RATIO], par[COUPLE]
    out, n_out = sizes[layers, OFFSET], sizes[layers, PADDED]
    first_width, base = sizes[0, PADDED], sizes[0, FORWARD]
    for i in range(n_out):
        gain_v[i] = error[i] * a_mean[i] / par[TAU_M, out + i]
        gain_i[i] = error[i] * c_mean[i] / par[TAU_S, out + i]
    recorded = len(history) > 0
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        last = tape_start[k + 1]
        while last > tape_start[k]:
            first = last - 1 if tape_round[last - 1] > 0 else tape_start[k]
            while first > tape_start[k] and tape_round[first - 1] == tape_round[last - 1]:
                first -= 1
            begin = first
            for layer in range(layers):
                edge = sizes[layer, OFFSET] + sizes[layer, PADDED]
                end = last if layer + 1 == layers else begin
                while end < last and tape_unit[end] < edge:
                    end += 1
                at, last_layer = sizes[layer, OFFSET], layer + 1 == layers
                if last_layer and shared:
                    _arrive_out(
                        sizes, begin, end, omega[k] / dt, par, weights, lv, li, tape_unit, tape_factors,
                        error, back, gradient,
                    )  # fmt: skip
                for s in range(begin, begin if last_layer and shared else end):
                    if not shared:
                        factors_of(sizes, layer + 1, par, tape_x[s], series, em, es, kx)
                    if last_layer:
                        back[s] = _arrive_out_each(
                            sizes, tape_unit[s] - at, omega[k] / dt, par, weights, lv, li, em, es, kx, error,
                            gradient,
                        )  # fmt: skip
                    else:
                        back[s] = _arrive(
                            sizes, layer + 1, FORWARD, tape_unit[s] - at, s, par, shared, weights, lv, li,
                            tape_factors, em, es, kx, gradient,
                        )  # fmt: skip
                for s in range(begin, end if sizes[layer, RECURRENT] >= 0 else begin):
                    if not shared:
                        factors_of(sizes, layer, par, tape_x[s], series, em, es, kx)
                    back[s] += _arrive(
                        sizes, layer, RECURRENT, tape_unit[s] - at, s, par, shared, weights, lv, li,
                        tape_factors, em, es, kx, gradient,
                    )  # fmt: skip
                begin = end
            for s in range(first, last):
                j = tape_unit[s]
                tau_m, e, theta = par[TAU_M, j], par[V_LEAK, j], par[THETA, j]
                rise = tape_current[s] + e - theta
                if rise < slope_floor * theta:
                    rise = slope_floor * theta
                    clamped += 1
                lp = lv[j]
                lc = lp * tape_factors[0, s]
                a = (lc * (tape_current[s] + e - par[V_RESET, j]) + back[s]) * tau_m / rise - regular[j]
                lv[j] = a / (tau_m * tape_factors[0, s])
                li[j] += ratio[j] * tape_factors[2, s] * (lp - lv[j]) / tape_factors[1, s]
            last = first
        impulse = splat(par, -omega[k], NARROW)
        for c in range(0, n_out, NARROW):
            i = out + c
            o_v = load(lv, i, NARROW)
            o_i = fma(load(couple, i, NARROW), o_v, impulse * load(gain_i, c, NARROW))
            store(li, i, fma(load(par, A_S * states + i, NARROW), load(li, i, NARROW), o_i))
            o_v = load(par, A_M * states + i, NARROW) * o_v
            store(lv, i, fma(impulse, load(gain_v, c, NARROW), o_v))
        event_first, event_last = event_start[k], event_start[k + 1]
        if recorded:
            event_last = event_first
        for layer in range(layers):
            at = sizes[layer, OFFSET]
            for i in range(at, at + sizes[layer, PADDED], WIDE):
                h_i = flow_alike(par, at, i, couple, lv, li) if alike[layer] else flow(par, i, couple, lv, li)
                if layer == 0:
                    if recorded:
                        store(history, i * n_steps + k * WIDE, h_i)
                    for event in range(event_first, event_last):
                        place = base + event_unit[event] * first_width + i
                        store(gradient, place, load(gradient, place, WIDE) + h_i)
    return clamped


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST, error_model="numpy")
def _arrive(
    sizes: Any, layer: Any, kind: Any, row: Any, s: Any, par: Any, shared: Any, weights: Any, lv: Any,
    li: Any, tape_factors: Any, em: Any, es: Any, kx: Any, gradient: Any,
) -> Any:  # fmt: skip
    """A folded arrival of spike s: gradient row += i, returns R = Σ w·s·(v − i) (EVENTPROP.md §4).

    em, es, kx (states,): what `factors_of` gives for the layer, read where time constants are not shared.
    """
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    states = par.shape[1]
    place = sizes[layer, kind] + row * width
    found = splat(par, 0.0, WIDE)
    decay_m, decay_s = splat(par, tape_factors[0, s], WIDE), splat(par, tape_factors[1, s], WIDE)
    gain = splat(par, tape_factors[2, s] * par[RATIO, at], WIDE)
    for c in range(0, width, WIDE):
        i = at + c
        if not shared:
            decay_m, decay_s = load(em, i, WIDE), load(es, i, WIDE)
            gain = load(kx, i, WIDE) * load(par, RATIO * states + i, WIDE)
        to_v = load(lv, i, WIDE)
        arrived = fma(gain, to_v, decay_s * load(li, i, WIDE))
        jump = load(weights, place + c, WIDE) * load(par, SCALE * states + i, WIDE)
        found = fma(jump, decay_m * to_v - arrived, found)
        store(gradient, place + c, load(gradient, place + c, WIDE) + arrived)
    return total(found)


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST, error_model="numpy")
def _arrive_out(
    sizes: Any, first: Any, last: Any, weight: Any, par: Any, weights: Any, lv: Any, li: Any, tape_unit: Any,
    tape_factors: Any, error: Any, back: Any, gradient: Any,
) -> None:  # fmt: skip
    """`_arrive` of spikes first:last at the read-out, whose step mean hears them, too; R goes to ``back``.

    weight: of that mean in z, over dt. All neurons share their time constants. With p = ∂L/∂Vm over dt, g =
    κτm/τs: i = g·(λV + p) + e^(−x/τs)·(λI + p) − p and v = e^(−x/τm)·(λV + p) − p.
    """
    layer = len(sizes) - 1
    at, width, base = sizes[layer, OFFSET], sizes[layer, PADDED], sizes[layer, FORWARD]
    below, ratio = sizes[layer - 1, OFFSET], par[RATIO, at]
    for c in range(0, width, NARROW):
        i = at + c
        impulse = splat(par, weight, NARROW) * load(error, c, NARROW)
        to_v, to_i = load(lv, i, NARROW) + impulse, load(li, i, NARROW) + impulse
        scale = load(par, SCALE * par.shape[1] + i, NARROW)
        scaled_v, scaled_i = scale * to_v, scale * to_i
        for s in range(first, last):
            place = base + (tape_unit[s] - below) * width + c
            gain = tape_factors[2, s] * ratio
            decay = splat(par, tape_factors[1, s], NARROW)
            rest = splat(par, tape_factors[0, s] - gain, NARROW)
            arrived = fma(splat(par, gain, NARROW), to_v, decay * to_i) - impulse
            found = total(load(weights, place, NARROW) * (rest * scaled_v - decay * scaled_i))
            back[s] = found + (back[s] if c > 0 else 0)
            store(gradient, place, load(gradient, place, NARROW) + arrived)


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST, error_model="numpy")
def _arrive_out_each(
    sizes: Any, row: Any, weight: Any, par: Any, weights: Any, lv: Any, li: Any, em: Any, es: Any, kx: Any,
    error: Any, gradient: Any,
) -> Any:  # fmt: skip
    """`_arrive_out` of one spike where time constants differ; returns R."""
    layer = len(sizes) - 1
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    states = par.shape[1]
    place = sizes[layer, FORWARD] + row * width
    found = splat(par, 0.0, NARROW)
    for c in range(0, width, NARROW):
        i = at + c
        impulse = splat(par, weight, NARROW) * load(error, c, NARROW)
        to_v, to_i = load(lv, i, NARROW) + impulse, load(li, i, NARROW) + impulse
        gain = load(kx, i, NARROW) * load(par, RATIO * states + i, NARROW)
        arrived = fma(gain, to_v, load(es, i, NARROW) * to_i)
        jump = load(weights, place + c, NARROW) * load(par, SCALE * states + i, NARROW)
        found = fma(jump, load(em, i, NARROW) * to_v - arrived, found)
        store(gradient, place + c, load(gradient, place + c, NARROW) + (arrived - impulse))
    return total(found)
