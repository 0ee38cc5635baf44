"""Forward and adjoint of one sample on a fixed step (mode `step` of EVENTPROP.md §3 and §4).

A stack of hidden layers l = 0 … L−1, each with optional recurrence, and a non-spiking read-out.
With x the sum of the weights that arrive in a step (those of the layer before in the same step,
recurrent ones a step late), every layer computes

    I ← a_s·I + b_s·x      V ← a_m·V + leak + b_m·I      spike where V ≥ θ, then V ← V_r

in the order of operations of the reference target, so that both give the same bits. In EventProp's
own variables the current is I·b_m/κ(dt) and the weight w·s with s = b_s·b_m/κ(dt).

Arrays of all layers lie one after the other, each padded to a multiple of 16 neurons that never
spike. ``sizes`` (L+1, 7) int64 has a row a layer, the read-out last: offset into the state arrays,
padded size, neurons, offset of the feed-forward weights, rows of those weights, offset of the
recurrent weights or −1, and 1 for an LI read-out (its input is a jump of V, there is no current).
Weights are [pre, post], rows padded like the layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.arrivals import add_line, add_rows

use_cache(__name__)

OFFSET, PADDED, NEURONS, FORWARD, ROWS, RECURRENT, DIRECT = range(7)
# rows of `par` (12, states)
A_S, B_S, A_M, B_M, LEAK, THETA, V_RESET, TAU_M, TAU_S, KAPPA, V_LEAK, SCALE = range(12)
START, CROSSING, SUBSTEP = range(3)
BLOCK = 16  # neurons whose spike test is made at once; layers are padded to it
WIDE = 64  # most steps, most neurons are silent: first ask for this many


@njit(cache=True, nogil=True)
def _any_at(v: Any, par: Any, first: Any, last: Any) -> Any:
    """True where one of the neurons first … last−1 is at or above threshold; a test that vectorises."""
    hit = False
    for i in range(np.uint64(first), np.uint64(last)):
        hit |= v[i] >= par[THETA, i]
    return hit


@njit(cache=True, nogil=True)
def _crossing(v0: Any, current: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, dt: Any) -> Any:
    """Time of V(t) = θ in [0, dt], from V(0) = v0 < θ and V(dt) ≥ θ: Newton, guarded by bisection."""
    low, high = 0.0, dt
    h = 1.0 / tau_s - 1.0 / tau_m
    t = dt * 0.5
    for _ in range(40):
        z = h * t
        phi = 1.0 - z / 2 + z * z / 6 if abs(z) < 1e-5 else -math.expm1(-z) / z
        em = math.exp(-t / tau_m)
        kappa = t / tau_m * em * phi
        v = e + (v0 - e) * em + kappa * current
        f = v - theta
        if f > 0:
            high = t
        else:
            low = t
        slope = (current * math.exp(-t / tau_s) + e - v) / tau_m
        step = f / slope if slope > 0 else 2 * dt
        new = t - step
        if not low < new < high:
            new = 0.5 * (low + high)
        if abs(new - t) <= 1e-15 * dt:
            return new
        t = new
    return t


@njit(cache=True, nogil=True)
def _note_spike(
    i: Any, at: Any, v: Any, current: Any, par: Any, dt: Any, slope_kind: Any, tape_current: Any, tape_x: Any
) -> None:
    """EventProp's I of spiking neuron i at the step's start, or I and time at the analytic crossing."""
    i0 = current[i] * par[B_M, i] / par[KAPPA, i]
    tape_current[at] = i0
    tape_x[at] = 0
    if slope_kind == CROSSING:
        v0 = (v[i] - par[LEAK, i] - par[B_M, i] * current[i]) / par[A_M, i]
        t = _crossing(
            float(v0),
            float(i0),
            float(par[V_LEAK, i]),
            float(par[THETA, i]),
            float(par[TAU_M, i]),
            float(par[TAU_S, i]),
            dt,
        )
        tape_x[at] = dt - t
        tape_current[at] = i0 * math.exp(-t / par[TAU_S, i])


@njit(cache=True, nogil=True)
def forward(
    n_steps: Any,
    dt: Any,
    event_start: Any,
    event_unit: Any,
    line: Any,
    loop_at: Any,
    sizes: Any,
    par: Any,
    weights: Any,
    omega: Any,
    a_mean: Any,
    c_mean: Any,
    slope_kind: Any,
    omega_read: Any,
    tape_start: Any,
    tape_unit: Any,
    tape_current: Any,
    tape_x: Any,
    z: Any,
    score: Any,
) -> Any:
    """Run one sample forward.

    line, loop_at: branches of the Input and the rank of the recurrent node among them, see `arrivals`.
    omega (n_steps,): weight of a step's mean read-out in ``z`` (padded outputs,), dt included.
    omega_read (n_steps,) float64: weight of V at the step's end in ``score`` (padded outputs,).
    a_mean, c_mean (padded outputs,): A and C/dt of the exact step mean, EVENTPROP.md §3.
    tape_start (L, n_steps+1) int64 into tape_unit, tape_current (EventProp's I at the step's start or at the
    crossing) and tape_x (seconds from the crossing to the step's end), (capacity,) each.
    Returns the number of tape entries needed; if above the capacity the tape is incomplete.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    v = np.zeros(states, par.dtype)
    current = np.zeros(states, par.dtype)
    x_forward = np.empty(states, par.dtype)
    x_loop = np.empty(states, par.dtype)
    part = np.empty(sizes[0, PADDED], par.dtype)
    copies = len(line)
    capacity = len(tape_unit)
    used = 0
    z[:] = 0
    score[:] = 0
    previous_first = np.zeros(layers, np.int64)
    previous_last = np.zeros(layers, np.int64)
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    first_out, n_out = np.uint64(out), np.uint64(out_width)
    c_gain = np.empty(out_width, par.dtype)  # from the current to C·I0/dt
    for i in range(out_width):
        c_gain[i] = c_mean[i] * par[B_M, out + i] / par[KAPPA, out + i]
    for k in range(n_steps):
        below_first, below_last = 0, 0
        for layer in range(layers):
            at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
            begin, end = np.uint64(at), np.uint64(at + width)
            x_forward[at : at + width] = 0
            base = sizes[layer, FORWARD]
            first, last = previous_first[layer], previous_last[layer]
            looped = sizes[layer, RECURRENT] >= 0 and last > first
            if looped:
                x_loop[at : at + width] = 0
                add_rows(x_loop, at, weights, sizes[layer, RECURRENT], width, tape_unit, first, last)
            if layer > 0:
                add_rows(x_forward, at, weights, base, width, tape_unit, below_first, below_last)
            elif copies == 1 and line[0] == 0:
                add_rows(x_forward, at, weights, base, width, event_unit, event_start[k], event_start[k + 1])
            else:
                add_line(
                    x_forward, part, weights, base, width, sizes[0, ROWS] // copies, line, k, event_start,
                    event_unit, x_loop, loop_at if looped else -1,
                )  # fmt: skip
                looped = False
            if looped:
                for i in range(begin, end):
                    current[i] = par[A_S, i] * current[i] + par[B_S, i] * (x_forward[i] + x_loop[i])
            else:
                for i in range(begin, end):
                    current[i] = par[A_S, i] * current[i] + par[B_S, i] * x_forward[i]
            for i in range(begin, end):
                v[i] = par[A_M, i] * v[i] + par[LEAK, i] + par[B_M, i] * current[i]
            tape_start[layer, k] = used
            for wide in range(at, at + width, WIDE):
                edge = min(wide + WIDE, at + width)
                if not _any_at(v, par, wide, edge):
                    continue
                for block in range(wide, edge, BLOCK):
                    if not _any_at(v, par, block, block + BLOCK):
                        continue
                    for i in range(block, block + BLOCK):
                        if v[i] >= par[THETA, i]:
                            if used < capacity:
                                tape_unit[used] = i - at
                                _note_spike(i, used, v, current, par, dt, slope_kind, tape_current, tape_x)
                            used += 1
                            v[i] = par[V_RESET, i]
            if used > capacity:
                return used + (n_steps - k) * states
            below_first, below_last = tape_start[layer, k], used
            previous_first[layer], previous_last[layer] = below_first, below_last
        x_forward[out : out + out_width] = 0
        add_rows(
            x_forward, out, weights, sizes[layers, FORWARD], out_width, tape_unit, below_first, below_last
        )
        weight_read, weight_mean = omega_read[k], omega[k]
        for i in range(n_out):
            s = first_out + i
            current[s] = par[A_S, s] * current[s] + par[B_S, s] * x_forward[s]
        if sizes[layers, DIRECT]:
            for i in range(n_out):
                s = first_out + i
                v[s] = par[A_M, s] * v[s] + par[LEAK, s] + par[B_M, s] * current[s]
                z[i] += weight_mean * v[s]
        else:
            for i in range(n_out):
                s = first_out + i
                e = par[V_LEAK, s]
                z[i] += weight_mean * (e + a_mean[i] * (v[s] - e) + c_gain[i] * current[s])
                v[s] = par[A_M, s] * v[s] + par[LEAK, s] + par[B_M, s] * current[s]
        for i in range(n_out):
            score[i] += weight_read * v[first_out + i]
    for layer in range(layers):
        tape_start[layer, n_steps] = used
    return used


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def backward(
    n_steps: Any,
    event_start: Any,
    event_unit: Any,
    sizes: Any,
    par: Any,
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
) -> Any:
    """Adjoint of one sample: adds Σ λ_I at arrivals to ``gradient`` (same layout as ``weights``).

    error (padded outputs,): ∂l/∂z. regular (states,): r_j/θ of the rate term. back (capacity,):
    work space, R of each spike. history (n_steps·width,) takes λ_I of the first layer for
    `arrivals.line_gradient`; empty: rows of the Input are added here. The gradient of a weight is
    −τ_s·s_post times what is added here
    (EVENTPROP.md §4 with w_EventProp = s·w). Returns how often the slope was clamped from below.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    lv = np.zeros(states, par.dtype)
    li = np.zeros(states, par.dtype)
    d = np.zeros(states, par.dtype)
    couple = np.empty(states, par.dtype)
    for s in range(states):
        couple[s] = par[TAU_M, s] / par[TAU_S, s] * par[KAPPA, s]
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    gain_v = np.empty(out_width, par.dtype)
    gain_i = np.empty(out_width, par.dtype)
    for i in range(out_width):
        gain_v[i] = error[i] * a_mean[i] / par[TAU_M, out + i]
        gain_i[i] = error[i] * c_mean[i] / par[TAU_S, out + i]
    back[: tape_start[0, n_steps]] = 0
    clamped = 0
    for k in range(n_steps - 1, -1, -1):
        g = omega[k]
        for i in range(np.uint64(out_width)):
            o = np.uint64(out) + i
            li[o] = par[A_S, o] * li[o] + couple[o] * lv[o] - g * gain_i[i]
            lv[o] = par[A_M, o] * lv[o] - g * gain_v[i]
        above = layers
        for layer in range(layers - 1, -1, -1):
            at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
            first = tape_start[layer, k]
            last = tape_start[layer + 1, k] if layer + 1 < layers else tape_start[0, k + 1]
            if last > first:
                _arrivals(
                    sizes, above, FORWARD, par, weights, tape_unit, first, last, lv, li, d, back, gradient
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
            for i in range(np.uint64(at), np.uint64(at + width)):
                li[i] = par[A_S, i] * li[i] + couple[i] * lv[i]
                lv[i] = par[A_M, i] * lv[i]
            if layer == 0 and len(history):
                to = np.uint64(k * width)
                for i in range(np.uint64(width)):
                    history[to + i] = li[np.uint64(at) + i]
            elif layer == 0:
                base = sizes[0, FORWARD]
                ua = np.uint64(at)
                un = np.uint64(width)
                for event in range(event_start[k], event_start[k + 1]):
                    place = np.uint64(base + event_unit[event] * width)
                    for i in range(un):
                        gradient[place + i] += li[ua + i]
            if k > 0 and sizes[layer, RECURRENT] >= 0:
                first = tape_start[layer, k - 1]
                last = tape_start[layer + 1, k - 1] if layer + 1 < layers else tape_start[0, k]
                if last > first:
                    _arrivals(
                        sizes,
                        layer,
                        RECURRENT,
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
                    )
            above = layer
    return clamped


@njit(cache=True, nogil=True, fastmath={"reassoc", "contract", "nsz", "arcp"}, error_model="numpy")
def _arrivals(
    sizes: Any,
    target: Any,
    kind: Any,
    par: Any,
    weights: Any,
    tape_unit: Any,
    first: Any,
    last: Any,
    lv: Any,
    li: Any,
    d: Any,
    back: Any,
    gradient: Any,
) -> None:
    """Spikes first:last arrive at layer ``target``: R += Σ w·s·(λ_V − λ_I), gradient rows += λ_I."""
    at, base = np.uint64(sizes[target, OFFSET]), np.uint64(sizes[target, kind])
    width = np.uint64(sizes[target, PADDED])
    if sizes[target, DIRECT]:
        for i in range(width):
            d[i] = -par[SCALE, at + i] * lv[at + i]
    else:
        for i in range(width):
            d[i] = par[SCALE, at + i] * (lv[at + i] - li[at + i])
    row = lv if sizes[target, DIRECT] else li
    for s in range(first, last):
        place = base + np.uint64(tape_unit[s]) * width
        total = par.dtype.type(0)
        for i in range(width):
            total += weights[place + i] * d[i]
            gradient[place + i] += row[at + i]
        back[s] += total
