"""Forward pass of one sample with spike times inside the step (mode `substep` of EVENTPROP.md §3).

The network in between is continuous: a spike that falls x before the end of its step resets its neuron and
reaches its targets there, folded into the state at the step's end. Arrays are those of `kernels`;
the current here is EventProp's own.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.arrivals import add_line, add_rows
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    BLOCK,
    FORWARD,
    KAPPA,
    LEAK,
    NEURONS,
    OFFSET,
    PADDED,
    RECURRENT,
    ROWS,
    SCALE,
    TAU_M,
    TAU_S,
    THETA,
    V_LEAK,
    V_RESET,
    WIDE,
    _any_at,
)

use_cache(__name__)

ROUNDS = 8  # a neuron still above threshold after these fires in the next step
FAST = {"reassoc", "contract", "nsz", "arcp"}


@njit(cache=True, nogil=True)
def kappa_of(x: Any, tau_m: Any, tau_s: Any) -> Any:
    """κ(x) = (x/τm)·e^(−x/τm)·φ(h·x), φ(z) = (1−e^(−z))/z (EVENTPROP.md §1); x may be negative."""
    z = x * (1.0 / tau_s - 1.0 / tau_m)
    phi = 1.0 - z / 2 + z * z / 6 if abs(z) < 1e-5 else -math.expm1(-z) / z
    return x / tau_m * math.exp(-x / tau_m) * phi


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def exp_of(z: Any, single: Any) -> Any:
    """e^z; to 1e-7 by a polynomial where ``single`` and abs(z) ≤ 1/2, which is most of a step."""
    if single and abs(z) <= 0.5:
        tail = 1 / 24 + z * (1 / 120 + z * (1 / 720 + z / 5040))
        return 1.0 + z * (1.0 + z * (0.5 + z * (1 / 6 + z * tail)))
    return math.exp(z)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def spike_factors(x: Any, tau_m: Any, tau_s: Any, single: Any) -> Any:
    """e^(−x/τm), e^(−x/τs) and κ(x)."""
    em, es = exp_of(-x / tau_m, single), exp_of(-x / tau_s, single)
    if single:
        z = x * (1.0 / tau_s - 1.0 / tau_m)
        if abs(z) > 0.01:
            return em, es, tau_s / (tau_m - tau_s) * (em - es)
        return em, es, x / tau_m * em * (1.0 - z / 2 + z * z / 6)
    return em, es, kappa_of(x, tau_m, tau_s)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def crossing_before_end(
    v: Any, current: Any, v0: Any, far: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, dt: Any,
    single: Any,
) -> Any:  # fmt: skip
    """x in [0, dt] with V(−x) = θ, flowing the end state (v, current) backwards; v0: V at the step's start.

    far: V(−dt); where even that is at or above θ, x = dt(V−θ)/(V−V0), and x = dt if V0 ≥ θ. Newton with
    bisection as guard, from the root of the parabola at the end: to 1e-15·dt; where ``single``, until a
    step is below 3e-4·dt, which leaves less than float32 resolves.
    """
    if far >= theta:
        return dt if v0 >= theta else dt * (v - theta) / (v - v0)
    tolerance = 3e-4 * dt if single else 1e-15 * dt
    low, high = 0.0, dt
    slope = (current + e - v) / tau_m
    bend = -(slope + current / tau_s) / tau_m
    under = slope * slope - 2.0 * bend * (v - theta)
    x = 2.0 * (v - theta) / (slope + math.sqrt(under)) if slope > 0 and under > 0 else 0.5 * dt
    if not low <= x <= high:
        x = 0.5 * dt
    h = 1.0 / tau_s - 1.0 / tau_m
    for _ in range(60):
        grow = exp_of(x / tau_m, single)
        more = exp_of(h * x, single)  # e^(x/τs) = e^(x/τm)·e^(h·x)
        z = -h * x
        small = abs(z) < (1e-3 if single else 1e-5)
        phi = 1.0 - z / 2 + z * z / 6 if small else (1.0 - more) / z
        back = e + (v - e) * grow - x / tau_m * grow * phi * current
        f = back - theta
        if f > 0:
            low = x
        else:
            high = x
        slope = (current * grow * more + e - back) / tau_m
        new = x + f / slope if slope > 0 else 0.5 * (low + high)
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - x) <= tolerance:
            return new
        x = new
    return x


@njit(cache=True, nogil=True)
def factors_of(sizes: Any, layer: Any, par: Any, x: Any, es: Any, kx: Any) -> None:
    """e^(−x/τs) and κ(x) of every neuron of a layer."""
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    for i in range(at, at + width):
        es[i] = math.exp(-x / par[TAU_S, i])
        kx[i] = kappa_of(x, float(par[TAU_M, i]), float(par[TAU_S, i]))


@njit(cache=True, nogil=True, fastmath=FAST)
def _fold(
    sizes: Any, layer: Any, kind: Any, row: Any, x: Any, decay: Any, gain: Any, par: Any, shared: Any,
    weights: Any, v: Any, current: Any, es: Any, kx: Any,
) -> None:  # fmt: skip
    """A spike's weights added into the end state of its targets: I += w·e^(−x/τs), V += w·κ(x).

    decay and gain are those two factors where all neurons share their time constants.
    """
    at, width = np.uint64(sizes[layer, OFFSET]), np.uint64(sizes[layer, PADDED])
    base = np.uint64(sizes[layer, kind]) + np.uint64(row) * width
    if shared:
        for i in range(width):
            jump = weights[base + i] * par[SCALE, at + i]
            current[at + i] += jump * decay
            v[at + i] += jump * gain
        return
    factors_of(sizes, layer, par, x, es, kx)
    for i in range(width):
        jump = weights[base + i] * par[SCALE, at + i]
        current[at + i] += jump * es[at + i]
        v[at + i] += jump * kx[at + i]


@njit(cache=True, nogil=True)
def forward(
    n_steps: Any,
    dt: Any,
    event_start: Any,
    event_unit: Any,
    line: Any,
    sizes: Any,
    par: Any,
    shared: Any,
    weights: Any,
    omega: Any,
    a_mean: Any,
    c_mean: Any,
    omega_read: Any,
    tape_start: Any,
    tape_unit: Any,
    tape_round: Any,
    tape_current: Any,
    tape_x: Any,
    tape_factors: Any,
    z: Any,
    score: Any,
) -> Any:
    """Run one sample forward; arguments as `kernels.forward`, with the tape in order of step and round.

    tape_start (n_steps+1,): first spike of each step; tape_unit: index into the state arrays;
    tape_round; tape_current: I at the spike; tape_x: seconds from the spike to the step's end;
    tape_factors (capacity, 3): e^(−x/τm), e^(−x/τs), κ(x). shared: all neurons, the read-out's too,
    have the same time constants. Returns the number of tape entries needed; if above the capacity
    the tape is incomplete.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    v = np.zeros(states, par.dtype)
    current = np.zeros(states, par.dtype)
    v0 = np.zeros(states, par.dtype)
    es = np.zeros(states, par.dtype)
    kx = np.zeros(states, par.dtype)
    layer_of = np.zeros(states, np.int64)
    for layer in range(layers + 1):
        layer_of[sizes[layer, OFFSET] : sizes[layer, OFFSET] + sizes[layer, PADDED]] = layer
    out = sizes[layers, OFFSET]
    first_out, n_out = np.uint64(out), np.uint64(sizes[layers, PADDED])
    capacity = len(tape_unit)
    used = 0
    z[:] = 0
    score[:] = 0
    first_width = sizes[0, PADDED]
    arrived = np.zeros(first_width, par.dtype)
    part = np.empty(first_width, par.dtype)
    plain = len(line) == 1 and line[0] == 0
    single = par.itemsize == 4
    for k in range(n_steps):
        if not plain or event_start[k + 1] > event_start[k]:
            arrived[:] = 0
            base = sizes[0, FORWARD]
            if plain:
                at, to = event_start[k], event_start[k + 1]
                add_rows(arrived, 0, weights, base, first_width, event_unit, at, to)
            else:
                add_line(
                    arrived, part, weights, base, first_width, sizes[0, ROWS] // len(line), line, k,
                    event_start, event_unit, part, -1,
                )  # fmt: skip
            for i in range(np.uint64(first_width)):
                current[i] += par[SCALE, i] * arrived[i]
        weight_mean, weight_read = omega[k], omega_read[k]
        for i in range(n_out):
            e = par[V_LEAK, first_out + i]
            mean = e + a_mean[i] * (v[first_out + i] - e) + c_mean[i] * current[first_out + i]
            z[i] += weight_mean * mean
        for i in range(np.uint64(states)):
            v0[i] = v[i]
        for i in range(np.uint64(states)):
            v[i] = par[A_M, i] * v[i] + par[LEAK, i] + par[KAPPA, i] * current[i]
            current[i] = par[A_S, i] * current[i]
        tape_start[k] = used
        for turn in range(ROUNDS):
            begin = used
            for wide in range(0, out, WIDE):
                edge = min(wide + WIDE, out)
                if not _any_at(v, par, wide, edge):
                    continue
                for block in range(wide, edge, BLOCK):
                    if not _any_at(v, par, block, block + BLOCK):
                        continue
                    for i in range(block, block + BLOCK):
                        if v[i] >= par[THETA, i]:
                            if used < capacity:
                                _spike(
                                    i,
                                    used,
                                    v,
                                    current,
                                    v0,
                                    par,
                                    dt,
                                    single,
                                    tape_current,
                                    tape_x,
                                    tape_factors,
                                )
                                tape_unit[used] = i
                                tape_round[used] = turn
                            else:
                                v[i] = par[V_RESET, i]
                            used += 1
            if used == begin:
                break
            if used > capacity:
                return used + (n_steps - k) * states
            for s in range(begin, used):
                i = tape_unit[s]
                layer = layer_of[i]
                row = i - sizes[layer, OFFSET]
                x = float(tape_x[s])
                decay, gain = tape_factors[s, 1], tape_factors[s, 2]
                _fold(
                    sizes, layer + 1, FORWARD, row, x, decay, gain, par, shared, weights, v, current, es, kx
                )
                if layer + 1 == layers:
                    _fold_mean(row, x, decay, gain, dt, sizes, par, shared, weights, omega[k], z)
                if sizes[layer, RECURRENT] >= 0:
                    _fold(
                        sizes, layer, RECURRENT, row, x, decay, gain, par, shared, weights, v, current, es, kx
                    )
        for i in range(n_out):
            score[i] += weight_read * v[first_out + i]
    tape_start[n_steps] = used
    return used


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def _spike(
    i: Any, at: Any, v: Any, current: Any, v0: Any, par: Any, dt: Any, single: Any, tape_current: Any,
    tape_x: Any, tape_factors: Any,
) -> None:  # fmt: skip
    """Time and current of neuron i at its crossing; reset there and flow on to the step's end."""
    tau_m, tau_s, e = float(par[TAU_M, i]), float(par[TAU_S, i]), float(par[V_LEAK, i])
    theta, end, start, drive = float(par[THETA, i]), float(v[i]), float(v0[i]), float(current[i])
    em, es, kappa = spike_factors(-dt, tau_m, tau_s, single)
    far = e + (end - e) * em + kappa * drive
    x = crossing_before_end(end, drive, start, far, e, theta, tau_m, tau_s, dt, single)
    em, es, kappa = spike_factors(x, tau_m, tau_s, single)
    at_spike = drive / es
    tape_x[at] = x
    tape_current[at] = at_spike
    tape_factors[at, 0] = em
    tape_factors[at, 1] = es
    tape_factors[at, 2] = kappa
    v[i] = e + (float(par[V_RESET, i]) - e) * em + kappa * at_spike


