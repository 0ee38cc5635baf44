"""The compiled time loop: one sample of any lowered graph.

Every population emits a list of (unit, value) pairs per step; spiking neurons list who spiked, value
neurons every non-zero V. Weights are applied by adding the row of each listed unit, so the work
follows activity. Equations: SEMANTICS.md §3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_reference.readings import SPYX, read

use_cache(__name__)

INPUT, OUTPUT, I, LI, IF, LIF, CUBALI, CUBALIF, DELAY = range(9)


WIDE, BLOCK = 64, 16  # neurons whose spike test is made at once, most steps and where one is above threshold


# Inside the loop arrays are passed whole, with offsets: a view costs two atomic counts of references.


@njit(cache=True, nogil=True)
def _add_rows(
    x: Any, to: Any, weights: Any, at: Any, size: Any, unit: Any, value: Any, first: Any, last: Any
) -> None:
    """x[to:to+size] += Σ value·row of the listed units first … last−1, each added in turn, four to a pass."""
    x0, w0, width = np.uint64(to), np.uint64(at), np.uint64(size)  # unsigned: no test for negative indices
    k = first
    while k < last:
        ones = k + 4 <= last and value[k] == 1 and value[k + 1] == 1
        if ones and value[k + 2] == 1 and value[k + 3] == 1:
            a = w0 + np.uint64(unit[k]) * width
            b = w0 + np.uint64(unit[k + 1]) * width
            c = w0 + np.uint64(unit[k + 2]) * width
            d = w0 + np.uint64(unit[k + 3]) * width
            for i in range(width):
                x[x0 + i] = (((x[x0 + i] + weights[a + i]) + weights[b + i]) + weights[c + i]) + weights[
                    d + i
                ]
            k += 4
        else:
            a, factor = w0 + np.uint64(unit[k]) * width, value[k]
            for i in range(width):
                x[x0 + i] += factor * weights[a + i]
            k += 1


@njit(cache=True, nogil=True)
def _gather_listed(
    o: Any, ops: Any, buffer: Any, weights: Any, sparse_start: Any, sparse_target: Any, unit: Any, value: Any,
    first: Any, last: Any,
) -> Any:  # fmt: skip
    """Add what a population sent (entries first … last−1) to an operation's target; returns the synops."""
    kind, at, size = ops[o, 4], ops[o, 6], ops[o, 7]
    if kind == 0:
        for k in range(first, last):
            buffer[at + unit[k]] += value[k]
        return 0
    if kind == 1:
        _add_rows(buffer, at, weights, ops[o, 5], size, unit, value, first, last)
        return (last - first) * size
    if kind == 3:
        done = 0
        offset, starts = ops[o, 5], ops[o, 8]
        for k in range(first, last):
            begin, end = sparse_start[starts + unit[k]], sparse_start[starts + unit[k] + 1]
            factor = value[k]
            for e in range(np.uint64(begin), np.uint64(end)):
                buffer[np.uint64(at + sparse_target[e])] += factor * weights[np.uint64(offset) + e]
            done += end - begin
        return done
    offset = ops[o, 5]
    for i in range(size):
        buffer[at + i] = 1 if weights[offset + i] < 0 else 0
    for k in range(first, last):
        buffer[at + unit[k]] = 1 if value[k] > weights[offset + unit[k]] else 0
    return 0


@njit(cache=True, nogil=True)
def _gather_dense(o: Any, ops: Any, buffer: Any, weights: Any, sparse_start: Any, sparse_target: Any) -> Any:
    """Add a buffer's values, through the operation's matrix, to its target; returns the synops."""
    kind, at, size = ops[o, 4], ops[o, 6], ops[o, 7]
    source, width = ops[o, 1], ops[o, 2]
    if kind == 0:
        to, come = np.uint64(at), np.uint64(source)
        for i in range(np.uint64(size)):
            buffer[to + i] += buffer[come + i]
        return 0
    done = 0
    offset = ops[o, 5]
    if kind == 1:
        to, n = np.uint64(at), np.uint64(size)
        for j in range(width):
            x = buffer[source + j]
            if x != 0:
                row = np.uint64(offset) + np.uint64(j) * n
                done += size
                for i in range(n):
                    buffer[to + i] += x * weights[row + i]
    elif kind == 3:
        starts = ops[o, 8]
        for j in range(width):
            x = buffer[source + j]
            if x != 0:
                begin, end = sparse_start[starts + j], sparse_start[starts + j + 1]
                done += end - begin
                for e in range(np.uint64(begin), np.uint64(end)):
                    buffer[np.uint64(at + sparse_target[e])] += x * weights[np.uint64(offset) + e]
    else:
        for i in range(size):
            buffer[at + i] = 1 if buffer[source + i] > weights[offset + i] else 0
    return done


