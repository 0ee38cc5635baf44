"""The compiled time loop: one sample of any lowered graph.

Every population sends something in each step: spiking neurons and Delays a list of (unit, value), other
neurons their values of V. Work follows activity where a source is silent or sparse, and whole matrices
are read where it is not (`gather`, `arrivals`). Equations: SEMANTICS.md §3.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_reference.arrivals import (
    BEGIN,
    BUFFER,
    EVENTS,
    LISTED,
    begin,
    from_ahead,
    from_list,
    from_values,
    look_ahead,
)
from nirbridge_reference.borrow import borrowed
from nirbridge_reference.finite import MOST
from nirbridge_reference.gather import AHEAD
from nirbridge_reference.neuron import MULTI
from nirbridge_reference.populations import (
    CUBALIF,
    DELAY,
    IF,
    INPUT,
    LIF,
    OUTPUT,
    emit,
    fire,
    pass_on,
    update,
    update_alike,
    update_by_rule,
)

use_cache(__name__)


@njit(cache=True, nogil=True)
def note(t: Any, p: Any, unit: Any, value: Any, first: Any, last: Any, tape: Any, rows: Any) -> Any:
    """Write what was sent (entries first … last−1) to the tape; returns its rows."""
    for k in range(first, last):
        tape[rows, 0] = t
        tape[rows, 1] = p
        tape[rows, 2] = unit[k]
        tape[rows, 3] = np.int32(min(max(value[k], -MOST), MOST))
        rows += 1
    return rows


@njit(cache=True, nogil=True)
def _longest(t: Any, pops: Any, recorded: Any, event_start: Any) -> Any:
    """The most rows that step t can add to the tape."""
    most = 0
    for p in range(len(pops)):
        if recorded[p]:
            q = pops[p, 5]
            given = pops[p, 0] == INPUT
            most += event_start[q, t + 1] - event_start[q, t] if given else pops[p, 2]
    return most


@njit(cache=True, nogil=True)
def run_sample(
    from_step: Any,
    n_steps: Any,
    event_start: Any,
    event_unit: Any,
    event_value: Any,
    event_ones: Any,
    ops: Any,
    pops: Any,
    weights: Any,
    sparse_start: Any,
    sparse_target: Any,
    bias: Any,
    zero: Any,
    alike: Any,
    dt: Any,
    par: Any,
    delay: Any,
    flags: Any,
    traced: Any,
    trace: Any,
    output: Any,
    recorded: Any,
    tape: Any,
    rows: Any,
    counts: Any,
    count: Any,
    looked: Any,
    v: Any,
    current: Any,
    buffer: Any,
    unit: Any,
    value: Any,
    work_unit: Any,
    work: Any,
    ahead: Any,
    ring: Any,
) -> Any:
    """Run one sample from a step on, until its end or until the tape might not hold another step.

    event_start (inputs, n_steps+1) int64: input q is given event_unit/value[event_start[q, t]:
    event_start[q, t+1]] in step t, units ascending; event_ones: every value is 1. Tables: `schedule`.
    traced (m, 3) int64: population, quantity (0 v, 1 i, 2 x), column of ``trace`` (n_steps, columns).
    output (n_steps, units): what the Output nodes receive, units 0 where nobody asks. recorded (pops,) bool;
    tape (capacity, 4) int32: step, population, unit, value, of which ``rows`` are written.
    counts (pops, 4) int64: spikes, synops, updates, `beyond` of `refuse_lost`. count (2, pops) int64, looked
    (ops,) bool and all that follow are the state between steps. Returns the step that comes next and the
    rows written.
    """
    event_start = borrowed(event_start)
    event_unit = borrowed(event_unit)
    event_value = borrowed(event_value)
    ops = borrowed(ops)
    pops = borrowed(pops)
    weights = borrowed(weights)
    sparse_start = borrowed(sparse_start)
    sparse_target = borrowed(sparse_target)
    bias = borrowed(bias)
    zero = borrowed(zero)
    alike = borrowed(alike)
    par = borrowed(par)
    delay = borrowed(delay)
    flags = borrowed(flags)
    traced = borrowed(traced)
    trace = borrowed(trace)
    output = borrowed(output)
    recorded = borrowed(recorded)
    tape = borrowed(tape)
    counts = borrowed(counts)
    count = borrowed(count)
    looked = borrowed(looked)
    v = borrowed(v)
    current = borrowed(current)
    buffer = borrowed(buffer)
    unit = borrowed(unit)
    value = borrowed(value)
    work_unit = borrowed(work_unit)
    work = borrowed(work)
    ahead = borrowed(ahead)
    ring = borrowed(ring)
    n_pops = len(pops)
    states = par.shape[1]
    rule, before = flags[7], flags[9]
    plain = rule == 0 and not flags[4]  # every spike has value 1
    for t in range(from_step, n_steps):
        if len(tape) - rows < _longest(t, pops, recorded, event_start):
            return t, rows
        slot = t & 1
        half = slot * states
        row = 1 if t > 0 else 0
        out_at = 0
        if before:
            for p in range(n_pops):
                if pops[p, 0] in (IF, LIF, CUBALIF):
                    start = pops[p, 1]
                    n = emit(start, pops[p, 2], v, par, unit, value, half + start)
                    count[slot, p] = n
                    counts[p, 0] += n
        for p in range(n_pops):
            kind, start, size = pops[p, 0], pops[p, 1], pops[p, 2]
            to = half + start
            n = 0
            if kind == INPUT:
                if recorded[p]:
                    q = pops[p, 5]
                    first, last = event_start[q, t], event_start[q, t + 1]
                    rows = note(t, p, event_unit, event_value, first, last, tape, rows)
                continue
            if kind == OUTPUT and not output.shape[1]:  # its spikes are on the tape
                continue
            synops = 0
            clean = zero[p]
            for o in range(pops[p, 3], pops[p, 4]):
                source, sent_in, into = ops[o, 1], (t - ops[o, 3]) & 1, ops[o, 6] == start
                if ops[o, 11] >= 0:
                    if t % AHEAD == 0:
                        looked[o] = look_ahead(
                            o, ops, t, n_steps, event_start, event_unit, event_value, bias, weights, work,
                            ahead,
                        )  # fmt: skip
                    if looked[o]:
                        from_ahead(o, ops, buffer, ahead, t % AHEAD)
                        synops += (event_start[source, t + 1] - event_start[source, t]) * ops[o, 7]
                        clean = clean and not into
                        continue
                if ops[o, 9] == BEGIN:
                    begin(o, ops, buffer, bias, row)
                if ops[o, 0] == LISTED:
                    first = sent_in * states + pops[source, 1]
                    last = first + count[sent_in, source]
                    synops += from_list(
                        o, ops, buffer, weights, sparse_start, sparse_target, unit, value, first, last,
                        plain and pops[source, 0] != DELAY, clean,
                    )  # fmt: skip
                    clean = clean and not (into and last > first)
                elif ops[o, 0] == EVENTS:
                    s = t - ops[o, 3]
                    if s >= 0:
                        first, last = event_start[source, s], event_start[source, s + 1]
                    else:
                        first, last = 0, 0
                    synops += from_list(
                        o, ops, buffer, weights, sparse_start, sparse_target, event_unit, event_value, first,
                        last, event_ones, clean,
                    )  # fmt: skip
                    clean = clean and not (into and last > first)
                else:
                    if ops[o, 0] == BUFFER:
                        synops += from_values(
                            o, ops, buffer, weights, sparse_start, sparse_target, buffer, source, work_unit,
                            work, clean,
                        )  # fmt: skip
                    else:
                        synops += from_values(
                            o, ops, buffer, weights, sparse_start, sparse_target, value,
                            sent_in * states + pops[source, 1], work_unit, work, clean,
                        )  # fmt: skip
                    clean = clean and not into
            counts[p, 1] += synops
            if kind == OUTPUT:
                here = np.uint64(out_at)
                for i in range(np.uint64(size)):  # unsigned, so that it vectorises
                    output[np.uint64(t), here + i] = buffer[np.uint64(start) + i]
                out_at += size
                continue
            if kind == DELAY:
                n = pass_on(t, start, size, pops[p, 5], buffer, delay, ring, unit, value, to)
            else:
                counts[p, 2] += size
                spiking = kind in (IF, LIF, CUBALIF)
                if rule > 0:
                    n = update_by_rule(
                        rule, kind, start, size, buffer, v, current, par, flags, dt, unit, value, to
                    )
                    if spiking and before:
                        n = count[slot, p]
                else:
                    if alike[p]:
                        update_alike(kind, start, size, buffer, v, current, par)
                    else:
                        update(kind, start, size, buffer, v, current, par, flags)
                    if spiking:
                        n = fire(kind, start, size, v, par, flags, unit, value, to)
                if not spiking:
                    n = 0
                    for i in range(np.uint64(size)):
                        value[np.uint64(to) + i] = v[np.uint64(start) + i]
                elif not before:
                    counts[p, 0] += n
                if spiking and flags[MULTI] and counts[p, 3] == 0:
                    for i in range(to, to + n):
                        if value[i] >= MOST:
                            counts[p, 3] = t + 1
            count[slot, p] = n
            if recorded[p]:
                rows = note(t, p, unit, value, to, to + n, tape, rows)
        for m in range(len(traced)):
            start, size, column = pops[traced[m, 0], 1], pops[traced[m, 0], 2], traced[m, 2]
            for i in range(size):
                if traced[m, 1] == 0:
                    trace[t, column + i] = v[start + i]
                elif traced[m, 1] == 1:
                    trace[t, column + i] = current[start + i]
                else:
                    trace[t, column + i] = buffer[start + i]
    for p in range(n_pops):
        if pops[p, 0] == INPUT:
            counts[p, 0] = event_start[pops[p, 5], n_steps] - event_start[pops[p, 5], 0]
    return n_steps, rows