@njit(cache=True, nogil=True)
def _fold_mean(
    row: Any, x: Any, decay: Any, gain: Any, dt: Any, sizes: Any, par: Any, shared: Any, weights: Any,
    omega: Any, z: Any,
) -> None:  # fmt: skip
    """Share of a spike in the step mean of the read-out: w·K(x)/dt, K = τs(1−e^(−x/τs)) − τm·κ(x)."""
    out = len(sizes) - 1
    at, width = np.uint64(sizes[out, OFFSET]), np.uint64(sizes[out, PADDED])
    base = np.uint64(sizes[out, FORWARD]) + np.uint64(row) * width
    if shared:
        whole = par[TAU_S, at] * (1 - decay) - par[TAU_M, at] * gain
        factor = omega * whole / par.dtype.type(dt)
        for i in range(width):
            z[i] += factor * (weights[base + i] * par[SCALE, at + i])
        return
    tau_m = tau_s = integral = 0.0
    for i in range(np.uint64(sizes[out, NEURONS])):
        s = at + i
        if par[TAU_M, s] != tau_m or par[TAU_S, s] != tau_s:
            tau_m, tau_s = float(par[TAU_M, s]), float(par[TAU_S, s])
            integral = tau_s * -math.expm1(-x / tau_s) - tau_m * kappa_of(x, tau_m, tau_s)
        z[i] += omega * weights[base + i] * par[SCALE, s] * integral / dt
