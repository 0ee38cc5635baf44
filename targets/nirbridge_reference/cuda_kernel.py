"""The time loop as a CUDA kernel: a block per sample, its threads over neurons, all steps in one launch.

Every target adds its sources one by one in ascending order, as the CPU does, and no product is fused with
the addition behind it (`neuron.product`): results do not depend on the number of threads, and equal the
CPU's. What a population sent in a step lies twice in memory: as an array with a zero where nothing was
sent, and as a list of (unit, value) ascending in unit.
"""

from __future__ import annotations

from typing import Any

import numba
import numpy as np
from numba import cuda, types
from numba.extending import overload

from nirbridge.kernels import use_cache
from nirbridge_reference.finite import MOST
from nirbridge_reference.neuron import (
    BEFORE,
    CUBALIF,
    DELAY,
    I_START,
    IF,
    INPUT,
    LIF,
    MULTI,
    OUTPUT,
    RULE,
    THETA,
    V_START,
    product,
    standard,
)
from nirbridge_reference.readings import SPYX, read

use_cache(__name__)

WORDS = 32  # of 32 bits: a bit for each of the 1024 threads that a block has at most
MASK = 3 * WORDS
# 1024 threads share the 65,536 registers of a multiprocessor; the simulator has none and takes no option
_REGISTERS = {} if numba.config.ENABLE_CUDASIM else {"max_registers": 64}


@overload(product, target="cuda")
def _product(a: Any, b: Any) -> Any:
    from numba.cuda import libdevice

    def single(a: Any, b: Any) -> Any:
        return libdevice.fmul_rn(a, b)

    def double(a: Any, b: Any) -> Any:
        return libdevice.dmul_rn(np.float64(a), np.float64(b))

    return single if a == types.float32 and b == types.float32 else double


@cuda.jit(device=True)
def _place(mask: Any, turn: Any, hit: Any) -> Any:
    """(how many hits are on threads before this one, how many there are); a barrier for the block.

    mask (3·WORDS,) uint32, all zero before turn 0: a bit for each thread. Three sets take turns, so that
    one is cleared while nobody reads or writes it.
    """
    tid, threads = cuda.threadIdx.x, cuda.blockDim.x
    first = (turn % 3) * WORDS
    own = first + (tid >> 5)
    if hit:
        cuda.atomic.or_(mask, own, np.uint32(1) << np.uint32(tid & 31))
    cuda.syncthreads()
    for w in range(tid, WORDS, threads):
        mask[((turn + 2) % 3) * WORDS + w] = 0
    before, total = 0, 0
    for w in range(first, first + ((threads + 31) >> 5)):
        bits = cuda.popc(mask[w])
        total += bits
        if w < own:
            before += bits
    below = (np.uint32(1) << np.uint32(tid & 31)) - np.uint32(1)
    return before + cuda.popc(mask[own] & below), total


@cuda.jit(device=True)
def _list(mask: Any, turn: Any, size: Any, to: Any, sent: Any, unit: Any, value: Any) -> Any:
    """List what is not zero in sent[to : to+size]; returns how many there are and the next turn.

    A thread reads only elements that it wrote itself; the list is complete after the next barrier.
    """
    tid, threads = cuda.threadIdx.x, cuda.blockDim.x
    n = 0
    for first in range(0, size, threads):
        i = first + tid
        hit = False
        if i < size:
            hit = sent[to + i] != 0
        at, hits = _place(mask, turn, hit)
        turn += 1
        if hit:
            unit[to + n + at] = i
            value[to + n + at] = sent[to + i]
        n += hits
    return n, turn


@cuda.jit(device=True)
def _receive(
    first: Any, n: Any, to: Any, old: Any, event_unit: Any, event_value: Any, sent: Any, unit: Any, value: Any
) -> None:
    """Take over n events of this step as the list of an input, which held ``old`` entries."""
    tid, threads = cuda.threadIdx.x, cuda.blockDim.x
    for k in range(tid, old, threads):
        sent[to + unit[to + k]] = 0
    cuda.syncthreads()
    for k in range(tid, n, threads):
        u, x = event_unit[first + k], event_value[first + k]
        sent[to + u] = x
        unit[to + k] = u
        value[to + k] = x


@cuda.jit(device=True)
def _add_rows(
    at: Any, offset: Any, starts: Any, first: Any, n: Any, buffer: Any, weights: Any, sparse_start: Any,
    sparse_target: Any, unit: Any, value: Any,
) -> Any:  # fmt: skip
    """Add the sparse rows of the n listed units in turn, all threads along a row; returns the synops."""
    tid, threads = cuda.threadIdx.x, cuda.blockDim.x
    done = 0
    cuda.syncthreads()  # other threads wrote to these elements
    for k in range(first, first + n):
        begin, end = sparse_start[starts + unit[k]], sparse_start[starts + unit[k] + 1]
        for e in range(begin + tid, end, threads):
            j = at + sparse_target[e]
            buffer[j] = buffer[j] + product(value[k], weights[offset + e])
        if tid == 0:
            done += end - begin
        cuda.syncthreads()
    return done