@njit(cache=True, nogil=True)
def _neuron(kind: Any, start: Any, size: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> None:
    """Membrane and current of one population for one step, before the spike test."""
    start, end = np.uint64(start), np.uint64(start + size)
    if kind in (I, IF):
        for i in range(start, end):
            v[i] = v[i] + par[1, i] * x[i]
    elif kind in (LI, LIF):
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * x[i]
    elif flags[0] == 0:
        if flags[1]:
            for i in range(start, end):
                current[i] = par[3, i] * (current[i] + par[4, i] * x[i])
        else:
            for i in range(start, end):
                current[i] = par[3, i] * current[i] + par[4, i] * x[i]
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
    elif flags[0] == 1:
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
            added = current[i] + par[4, i] * x[i]
            current[i] = par[3, i] * added if flags[1] else par[3, i] * current[i] + par[4, i] * x[i]
    else:
        for i in range(start, end):
            current[i] = current[i] + par[4, i] * x[i]
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
            current[i] = par[3, i] * current[i]


@njit(cache=True, nogil=True)
def _any_at(v: Any, par: Any, first: Any, last: Any) -> Any:
    """True where one of the neurons first … last−1 is at or above threshold; a test that vectorises."""
    hit = False
    for i in range(np.uint64(first), np.uint64(last)):
        hit |= v[i] >= par[5, i]
    return hit


@njit(cache=True, nogil=True)
def _fire(
    kind: Any, start: Any, size: Any, v: Any, par: Any, flags: Any, unit: Any, value: Any, to: Any
) -> Any:
    """Spike test, reset and floor; lists who spiked from ``to`` on. Returns how many did."""
    n = 0
    at_or_above, subtract, multi, relative = flags[2], flags[3], flags[4], flags[6]
    floor = flags[5] if flags[5] < 3 else 2 if kind == IF else 0
    for wide in range(start, start + size, WIDE):
        edge = min(wide + WIDE, start + size)
        if not _any_at(v, par, wide, edge):
            continue
        for block in range(wide, edge, BLOCK):
            stop = min(block + BLOCK, edge)
            if not _any_at(v, par, block, stop):
                continue
            for i in range(block, stop):
                theta = par[5, i]
                if v[i] > theta or (at_or_above and v[i] == theta):
                    z = np.floor(v[i] / theta) if multi else v.dtype.type(1)
                    if subtract:
                        v[i] = v[i] - z * (theta - par[6, i] if relative else theta)
                    else:
                        v[i] = par[6, i]
                    if z != 0:
                        unit[to + n] = i - start
                        value[to + n] = z
                        n += 1
    if floor == 1:
        for i in range(start, start + size):
            v[i] = max(v[i], v.dtype.type(0))
    elif floor == 2:
        for i in range(start, start + size):
            v[i] = max(v[i], -par[5, i])
    return n


@njit(cache=True, nogil=True)
def _read(
    rule: Any, kind: Any, start: Any, size: Any, x: Any, v: Any, current: Any, par: Any, flags: Any, dt: Any,
    unit: Any, value: Any, to: Any,
) -> Any:  # fmt: skip
    """Update a population by its profile's own rule; lists who spiked from ``to`` on, returns how many."""
    n = 0
    for i in range(start, start + size):
        z = read(rule, kind, i, x[i], v, current, par, flags, dt)
        if z > 0 and rule != SPYX:
            unit[to + n] = i - start
            value[to + n] = z
            n += 1
    return n


@njit(cache=True, nogil=True)
def _emit(start: Any, size: Any, v: Any, par: Any, unit: Any, value: Any, to: Any) -> Any:
    """Lists who is above threshold before the update (profile spyx). Returns how many are."""
    n = 0
    for i in range(start, start + size):
        if v[i] > par[5, i]:
            unit[to + n] = i - start
            value[to + n] = 1
            n += 1
    return n


@njit(cache=True, nogil=True)
def run_sample(
    n_steps: Any,
    event_start: Any,
    event_unit: Any,
    event_value: Any,
    ops: Any,
    pops: Any,
    weights: Any,
    sparse_start: Any,
    sparse_target: Any,
    bias: Any,
    first_bias: Any,
    dt: Any,
    par: Any,
    delay: Any,
    ring_size: Any,
    flags: Any,
    traced: Any,
    trace: Any,
    output: Any,
    recorded: Any,
    tape: Any,
    counts: Any,
) -> Any:
    """Run one sample.

    event_start (n_steps+1,) int64: events of step t are event_unit/value[event_start[t]:event_start[t+1]]
    with unit an index into the state arrays, ascending by population. The tables are those of `lower`.
    traced (m, 3) int64: population, quantity (0 v, 1 i, 2 x), column of ``trace`` (n_steps, columns).
    output (n_steps, units): what the Output nodes receive. recorded (pops,) bool; tape (capacity, 4)
    int32: step, population, unit, value.
    counts (pops, 3) int64: spikes, synops, updates. Returns the number of tape rows needed.
    """
    n_pops = len(pops)
    states = par.shape[1]
    v = par[7].copy()
    current = par[8].copy()
    buffer = np.empty(len(bias), par.dtype)
    # what every population sent in this step and the one before: (unit, value) lists, a half for each
    unit = np.zeros(2 * states, np.int64)
    value = np.zeros(2 * states, par.dtype)
    count = np.zeros((2, n_pops), np.int64)
    ring = np.zeros(ring_size, par.dtype)
    rows = 0
    rule, before = flags[7], flags[9]
    for t in range(n_steps):
        slot = t & 1
        half = slot * states
        for i in range(np.uint64(len(bias))):  # an assignment of slices would not vectorise
            buffer[i] = bias[i]
        if t == 0:
            buffer[:] = first_bias
        out_at = 0
        if before:
            for p in range(n_pops):
                if pops[p, 0] in (IF, LIF, CUBALIF):
                    start = pops[p, 1]
                    n = _emit(start, pops[p, 2], v, par, unit, value, half + start)
                    count[slot, p] = n
                    counts[p, 0] += n
        event = event_start[t]
        for p in range(n_pops):
            kind, start, size = pops[p, 0], pops[p, 1], pops[p, 2]
            to = half + start
            n = 0
            if kind == INPUT:
                while event < event_start[t + 1] and event_unit[event] < start + size:
                    u = event_unit[event] - start
                    if n > 0 and unit[to + n - 1] == u:
                        value[to + n - 1] += event_value[event]
                    else:
                        unit[to + n] = u
                        value[to + n] = event_value[event]
                        n += 1
                    event += 1
                counts[p, 0] += n
            else:
                synops = 0
                for o in range(pops[p, 3], pops[p, 4]):
                    if ops[o, 0] == 0:
                        source, sent_in = ops[o, 1], (t - ops[o, 3]) & 1
                        first = sent_in * states + pops[source, 1]
                        synops += _gather_listed(
                            o, ops, buffer, weights, sparse_start, sparse_target, unit, value, first,
                            first + count[sent_in, source],
                        )  # fmt: skip
                    else:
                        synops += _gather_dense(o, ops, buffer, weights, sparse_start, sparse_target)
                counts[p, 1] += synops
                if kind == OUTPUT:
                    for i in range(size):
                        output[t, out_at + i] = buffer[start + i]
                    out_at += size
                elif kind == DELAY:
                    n = _delay(t, start, size, pops[p, 5], buffer, delay, ring, unit, value, to)
                else:
                    counts[p, 2] += size
                    spiking = kind in (IF, LIF, CUBALIF)
                    if rule > 0:
                        n = _read(
                            rule, kind, start, size, buffer, v, current, par, flags, dt, unit, value, to
                        )
                        if spiking and before:
                            n = count[slot, p]
                        elif spiking:
                            counts[p, 0] += n
                    else:
                        _neuron(kind, start, size, buffer, v, current, par, flags)
                        if spiking:
                            n = _fire(kind, start, size, v, par, flags, unit, value, to)
                            counts[p, 0] += n
                    if not spiking:
                        n = 0
                        for i in range(size):
                            if v[start + i] != 0:
                                unit[to + n] = i
                                value[to + n] = v[start + i]
                                n += 1
            count[slot, p] = n
            if recorded[p]:
                for k in range(n):
                    if rows < len(tape):
                        tape[rows, 0] = t
                        tape[rows, 1] = p
                        tape[rows, 2] = unit[to + k]
                        tape[rows, 3] = np.int32(value[to + k])
                    rows += 1
        for m in range(len(traced)):
            start, size, column = pops[traced[m, 0], 1], pops[traced[m, 0], 2], traced[m, 2]
            for i in range(size):
                if traced[m, 1] == 0:
                    trace[t, column + i] = v[start + i]
                elif traced[m, 1] == 1:
                    trace[t, column + i] = current[start + i]
                else:
                    trace[t, column + i] = buffer[start + i]
    return rows


@njit(cache=True, nogil=True)
def _delay(
    t: Any, start: Any, size: Any, base: Any, x: Any, delay: Any, ring: Any, unit: Any, value: Any, to: Any
) -> Any:
    """y[t] = x[t − k], k per element, 0 before; a ring of max(k)+1 steps; lists what leaves."""
    longest = 0
    for i in range(start, start + size):
        longest = max(longest, delay[i])
    length = longest + 1
    row = base + (t % length) * size
    for i in range(size):
        ring[row + i] = x[start + i]
    n = 0
    for i in range(size):
        k = delay[start + i]
        if t >= k:
            y = ring[base + ((t - k) % length) * size + i]
            if y != 0:
                unit[to + n] = i
                value[to + n] = y
                n += 1
    return n
