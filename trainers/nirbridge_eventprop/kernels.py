"""Forward pass of one sample on a fixed step (mode `step` of EVENTPROP.md §3).

A stack of hidden layers l = 0 … L−1, each with optional recurrence, and a non-spiking read-out.
With x the sum of the weights that arrive in a step (those of the layer before in the same step,
recurrent ones a step late), every layer computes

    I ← a_s·I + b_s·x      V ← a_m·V + leak + b_m·I      spike where V ≥ θ, then V ← V_r

in the order of operations of the reference target, so that both give the same bits. In EventProp's
own variables the current is I·b_m/κ(dt) and the weight w·s with s = b_s·b_m/κ(dt).

Arrays of all layers lie one after the other, hidden ones padded to a multiple of 64 neurons, the read-out
to one of 16, that never spike. ``sizes`` (L+1, 7) int64 has a row a layer, the read-out last: offset into
the state arrays, padded size, neurons, offset of the feed-forward weights, rows of those weights, offset of
the recurrent weights or −1, and 1 for an LI read-out (its input is a jump of V, there is no current).
Weights are [pre, post], rows padded like the layer.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import (
    NARROW,
    WIDE,
    at_least,
    blank,
    double,
    load,
    lowest,
    plus_rows,
    splat,
    store,
)
from nirbridge_eventprop.arrivals import add_line, add_rows

use_cache(__name__)

OFFSET, PADDED, NEURONS, FORWARD, ROWS, RECURRENT, DIRECT = range(7)
# rows of `par` (14, states); RATIO is τm/τs, COUPLE that times κ(dt)
A_S, B_S, A_M, B_M, LEAK, THETA, V_RESET, TAU_M, TAU_S, KAPPA, V_LEAK, SCALE, RATIO, COUPLE = range(14)
START, CROSSING, SUBSTEP = range(3)


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


@njit(cache=True, nogil=True, forceinline=True)
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


@njit(cache=True, nogil=True, forceinline=True)
def _advance(par: Any, i: Any, x: Any, current: Any, v: Any) -> Any:
    """I and V of neurons i … i+63 a step on, with input x; bits of those at or above threshold."""
    states = par.shape[1]
    flow = load(par, A_S * states + i, WIDE) * load(current, i, WIDE)
    flow = flow + load(par, B_S * states + i, WIDE) * x
    store(current, i, flow)
    rise = load(par, A_M * states + i, WIDE) * load(v, i, WIDE) + load(par, LEAK * states + i, WIDE)
    rise = rise + load(par, B_M * states + i, WIDE) * flow
    store(v, i, rise)
    return at_least(rise, load(par, THETA * states + i, WIDE))


@njit(cache=True, nogil=True, forceinline=True)
def _advance_alike(par: Any, at: Any, i: Any, x: Any, current: Any, v: Any) -> Any:
    """`_advance` where all neurons have the coefficients of neuron ``at``, but for the threshold."""
    flow = splat(par, par[A_S, at], WIDE) * load(current, i, WIDE) + splat(par, par[B_S, at], WIDE) * x
    store(current, i, flow)
    rise = splat(par, par[A_M, at], WIDE) * load(v, i, WIDE) + splat(par, par[LEAK, at], WIDE)
    rise = rise + splat(par, par[B_M, at], WIDE) * flow
    store(v, i, rise)
    return at_least(rise, load(par, THETA * par.shape[1] + i, WIDE))


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
    alike: Any,
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
    space: Any,
) -> Any:
    """Run one sample forward.

    alike (L+1,) bool: the neurons of a layer have the same coefficients, but for threshold and reset.
    line, loop_at: branches of the Input and the rank of the recurrent node among them, see `arrivals`.
    omega (n_steps,): weight of a step's mean read-out in ``z`` (padded outputs,), dt included.
    omega_read (n_steps,) float64: weight of V at the step's end in ``score`` (padded outputs,).
    a_mean, c_mean (padded outputs,): A and C/dt of the exact step mean, EVENTPROP.md §3.
    tape_start (L, n_steps+1) int64 into tape_unit, tape_current (EventProp's I at the step's start or at the
    crossing) and tape_x (seconds from the crossing to the step's end), (capacity,) each.
    space (8, states or more, at least `WORK` in mode `substep`): work space.
    Returns the number of tape entries needed; if above the capacity the tape is incomplete.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    v, current = blank(states, par), blank(states, par)
    x_line, x_loop, c_gain = space[2], space[3], space[4]
    copies = len(line)
    plain = copies == 1 and line[0] == 0
    capacity = len(tape_unit)
    used = 0
    z[:] = 0
    score[:] = 0
    previous_first = np.zeros(layers, np.int64)
    previous_last = np.zeros(layers, np.int64)
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    direct = sizes[layers, DIRECT]
    for i in range(out_width):  # from the current to C·I0/dt
        c_gain[i] = c_mean[i] * par[B_M, out + i] / par[KAPPA, out + i]
    for k in range(n_steps):
        below_first, below_last = 0, 0
        for layer in range(layers):
            at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
            forward_at, loop = sizes[layer, FORWARD], sizes[layer, RECURRENT]
            first, last = previous_first[layer], previous_last[layer]
            event_first, event_last = 0, 0
            if loop < 0:
                last = first
            if layer == 0 and plain:
                event_first, event_last = event_start[k], event_start[k + 1]
            lined = layer == 0 and not plain
            if lined:
                x_line[:width] = 0
                if last > first:
                    x_loop[:width] = 0
                    add_rows(x_loop, weights, loop, width, tape_unit, first, last)
                add_line(
                    x_line, weights, forward_at, width, sizes[0, ROWS] // copies, line, k, event_start,
                    event_unit, x_loop, loop_at if last > first else -1,
                )  # fmt: skip
                last = first
            tape_start[layer, k] = used
            for c in range(0, width, WIDE):
                i = at + c
                x = load(x_line, c, WIDE) if lined else splat(par, 0.0, WIDE)
                x = plus_rows(x, weights, forward_at + c, width, event_unit, event_first, event_last)
                x = plus_rows(x, weights, forward_at + c, width, tape_unit, below_first, below_last)
                if last > first:
                    y = splat(par, 0.0, WIDE)
                    x = x + plus_rows(y, weights, loop + c, width, tape_unit, first, last)
                if alike[layer]:
                    hits = _advance_alike(par, at, i, x, current, v)
                else:
                    hits = _advance(par, i, x, current, v)
                while hits != 0:
                    j = i + lowest(hits)
                    hits &= hits - np.uint64(1)
                    if used < capacity:
                        tape_unit[used] = j - at
                        _note_spike(j, used, v, current, par, dt, slope_kind, tape_current, tape_x)
                    used += 1
                    v[j] = par[V_RESET, j]
            if used > capacity:
                return used + (n_steps - k) * states
            below_first, below_last = tape_start[layer, k], used
            previous_first[layer], previous_last[layer] = below_first, below_last
        base = sizes[layers, FORWARD]
        weight_read, weight_mean = splat(score, omega_read[k], NARROW), splat(par, omega[k], NARROW)
        for c in range(0, out_width, NARROW):
            i = out + c
            heard = splat(par, 0.0, NARROW)
            heard = plus_rows(heard, weights, base + c, out_width, tape_unit, below_first, below_last)
            pull = load(par, A_S * states + i, NARROW) * load(current, i, NARROW)
            pull = pull + load(par, B_S * states + i, NARROW) * heard
            store(current, i, pull)
            start = load(v, i, NARROW)
            end = load(par, A_M * states + i, NARROW) * start + load(par, LEAK * states + i, NARROW)
            end = end + load(par, B_M * states + i, NARROW) * pull
            store(v, i, end)
            if direct:
                mean = end
            else:
                rest = load(par, V_LEAK * states + i, NARROW)
                mean = rest + load(a_mean, c, NARROW) * (start - rest) + load(c_gain, c, NARROW) * pull
            store(z, c, load(z, c, NARROW) + weight_mean * mean)
            store(score, c, load(score, c, NARROW) + weight_read * double(end))
    for layer in range(layers):
        tape_start[layer, n_steps] = used
    return used
