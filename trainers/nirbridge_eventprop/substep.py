"""Forward pass of one sample with spike times inside the step (mode `substep` of EVENTPROP.md §3).

The network in between is continuous: a spike that falls x before the end of its step resets its neuron and
reaches its targets there, folded into the state at the step's end. Arrays are those of `kernels`;
the current here is EventProp's own.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import (
    NARROW,
    WIDE,
    at_least,
    double,
    fma,
    load,
    lowest,
    plus_rows,
    splat,
    store,
)
from nirbridge_eventprop.arrivals import add_line
from nirbridge_eventprop.kernels import (
    A_M,
    A_S,
    FORWARD,
    KAPPA,
    LEAK,
    OFFSET,
    PADDED,
    RECURRENT,
    ROWS,
    SCALE,
    TAU_M,
    TAU_S,
    THETA,
    V_LEAK,
)
from nirbridge_eventprop.substep_spike import FAST, factors_of, spike_alone, spikes_together

use_cache(__name__)

ROUNDS = 8  # a neuron still above threshold after these fires in the next step


@njit(cache=True, nogil=True, forceinline=True)
def _advance(par: Any, i: Any, x: Any, current: Any, v: Any, v0: Any) -> Any:
    """Input x to neurons i … i+63, then a step of flow from v0 to v; bits of those at or above threshold."""
    states = par.shape[1]
    drive = fma(load(par, SCALE * states + i, WIDE), x, load(current, i, WIDE))
    start = load(v0, i, WIDE)
    end = fma(load(par, KAPPA * states + i, WIDE), drive, load(par, LEAK * states + i, WIDE))
    end = fma(load(par, A_M * states + i, WIDE), start, end)
    store(v, i, end)
    store(current, i, load(par, A_S * states + i, WIDE) * drive)
    return at_least(end, load(par, THETA * states + i, WIDE))


@njit(cache=True, nogil=True, forceinline=True)
def _advance_alike(par: Any, at: Any, i: Any, x: Any, current: Any, v: Any, v0: Any) -> Any:
    """`_advance` where all neurons have the coefficients of neuron ``at``, but for the threshold."""
    drive = fma(splat(par, par[SCALE, at], WIDE), x, load(current, i, WIDE))
    start = load(v0, i, WIDE)
    end = fma(splat(par, par[KAPPA, at], WIDE), drive, splat(par, par[LEAK, at], WIDE))
    end = fma(splat(par, par[A_M, at], WIDE), start, end)
    store(v, i, end)
    store(current, i, splat(par, par[A_S, at], WIDE) * drive)
    return at_least(end, load(par, THETA * par.shape[1] + i, WIDE))


@njit(cache=True, nogil=True)
def forward(
    n_steps: Any,
    dt: Any,
    event_start: Any,
    event_unit: Any,
    line: Any,
    sizes: Any,
    par: Any,
    alike: Any,
    shared: Any,
    series: Any,
    same: Any,
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
    space: Any,
) -> Any:
    """Run one sample forward; arguments as `kernels.forward`, with the tape in order of step and round.

    tape_start (n_steps+1,): first spike of each step; tape_unit (capacity,): index into the state arrays;
    tape_round (capacity,); tape_current: I at the spike; tape_x: seconds from the spike to the step's end;
    tape_factors (3, capacity+16): e^(−x/τm), e^(−x/τs), κ(x); tape_current and tape_x have 16 entries to
    spare, too. shared: all neurons, the read-out's too, have the same time constants. series: `_phi` of
    `substep_spike` holds for all of them. same: see `spikes_together`. Returns the number of tape entries
    needed; if above the capacity the tape is incomplete. A step begins only where all neurons have room.
    """
    layers = len(sizes) - 1
    states = par.shape[1]
    v, v0, current = space[0], space[1], space[2]
    v[:] = 0
    current[:] = 0
    arrived, em, es, kx, work = space[3], space[4], space[5], space[6], space[7]
    out, out_width = sizes[layers, OFFSET], sizes[layers, PADDED]
    capacity = len(tape_unit)
    used = 0
    z[:] = 0
    score[:] = 0
    first_width, base = sizes[0, PADDED], sizes[0, FORWARD]
    plain = len(line) == 1 and line[0] == 0
    alone = layers == 1 and sizes[0, RECURRENT] < 0  # no spike reaches another hidden neuron
    for k in range(n_steps):
        if capacity - used < states:
            return used + states
        v0, v = v, v0
        event_first, event_last = 0, 0
        if plain:
            event_first, event_last = event_start[k], event_start[k + 1]
        else:
            arrived[:first_width] = 0
            add_line(
                arrived, weights, base, first_width, sizes[0, ROWS] // len(line), line, k, event_start,
                event_unit, arrived, -1,
            )  # fmt: skip
        weight_mean = splat(par, omega[k], NARROW)
        for c in range(0, out_width, NARROW):
            i = out + c
            rest, was, drive = (
                load(par, V_LEAK * states + i, NARROW),
                load(v0, i, NARROW),
                load(current, i, NARROW),
            )
            mean = fma(load(a_mean, c, NARROW), was - rest, fma(load(c_mean, c, NARROW), drive, rest))
            store(z, c, fma(weight_mean, mean, load(z, c, NARROW)))
            end = fma(load(par, KAPPA * states + i, NARROW), drive, load(par, LEAK * states + i, NARROW))
            store(v, i, fma(load(par, A_M * states + i, NARROW), was, end))
            store(current, i, load(par, A_S * states + i, NARROW) * drive)
        tape_start[k] = used
        begin = used
        for layer in range(layers):
            at = sizes[layer, OFFSET]
            for i in range(at, at + sizes[layer, PADDED], WIDE):
                x = load(arrived, i, WIDE) if layer == 0 and not plain else splat(par, 0.0, WIDE)
                if layer == 0:
                    x = plus_rows(x, weights, base + i, first_width, event_unit, event_first, event_last)
                if alike[layer]:
                    hits = _advance_alike(par, at, i, x, current, v, v0)
                else:
                    hits = _advance(par, i, x, current, v, v0)
                while hits != 0:
                    tape_unit[used] = i + lowest(hits)
                    used += 1
                    hits &= hits - np.uint64(1)
        for turn in range(ROUNDS):
            if used == begin:
                break
            again = True
            if series:
                again = spikes_together(
                    begin, used, v, current, v0, par, same, dt, work, tape_unit, tape_current, tape_x,
                    tape_factors,
                )  # fmt: skip
            for s in range(begin, used):
                tape_round[s] = turn
                if not series:
                    i = tape_unit[s]
                    spike_alone(
                        i, s, v, current, v0, par, dt, par.itemsize == 4, tape_current, tape_x, tape_factors
                    )
            first = begin
            for layer in range(layers):
                edge, above = sizes[layer, OFFSET] + sizes[layer, PADDED], layer + 1
                last = used if above == layers else first
                while last < used and tape_unit[last] < edge:
                    last += 1
                if last == first:
                    continue
                at = sizes[layer, OFFSET]
                if shared:
                    if above < layers:
                        _fold(
                            sizes,
                            above,
                            FORWARD,
                            at,
                            first,
                            last,
                            par,
                            weights,
                            v,
                            current,
                            tape_unit,
                            tape_factors,
                        )
                    else:
                        _fold_out(
                            sizes, at, first, last, omega[k] / dt, par, weights, v, current, tape_unit,
                            tape_factors, z,
                        )  # fmt: skip
                    if sizes[layer, RECURRENT] >= 0:
                        _fold(
                            sizes,
                            layer,
                            RECURRENT,
                            at,
                            first,
                            last,
                            par,
                            weights,
                            v,
                            current,
                            tape_unit,
                            tape_factors,
                        )
                else:
                    for s in range(first, last):
                        row, x_s = tape_unit[s] - at, tape_x[s]
                        share = omega[k] / dt if above == layers else 0.0
                        _fold_each(
                            sizes,
                            above,
                            FORWARD,
                            row,
                            x_s,
                            share,
                            par,
                            series,
                            weights,
                            v,
                            current,
                            em,
                            es,
                            kx,
                            z,
                        )
                        if sizes[layer, RECURRENT] >= 0:
                            _fold_each(
                                sizes, layer, RECURRENT, row, x_s, 0.0, par, series, weights, v, current, em,
                                es, kx, z,
                            )  # fmt: skip
                first = last
            fired, begin = begin, used
            if turn + 1 == ROUNDS or (alone and not again):
                break
            if capacity - used < states:
                return used + states
            if alone:
                for s in range(fired, begin):
                    i = tape_unit[s]
                    if v[i] >= par[THETA, i]:
                        tape_unit[used] = i
                        used += 1
                continue
            for i in range(0, out, WIDE):
                hits = at_least(load(v, i, WIDE), load(par, THETA * states + i, WIDE))
                while hits != 0:
                    tape_unit[used] = i + lowest(hits)
                    used += 1
                    hits &= hits - np.uint64(1)
        weight_read = splat(score, omega_read[k], NARROW)
        for c in range(0, out_width, NARROW):
            store(score, c, fma(weight_read, double(load(v, out + c, NARROW)), load(score, c, NARROW)))
    tape_start[n_steps] = used
    return used


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST)
def _fold(
    sizes: Any, layer: Any, kind: Any, below: Any, first: Any, last: Any, par: Any, weights: Any, v: Any,
    current: Any, tape_unit: Any, tape_factors: Any,
) -> None:  # fmt: skip
    """Weights of spikes first:last into the end state of a hidden layer: I += w·e^(−x/τs), V += w·κ(x).

    below: offset of the spikes' layer. All neurons share their time constants.
    """
    at, width, base = sizes[layer, OFFSET], sizes[layer, PADDED], sizes[layer, kind]
    states = par.shape[1]
    for c in range(0, width, WIDE):
        i = at + c
        to_i, to_v = splat(par, 0.0, WIDE), splat(par, 0.0, WIDE)
        for s in range(first, last):
            w = load(weights, base + (tape_unit[s] - below) * width + c, WIDE)
            to_i = fma(w, splat(par, tape_factors[1, s], WIDE), to_i)
            to_v = fma(w, splat(par, tape_factors[2, s], WIDE), to_v)
        scale = load(par, SCALE * states + i, WIDE)
        store(current, i, fma(scale, to_i, load(current, i, WIDE)))
        store(v, i, fma(scale, to_v, load(v, i, WIDE)))


@njit(cache=True, nogil=True, forceinline=True, fastmath=FAST)
def _fold_out(
    sizes: Any, below: Any, first: Any, last: Any, weight: Any, par: Any, weights: Any, v: Any, current: Any,
    tape_unit: Any, tape_factors: Any, z: Any,
) -> None:  # fmt: skip
    """`_fold` into the read-out, and the share in its step mean.

    That is w·K(x)/dt, K = τs(1−e^(−x/τs)) − τm·κ(x); weight: of the step's mean in z, over dt.
    """
    out = len(sizes) - 1
    at, width, base = sizes[out, OFFSET], sizes[out, PADDED], sizes[out, FORWARD]
    states = par.shape[1]
    tau_m, tau_s = par[TAU_M, at], par[TAU_S, at]
    for c in range(0, width, NARROW):
        i = at + c
        to_i, to_v, to_z = splat(par, 0.0, NARROW), splat(par, 0.0, NARROW), splat(par, 0.0, NARROW)
        for s in range(first, last):
            w = load(weights, base + (tape_unit[s] - below) * width + c, NARROW)
            decay, gain = tape_factors[1, s], tape_factors[2, s]
            to_i = fma(w, splat(par, decay, NARROW), to_i)
            to_v = fma(w, splat(par, gain, NARROW), to_v)
            to_z = fma(w, splat(par, weight * (tau_s * (1 - decay) - tau_m * gain), NARROW), to_z)
        scale = load(par, SCALE * states + i, NARROW)
        store(current, i, fma(scale, to_i, load(current, i, NARROW)))
        store(v, i, fma(scale, to_v, load(v, i, NARROW)))
        store(z, c, fma(scale, to_z, load(z, c, NARROW)))


@njit(cache=True, nogil=True, fastmath=FAST)
def _fold_each(
    sizes: Any, layer: Any, kind: Any, row: Any, x: Any, share: Any, par: Any, series: Any, weights: Any,
    v: Any, current: Any, em: Any, es: Any, kx: Any, z: Any,
) -> None:  # fmt: skip
    """`_fold`, or `_fold_out` where ``share`` ≠ 0, of one spike where time constants differ."""
    at, width = sizes[layer, OFFSET], sizes[layer, PADDED]
    base = sizes[layer, kind] + row * width
    states = par.shape[1]
    factors_of(sizes, layer, par, x, series, em, es, kx)
    for c in range(0, width, NARROW):
        i = at + c
        decay, gain = load(es, i, NARROW), load(kx, i, NARROW)
        jump = load(weights, base + c, NARROW) * load(par, SCALE * states + i, NARROW)
        store(current, i, fma(jump, decay, load(current, i, NARROW)))
        store(v, i, fma(jump, gain, load(v, i, NARROW)))
        if share != 0:
            rest = load(par, TAU_S * states + i, NARROW) * (splat(par, 1.0, NARROW) - decay)
            whole = rest - load(par, TAU_M * states + i, NARROW) * gain
            store(z, c, fma(splat(par, share, NARROW) * jump, whole, load(z, c, NARROW)))
