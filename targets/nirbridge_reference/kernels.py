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

use_cache(__name__)

INPUT, OUTPUT, I, LI, IF, LIF, CUBALI, CUBALIF, DELAY = range(9)


BLOCK = 16  # neurons whose spike test is made at once


@njit(cache=True, nogil=True)
def _gather(
    op: Any,
    buffer: Any,
    weights: Any,
    sparse_start: Any,
    sparse_target: Any,
    unit: Any,
    value: Any,
    count: Any,
    offset: Any,
    slot: Any,
) -> Any:
    """Add one operation's contribution to its target buffer; returns the synaptic operations done."""
    kind, size = op[4], op[7]
    target = buffer[op[6] : op[6] + size]
    if op[0] == 0:
        start = offset[op[1]]
        n = count[slot, op[1]]
        units = unit[slot, start : start + n]
        values = value[slot, start : start + n]
        if kind == 0:
            for k in range(n):
                target[units[k]] += values[k]
            return 0
        if kind == 1:
            for k in range(n):
                row = weights[op[5] + units[k] * size : op[5] + units[k] * size + size]
                x = values[k]
                if x == 1:
                    for i in range(size):
                        target[i] += row[i]
                else:
                    for i in range(size):
                        target[i] += x * row[i]
            return n * size
        if kind == 3:
            done = 0
            for k in range(n):
                j = op[8] + units[k]
                for e in range(sparse_start[j], sparse_start[j + 1]):
                    target[sparse_target[e]] += values[k] * weights[op[5] + e]
                done += sparse_start[j + 1] - sparse_start[j]
            return done
        threshold = weights[op[5] : op[5] + size]
        for i in range(size):
            target[i] = 1 if threshold[i] < 0 else 0
        for k in range(n):
            target[units[k]] = 1 if values[k] > threshold[units[k]] else 0
        return 0
    source = buffer[op[1] : op[1] + op[2]]
    done = 0
    if kind == 0:
        for i in range(size):
            target[i] += source[i]
    elif kind == 1:
        for j in range(len(source)):
            x = source[j]
            if x != 0:
                row = weights[op[5] + j * size : op[5] + j * size + size]
                done += size
                for i in range(size):
                    target[i] += x * row[i]
    elif kind == 3:
        for j in range(len(source)):
            x = source[j]
            if x != 0:
                start, end = sparse_start[op[8] + j], sparse_start[op[8] + j + 1]
                done += end - start
                for e in range(start, end):
                    target[sparse_target[e]] += x * weights[op[5] + e]
    else:
        threshold = weights[op[5] : op[5] + size]
        for i in range(size):
            target[i] = 1 if source[i] > threshold[i] else 0
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


@njit(cache=True, nogil=True, fastmath={"reassoc"})
def _any_at(v: Any, par: Any, first: Any, last: Any) -> Any:
    """How many of the neurons first … last−1 are at or above threshold; a sum that vectorises."""
    hit = v.dtype.type(0)
    one, none = v.dtype.type(1), v.dtype.type(0)
    for i in range(np.uint64(first), np.uint64(last)):
        hit += one if v[i] >= par[5, i] else none
    return hit


@njit(cache=True, nogil=True)
def _fire(start: Any, size: Any, v: Any, par: Any, flags: Any, unit: Any, value: Any) -> Any:
    """Spike test, reset and floor; lists who spiked. Returns how many did."""
    n = 0
    at_or_above, subtract, multi, floor, relative = flags[2], flags[3], flags[4], flags[5], flags[6]
    for block in range(0, size, BLOCK):
        stop = min(block + BLOCK, size)
        if _any_at(v, par, start + block, start + stop) > 0:
            for i in range(start + block, start + stop):
                theta = par[5, i]
                if v[i] > theta or (at_or_above and v[i] == theta):
                    z = np.floor(v[i] / theta) if multi else v.dtype.type(1)
                    if subtract:
                        v[i] = v[i] - z * (theta - par[6, i] if relative else theta)
                    else:
                        v[i] = par[6, i]
                    if z != 0:
                        unit[start + n] = i - start
                        value[start + n] = z
                        n += 1
    if floor == 1:
        for i in range(start, start + size):
            v[i] = max(v[i], v.dtype.type(0))
    elif floor == 2:
        for i in range(start, start + size):
            v[i] = max(v[i], -par[5, i])
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
    unit = np.zeros((2, states), np.int64)
    value = np.zeros((2, states), par.dtype)
    count = np.zeros((2, n_pops), np.int64)
    ring = np.zeros(ring_size, par.dtype)
    offset = np.empty(n_pops, np.int64)
    for p in range(n_pops):
        offset[p] = pops[p, 1]
    rows = 0
    for t in range(n_steps):
        slot = t & 1
        buffer[:] = bias
        out_at = 0
        event = event_start[t]
        for p in range(n_pops):
            kind, start, size = pops[p, 0], pops[p, 1], pops[p, 2]
            n = 0
            if kind == INPUT:
                while event < event_start[t + 1] and event_unit[event] < start + size:
                    u = event_unit[event] - start
                    if n > 0 and unit[slot, start + n - 1] == u:
                        value[slot, start + n - 1] += event_value[event]
                    else:
                        unit[slot, start + n] = u
                        value[slot, start + n] = event_value[event]
                        n += 1
                    event += 1
                counts[p, 0] += n
            else:
                synops = 0
                for o in range(pops[p, 3], pops[p, 4]):
                    source_slot = (t - ops[o, 3]) & 1
                    synops += _gather(
                        ops[o],
                        buffer,
                        weights,
                        sparse_start,
                        sparse_target,
                        unit,
                        value,
                        count,
                        offset,
                        source_slot,
                    )
                counts[p, 1] += synops
                if kind == OUTPUT:
                    for i in range(size):
                        output[t, out_at + i] = buffer[start + i]
                    out_at += size
                elif kind == DELAY:
                    n = _delay(t, start, size, pops[p, 5], buffer, delay, ring, unit[slot], value[slot])
                else:
                    counts[p, 2] += size
                    _neuron(kind, start, size, buffer, v, current, par, flags)
                    if kind in (IF, LIF, CUBALIF):
                        n = _fire(start, size, v, par, flags, unit[slot], value[slot])
                        counts[p, 0] += n
                    else:
                        for i in range(size):
                            if v[start + i] != 0:
                                unit[slot, start + n] = i
                                value[slot, start + n] = v[start + i]
                                n += 1
            count[slot, p] = n
            if recorded[p]:
                for k in range(n):
                    if rows < len(tape):
                        tape[rows, 0] = t
                        tape[rows, 1] = p
                        tape[rows, 2] = unit[slot, start + k]
                        tape[rows, 3] = np.int32(value[slot, start + k])
                    rows += 1
        for m in range(len(traced)):
            start, size, column = pops[traced[m, 0], 1], pops[traced[m, 0], 2], traced[m, 2]
            if traced[m, 1] == 0:
                trace[t, column : column + size] = v[start : start + size]
            elif traced[m, 1] == 1:
                trace[t, column : column + size] = current[start : start + size]
            else:
                trace[t, column : column + size] = buffer[start : start + size]
    return rows


@njit(cache=True, nogil=True)
def _delay(
    t: Any, start: Any, size: Any, base: Any, x: Any, delay: Any, ring: Any, unit: Any, value: Any
) -> Any:
    """y[t] = x[t − k], k per element, 0 before; a ring of max(k)+1 steps."""
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
                unit[start + n] = i
                value[start + n] = y
                n += 1
    return n
