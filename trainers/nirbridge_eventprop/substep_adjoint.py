"""Adjoint of one sample in mode `substep` (EVENTPROP.md §4): exact for the loss at the given step."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, WIDE, blank, fma, load, splat, store, total
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    FORWARD,
    KAPPA,
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
) -> Any:
    """Adjoint of one sample; arguments as `step_adjoint.backward` and `substep.forward`.

    history: takes λ_I for the rows of the Input alone. Returns how often the slope was clamped.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    lv = blank(states, par)
    li = blank(states, par)
    em = blank(states, par)
    es = blank(states, par)
    kx = blank(states, par)
    ratio = blank(states, par)  # τm/τs
    couple = blank(states, par)
    for s in range(states):
        ratio[s] = par[TAU_M, s] / par[TAU_S, s]
        couple[s] = ratio[s] * par[KAPPA, s]
    out, n_out = sizes[layers, OFFSET], sizes[layers, PADDED]
    first_width, base = sizes[0, PADDED], sizes[0, FORWARD]
    gain_v = blank(n_out, par)
    gain_i = blank(n_out, par)
    for i in range(n_out):
        gain_v[i] = error[i] * a_mean[i] / par[TAU_M, out + i]
        gain_i[i] = error[i] * c_mean[i] / par[TAU_S, out + i]
    recorded = len(history) > 0
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        last = tape_start[k + 1]
        while last > tape_start[k]:
            first = last - 1
            while first > tape_start[k] and tape_round[first - 1] == tape_round[last - 1]:
                first -= 1
            layer = 0
            for s in range(first, last):
                while tape_unit[s] >= sizes[layer, OFFSET] + sizes[layer, PADDED]:
                    layer += 1
                row = tape_unit[s] - sizes[layer, OFFSET]
                if not shared:
                    factors_of(sizes, layer + 1, par, tape_x[s], series, em, es, kx)
                if layer + 1 == layers:
                    back[s] = _arrive_out(
                        sizes, row, s, omega[k] / dt, par, shared, weights, lv, li, tape_factors, em, es, kx,
                        ratio, error, gradient,
                    )  # fmt: skip
                else:
                    back[s] = _arrive(
                        sizes, layer + 1, FORWARD, row, s, par, shared, weights, lv, li, tape_factors, em, es,
                        kx, ratio, gradient,
                    )  # fmt: skip
                if sizes[layer, RECURRENT] >= 0:
                    if not shared:
                        factors_of(sizes, layer, par, tape_x[s], series, em, es, kx)
                    back[s] += _arrive(
                        sizes, layer, RECURRENT, row, s, par, shared, weights, lv, li, tape_factors, em, es,
                        kx, ratio, gradient,
                    )  # fmt: skip
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
    li: Any, tape_factors: Any, em: Any, es: Any, kx: Any, ratio: Any, gradient: Any,
) -> Any:  # fmt: skip
    """A folded arrival of spike s: gradient row += i, returns R = Σ w·s·(v − i) (EVENTPROP.md §4).

    em, es, kx (states,): what `factors_of` gives for the layer, read where time constants are not shared.
    """
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    states = par.shape[1]
    place = sizes[layer, kind] + row * width
    found = splat(par, 0.0, WIDE)
    decay_m, decay_s = splat(par, tape_factors[0, s], WIDE), splat(par, tape_factors[1, s], WIDE)
    gain = splat(par, tape_factors[2, s] * ratio[at], WIDE)
    for c in range(0, width, WIDE):
        i = at + c
        if not shared:
            decay_m, decay_s = load(em, i, WIDE), load(es, i, WIDE)
            gain = load(kx, i, WIDE) * load(ratio, i, WIDE)
        to_v = load(lv, i, WIDE)
        arrived = fma(gain, to_v, decay_s * load(li, i, WIDE))
        jump = load(weights, place + c, WIDE) * load(par, SCALE * states + i, WIDE)
        found = fma(jump, decay_m * to_v - arrived, found)
        store(gradient, place + c, load(gradient, place + c, WIDE) + arrived)
    return total(found)


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST, error_model="numpy")
def _arrive_out(
    sizes: Any, row: Any, s: Any, weight: Any, par: Any, shared: Any, weights: Any, lv: Any, li: Any,
    tape_factors: Any, em: Any, es: Any, kx: Any, ratio: Any, error: Any, gradient: Any,
) -> Any:  # fmt: skip
    """`_arrive` at the read-out, whose step mean hears the spike, too. weight: of that mean in z, over dt."""
    layer = len(sizes) - 1
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    states = par.shape[1]
    place = sizes[layer, FORWARD] + row * width
    one, found = splat(par, 1.0, NARROW), splat(par, 0.0, NARROW)
    decay_m, decay_s = splat(par, tape_factors[0, s], NARROW), splat(par, tape_factors[1, s], NARROW)
    gain = splat(par, tape_factors[2, s] * ratio[at], NARROW)
    for c in range(0, width, NARROW):
        i = at + c
        if not shared:
            decay_m, decay_s = load(em, i, NARROW), load(es, i, NARROW)
            gain = load(kx, i, NARROW) * load(ratio, i, NARROW)
        impulse = splat(par, weight, NARROW) * load(error, c, NARROW)  # ∂L/∂Vm of the step, over dt
        to_v = load(lv, i, NARROW)
        arrived = fma(gain, to_v, decay_s * load(li, i, NARROW)) - impulse * (one - decay_s - gain)
        v_then = decay_m * to_v - impulse * (one - decay_m)
        jump = load(weights, place + c, NARROW) * load(par, SCALE * states + i, NARROW)
        found = fma(jump, v_then - arrived, found)
        store(gradient, place + c, load(gradient, place + c, NARROW) + arrived)
    return total(found)
