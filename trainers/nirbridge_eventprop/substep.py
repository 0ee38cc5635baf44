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
    SCALE,
    TAU_M,
    TAU_S,
    THETA,
    V_LEAK,
    V_RESET,
    _add_rows,
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


@njit(cache=True, nogil=True)
def crossing_before_end(
    v: Any, current: Any, v0: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, dt: Any, tolerance: Any
) -> Any:
    """x in [0, dt] with V(−x) = θ, flowing the end state (v, current) backwards; v0: V at the step's start.

    Where even V(−dt) is at or above θ: x = dt(V−θ)/(V−V0), x = dt if V0 ≥ θ. Newton with bisection as
    guard, to ``tolerance``·dt.
    """
    far = e + (v - e) * math.exp(dt / tau_m) + kappa_of(-dt, tau_m, tau_s) * current
    if far >= theta:
        return dt if v0 >= theta else dt * (v - theta) / (v - v0)
    low, high = 0.0, dt
    slope = (current + e - v) / tau_m
    x = (v - theta) / slope if slope > 0 else 0.5 * dt
    if not low <= x <= high:
        x = 0.5 * dt
    h = 1.0 / tau_s - 1.0 / tau_m
    for _ in range(60):
        grow = math.exp(x / tau_m)
        more = math.exp(h * x)  # e^(x/τs) = e^(x/τm)·e^(h·x)
        z = -h * x
        phi = 1.0 - z / 2 + z * z / 6 if abs(z) < 1e-5 else (1.0 - more) / z
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
        if abs(new - x) <= tolerance * dt:
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
    sizes: Any, layer: Any, kind: Any, row: Any, x: Any, par: Any, uniform: Any, weights: Any, v: Any,
    current: Any, es: Any, kx: Any,
) -> None:  # fmt: skip
    """A spike's weights added into the end state of its targets: I += w·e^(−x/τs), V += w·κ(x)."""
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    w = weights[sizes[layer, kind] + row * width : sizes[layer, kind] + row * width + width]
    v_now, i_now = v[at : at + width], current[at : at + width]
    scale = par[SCALE, at : at + width]
    if uniform[layer]:
        tau_m, tau_s = float(par[TAU_M, at]), float(par[TAU_S, at])
        decay = par.dtype.type(math.exp(-x / tau_s))
        gain = par.dtype.type(kappa_of(x, tau_m, tau_s))
        for i in range(width):
            jump = w[i] * scale[i]
            i_now[i] += jump * decay
            v_now[i] += jump * gain
        return
    factors_of(sizes, layer, par, x, es, kx)
    decays, gains = es[at : at + width], kx[at : at + width]
    for i in range(width):
        jump = w[i] * scale[i]
        i_now[i] += jump * decays[i]
        v_now[i] += jump * gains[i]


@njit(cache=True, nogil=True)
def forward(
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
    omega_read: Any,
    tape_start: Any,
    tape_unit: Any,
    tape_round: Any,
    tape_current: Any,
    tape_x: Any,
    z: Any,
    score: Any,
) -> Any:
    """Run one sample forward; arguments as `kernels.forward`, with the tape in order of step and round.

    tape_start (n_steps+1,): first spike of each step; tape_unit: index into the state arrays;
    tape_round; tape_current: I at the spike; tape_x: seconds from the spike to the step's end.
    uniform (L+1,) bool: all neurons of a layer have the same time constants. Returns the number of
    tape entries needed; if above the capacity the tape is incomplete.
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
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    capacity = len(tape_unit)
    used = 0
    z[:] = 0
    score[:] = 0
    first_width = sizes[0, PADDED]
    arrived = np.zeros(first_width, par.dtype)
    tolerance = 1e-15 if par.itemsize == 8 else 1e-6
    for k in range(n_steps):
        if event_start[k + 1] > event_start[k]:
            arrived[:] = 0
            _add_rows(
                arrived,
                weights,
                sizes[0, FORWARD],
                first_width,
                event_unit,
                event_start[k],
                event_start[k + 1],
            )
            for i in range(first_width):
                current[i] += par[SCALE, i] * arrived[i]
        for i in range(out_width):
            e = par[V_LEAK, out + i]
            z[i] += omega[k] * (e + a_mean[i] * (v[out + i] - e) + c_mean[i] * current[out + i])
        for i in range(np.uint64(0), np.uint64(states)):
            v0[i] = v[i]
            v[i] = par[A_M, i] * v[i] + par[LEAK, i] + par[KAPPA, i] * current[i]
            current[i] = par[A_S, i] * current[i]
        tape_start[k] = used
        for turn in range(ROUNDS):
            begin = used
            for block in range(0, out, BLOCK):
                if _any_at(v, par, block, block + BLOCK) > 0:
                    for i in range(block, block + BLOCK):
                        if v[i] >= par[THETA, i]:
                            if used < capacity:
                                _spike(i, used, v, current, v0, par, dt, tolerance, tape_current, tape_x)
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
                _fold(sizes, layer + 1, FORWARD, row, x, par, uniform, weights, v, current, es, kx)
                if layer + 1 == layers:
                    _fold_mean(row, x, dt, sizes, par, weights, omega[k], z)
                if sizes[layer, RECURRENT] >= 0:
                    _fold(sizes, layer, RECURRENT, row, x, par, uniform, weights, v, current, es, kx)
        for i in range(out_width):
            score[i] += omega_read[k] * v[out + i]
    tape_start[n_steps] = used
    return used


@njit(cache=True, nogil=True)
def _spike(
    i: Any, at: Any, v: Any, current: Any, v0: Any, par: Any, dt: Any, tolerance: Any, tape_current: Any,
    tape_x: Any,
) -> None:  # fmt: skip
    """Time and current of neuron i at its crossing; reset there and flow on to the step's end."""
    tau_m, tau_s, e = float(par[TAU_M, i]), float(par[TAU_S, i]), float(par[V_LEAK, i])
    x = crossing_before_end(
        float(v[i]), float(current[i]), float(v0[i]), e, float(par[THETA, i]), tau_m, tau_s, dt, tolerance
    )
    at_spike = float(current[i]) * math.exp(x / tau_s)
    tape_x[at] = x
    tape_current[at] = at_spike
    v[i] = e + (float(par[V_RESET, i]) - e) * math.exp(-x / tau_m) + kappa_of(x, tau_m, tau_s) * at_spike


@njit(cache=True, nogil=True)
def _fold_mean(row: Any, x: Any, dt: Any, sizes: Any, par: Any, weights: Any, omega: Any, z: Any) -> None:
    """Share of a spike in the step mean of the read-out: w·K(x)/dt, K = τs(1−e^(−x/τs)) − τm·κ(x)."""
    out = len(sizes) - 1
    at, width, neurons = sizes[out, OFFSET], sizes[out, PADDED], sizes[out, NEURONS]
    base = sizes[out, FORWARD] + row * width
    tau_m = tau_s = integral = 0.0
    for i in range(neurons):
        s = at + i
        if par[TAU_M, s] != tau_m or par[TAU_S, s] != tau_s:
            tau_m, tau_s = float(par[TAU_M, s]), float(par[TAU_S, s])
            integral = tau_s * -math.expm1(-x / tau_s) - tau_m * kappa_of(x, tau_m, tau_s)
        z[i] += omega * weights[base + i] * par[SCALE, s] * integral / dt