@cuda.jit(device=True)
def _gather(
    o: Any, ops: Any, half: Any, source_start: Any, n: Any, buffer: Any, weights: Any, sparse_start: Any,
    sparse_target: Any, into_start: Any, into_source: Any, into_weight: Any, sent: Any, unit: Any, value: Any,
) -> Any:  # fmt: skip
    """Add a source through an operation's matrix to its target; returns this thread's share of the synops.

    The source is what a population sent (n entries listed from half+source_start on) or, with n < 0, the
    buffer at source_start. A thread adds to the elements tid, tid+threads, … but in `_add_rows`.
    """
    tid, threads = cuda.threadIdx.x, cuda.blockDim.x
    width, kind, offset, at, size = ops[o, 2], ops[o, 4], ops[o, 5], ops[o, 6], ops[o, 7]
    done = 0
    if kind == 1:
        for i in range(tid, size, threads):
            x = buffer[at + i]
            if n >= 0:
                for k in range(half + source_start, half + source_start + n):
                    x = x + product(value[k], weights[offset + unit[k] * size + i])
            else:
                for j in range(width):
                    y = buffer[source_start + j]
                    if y != 0:
                        x = x + product(y, weights[offset + j * size + i])
                        done += 1
            buffer[at + i] = x
        if n >= 0 and tid == 0:
            done = n * size
    elif kind >= 3 and n >= 0 and n <= ops[o, 10]:
        done = _add_rows(
            at, offset, ops[o, 8], half + source_start, n, buffer, weights, sparse_start, sparse_target, unit,
            value,
        )  # fmt: skip
    elif kind >= 3:
        for i in range(tid, size, threads):
            x = buffer[at + i]
            for e in range(into_start[ops[o, 9] + i], into_start[ops[o, 9] + i + 1]):
                j = source_start + into_source[e]
                y = sent[half + j] if n >= 0 else buffer[j]
                if y != 0:
                    x = x + product(y, into_weight[e])
                    if n < 0:
                        done += 1
            buffer[at + i] = x
        for k in range(half + source_start + tid, half + source_start + n, threads):
            done += sparse_start[ops[o, 8] + unit[k] + 1] - sparse_start[ops[o, 8] + unit[k]]
    else:
        for i in range(tid, size, threads):
            y = sent[half + source_start + i] if n >= 0 else buffer[source_start + i]
            if kind == 0:
                buffer[at + i] = buffer[at + i] + y
            else:
                buffer[at + i] = 1 if y > weights[offset + i] else 0
    if kind == 4:  # a dense matrix of few weights: every entry is a synapse
        done = n * size if tid == 0 and n >= 0 else 0
        if n < 0:
            for j in range(tid, width, threads):
                if buffer[source_start + j] != 0:
                    done += size
    return done


@cuda.jit(device=True)
def _delay(
    t: Any, start: Any, size: Any, base: Any, length: Any, to: Any, x: Any, delay: Any, ring: Any, sent: Any
) -> None:
    """y[t] = x[t − k], k per element, 0 before; a ring of ``length`` steps."""
    for i in range(cuda.threadIdx.x, size, cuda.blockDim.x):
        k = delay[start + i]
        ring[base + (t % length) * size + i] = x[start + i]
        sent[to + i] = 0
        if t >= k:
            sent[to + i] = ring[base + ((t - k) % length) * size + i]


@cuda.jit(device=True)
def _update(
    kind: Any, start: Any, size: Any, to: Any, rule: Any, x: Any, v: Any, current: Any, par: Any, flags: Any,
    dt: Any, sent: Any,
) -> None:  # fmt: skip
    """One step of a population of neurons; what each sends, unless it was sent before the update."""
    spiking = kind in (IF, LIF, CUBALIF)
    for i in range(start + cuda.threadIdx.x, start + size, cuda.blockDim.x):
        if rule > 0:
            z = read(rule, kind, i, x[i], v, current, par, flags, dt)
            if spiking and rule != SPYX:
                sent[to + i - start] = z
        else:
            y = standard(kind, i, x[i], v, current, par, flags)
            if spiking:
                sent[to + i - start] = y
        if not spiking:
            sent[to + i - start] = v[i]


@cuda.jit(cache=True, **_REGISTERS)
def run_batch(
    n_steps: Any, event_start: Any, event_unit: Any, event_value: Any, ops: Any, pops: Any, weights: Any,
    sparse_start: Any, sparse_target: Any, into_start: Any, into_source: Any, into_weight: Any, bias: Any,
    first_bias: Any, dt: Any, par: Any, delay: Any, flags: Any, traced: Any, recorded: Any, membranes: Any,
    currents: Any, buffers: Any, sents: Any, units: Any, values: Any, counted: Any, rings: Any, trace: Any,
    output: Any, tape: Any, counts: Any, rows: Any,
) -> None:  # fmt: skip
    """Run a batch, block b of the grid sample b. Tables as `cuda_tables.Tables` has them, arrays per sample:

    event_start (samples, inputs, n_steps+1) int64, event_unit and event_value as in `inputs.Events`; traced
    (m, 3) and recorded (pops,) as in `loop.Loop.run`. membranes, currents (samples, states), buffers
    (samples, elements), sents, units, values (samples, 2·states), counted (samples, 2·pops), rings
    (samples, ring) are room to work in and need no value. trace (samples, n_steps, columns), output
    (samples, n_steps, units or 0: nobody reads it); tape (samples, capacity, 4) int32: step, population,
    unit, value; counts (samples, pops, 3) int64, zero: spikes, synops, `beyond` of `refuse_lost`; rows
    (samples,) int64: tape rows needed, also where there are fewer.
    """
    b, tid, threads = cuda.blockIdx.x, cuda.threadIdx.x, cuda.blockDim.x
    mask = cuda.shared.array(MASK, numba.uint32)
    v, current, buffer, ring = membranes[b], currents[b], buffers[b], rings[b]
    sent, unit, value, count = sents[b], units[b], values[b], counted[b]
    n_pops, states, elements = len(pops), par.shape[1], len(bias)
    rule, before = flags[RULE], flags[BEFORE]
    for w in range(tid, MASK, threads):
        mask[w] = 0
    for i in range(tid, states, threads):
        v[i], current[i] = par[V_START, i], par[I_START, i]
    for i in range(tid, 2 * states, threads):
        sent[i] = 0
    for p in range(tid, 2 * n_pops, threads):
        count[p] = 0
    turn, row = 0, 0
    for t in range(n_steps):
        slot = t & 1
        half = slot * states
        cuda.syncthreads()
        for i in range(tid, elements, threads):
            buffer[i] = first_bias[i] if t == 0 else bias[i]
        out_at = 0
        if before:
            for p in range(n_pops):
                kind, start, size = pops[p, 0], pops[p, 1], pops[p, 2]
                if kind in (IF, LIF, CUBALIF):
                    for i in range(tid, size, threads):
                        sent[half + start + i] = 1 if v[start + i] > par[THETA, start + i] else 0
                    n, turn = _list(mask, turn, size, half + start, sent, unit, value)
                    if tid == 0:
                        count[slot * n_pops + p] = n
        cuda.syncthreads()
        for p in range(n_pops):
            kind, start, size = pops[p, 0], pops[p, 1], pops[p, 2]
            to = half + start
            synops = 0
            for o in range(pops[p, 3], pops[p, 4]):
                source, n, sent_in = ops[o, 1], -1, 0
                if ops[o, 0] == 0:
                    sent_in = (t - ops[o, 3]) & 1
                    n = count[sent_in * n_pops + source]
                    source = pops[source, 1]
                else:
                    cuda.syncthreads()  # other threads wrote the buffer
                synops += _gather(
                    o, ops, sent_in * states, source, n, buffer, weights, sparse_start, sparse_target,
                    into_start, into_source, into_weight, sent, unit, value,
                )  # fmt: skip
            if synops > 0:
                cuda.atomic.add(counts, (b, p, 1), synops)
            if kind == OUTPUT:
                if output.shape[2] > 0:
                    for i in range(tid, size, threads):
                        output[b, t, out_at + i] = buffer[start + i]
                out_at += size
                continue
            n = 0
            if kind == INPUT:
                first = event_start[b, pops[p, 6], t]
                n = event_start[b, pops[p, 6], t + 1] - first
                old = count[slot * n_pops + p]
                _receive(first, n, to, old, event_unit, event_value, sent, unit, value)
            elif kind == DELAY:
                _delay(t, start, size, pops[p, 5], pops[p, 6], to, buffer, delay, ring, sent)
            else:
                _update(kind, start, size, to, rule, buffer, v, current, par, flags, dt, sent)
                if flags[MULTI] and kind in (IF, LIF, CUBALIF) and counts[b, p, 2] == 0:
                    for i in range(tid, size, threads):
                        if sent[to + i] >= MOST:
                            counts[b, p, 2] = t + 1  # by any number of threads
            if before and kind in (IF, LIF, CUBALIF):
                n = count[slot * n_pops + p]
            elif pops[p, 7] and kind != INPUT:
                n, turn = _list(mask, turn, size, to, sent, unit, value)
            if tid == 0:
                count[slot * n_pops + p] = n
                if kind in (INPUT, IF, LIF, CUBALIF):
                    counts[b, p, 0] += n
            cuda.syncthreads()
            if recorded[p]:
                for k in range(tid, n, threads):
                    if row + k < tape.shape[1]:
                        tape[b, row + k, 0] = t
                        tape[b, row + k, 1] = p
                        tape[b, row + k, 2] = unit[to + k]
                        z = value[to + k]
                        tape[b, row + k, 3] = MOST if z >= MOST else -MOST if z <= -MOST else np.int32(z)
                row += n
        for m in range(len(traced)):
            start, size, column = pops[traced[m, 0], 1], pops[traced[m, 0], 2], traced[m, 2]
            for i in range(tid, size, threads):
                if traced[m, 1] == 0:
                    trace[b, t, column + i] = v[start + i]
                elif traced[m, 1] == 1:
                    trace[b, t, column + i] = current[start + i]
                else:
                    trace[b, t, column + i] = buffer[start + i]
    if tid == 0:
        rows[b] = row
