"""The compiled time loop: integer rows added by spike events, then the neuron update, tick by tick.

Equations (SPINNAKER2.md §2), t = 0 … ticks−1, all states 0 before tick 0:
``a = Σ_j Σ_k q_j[·,k]·s_k[t−1]``; LIF, IF: ``u = a``, CubaLIF: ``I = δ·I + a``, ``u = I``;
``V = (α·V + u) + i_offset``; a spike where ``V > θ``; there ``V = V − θ`` or 0. a is an integer sum, so
no order of events and no split over PEs changes it. No fast-math: additions keep their order.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


class Events(NamedTuple):
    """Input spikes: sample b's are entries offsets[b]:offsets[b+1] of step and unit (int32), by step."""

    offsets: Any
    step: Any
    unit: Any


class Neurons(NamedTuple):
    """Populations one after the other. start (P+1,) int64; cuba (P,) bool; the rest (N,) float."""

    start: Any
    cuba: Any
    alpha: Any
    delta: Any
    theta: Any
    i_offset: Any
    subtract: Any


class Synapses(NamedTuple):
    """Projections: source (−1 input) and target population, int64 (J,), and where their rows begin.

    table (J, 5) int64, offsets into the flat arrays: ROWS of row_of (row of a source unit, −1 none);
    DENSE of dense (row·n_post …), −1 for sparse rows; BEGIN of begin (entries begin[row] …
    begin[row+1] of index and weight); COUNTED of nonzero (by row); FAN of fan (by row and slice).
    """

    source: Any
    target: Any
    table: Any
    row_of: Any
    dense: Any
    begin: Any
    index: Any
    weight: Any
    nonzero: Any
    fan: Any


class Slices(NamedTuple):
    """PEs: slices first[p] … first[p+1]−1 hold population p; neurons and cycles without spikes of each.

    costs (2,) float64: cycles per synaptic operation, cycles of a tick.
    """

    first: Any
    neurons: Any
    base_cycles: Any
    costs: Any


class Probes(NamedTuple):
    """spikes (P,) bool; v, i, x (P,) int64: first column of the population's trace, −1 for none."""

    spikes: Any
    v: Any
    i: Any
    x: Any


class Out(NamedTuple):
    """Traces (samples, ticks, columns) and counts (samples, P) int64.

    Last axis of counts: spikes, synops, synops of nonzero weight, most synops of a PE in a tick, most
    cycles, PE (slice within the population) and tick of that peak, overruns.
    """

    v: Any
    i: Any
    x: Any
    counts: Any


ROWS, DENSE, BEGIN, COUNTED, FAN = range(5)
SPIKES, SYNOPS, NONZERO, PEAK_SYNOPS, PEAK_CYCLES, PEAK_SLICE, PEAK_TICK, OVERRUNS = range(8)
N_COUNTS = 8


@njit(cache=True, nogil=True)
def _add_dense(
    units: Any, first: Any, last: Any, row_of: Any, dense: Any, nonzero: Any, acc: Any, start: Any, size: Any
) -> Any:
    """Add the dense rows of units[first:last] to acc[start:start+size]; returns (arrivals, nonzero synops).

    Up to four rows are added in one pass: the sums are integers, so their order does not matter.
    """
    sums = acc[start : start + size]
    rows = np.empty(4, np.int64)
    n = 0
    arrivals = 0
    effective = 0
    for e in range(first, last):
        row = np.int64(row_of[units[e]])
        if row >= 0:
            rows[n] = row * size
            n += 1
            arrivals += 1
            effective += nonzero[row]
        if n == 4:
            a, b = dense[rows[0] : rows[0] + size], dense[rows[1] : rows[1] + size]
            c, d = dense[rows[2] : rows[2] + size], dense[rows[3] : rows[3] + size]
            for k in range(size):
                sums[k] += (np.int32(a[k]) + np.int32(b[k])) + (np.int32(c[k]) + np.int32(d[k]))
            n = 0
    for at in range(n):
        a = dense[rows[at] : rows[at] + size]
        for k in range(size):
            sums[k] += a[k]
    return arrivals, effective


@njit(cache=True, nogil=True)
def _add_sparse(
    units: Any,
    first: Any,
    last: Any,
    row_of: Any,
    begin: Any,
    index: Any,
    weight: Any,
    nonzero: Any,
    fan: Any,
    acc: Any,
    start: Any,
    extra: Any,
    slice_start: Any,
    n_slices: Any,
) -> Any:
    """Add the sparse rows of units[first:last]; entries by slice go to ``extra``; returns nonzero synops."""
    effective = 0
    for e in range(first, last):
        row = np.int64(row_of[units[e]])
        if row < 0:
            continue
        effective += nonzero[row]
        for k in range(begin[row], begin[row + 1]):
            acc[start + index[k]] += weight[k]
        for s in range(n_slices):
            extra[slice_start + s] += fan[row * n_slices + s]
    return effective


@njit(cache=True, nogil=True)
def _step(
    start: Any,
    stop: Any,
    cuba: Any,
    subtract: Any,
    alpha: Any,
    delta: Any,
    theta: Any,
    i_offset: Any,
    acc: Any,
    drive: Any,
    v: Any,
    current: Any,
    spiked: Any,
) -> Any:
    """One tick of a population; lists who spiked from ``start`` on, numbered within it. Returns how many.

    The loops run over views from 0: indices that cannot be negative let them become vector code.
    """
    size = stop - start
    u, x, decay = drive[start:stop], v[start:stop], alpha[start:stop]
    top, offset, a = theta[start:stop], i_offset[start:stop], acc[start:stop]
    for k in range(size):
        u[k] = a[k]
    if cuba:
        c, fade = current[start:stop], delta[start:stop]
        for k in range(size):
            c[k] = fade[k] * c[k] + u[k]
            u[k] = c[k]
    for k in range(size):
        x[k] = (decay[k] * x[k] + u[k]) + offset[k]
    n = 0
    for block in range(0, size, 64):
        end = min(block + 64, size)
        hit = np.int32(0)
        for k in range(block, end):
            hit += np.int32(1) if x[k] > top[k] else np.int32(0)
        if hit > 0:
            for k in range(block, end):
                if x[k] > top[k]:
                    x[k] = x[k] - top[k] if subtract else x.dtype.type(0)
                    spiked[start + n] = k
                    n += 1
    return n


@njit(cache=True, nogil=True)
def _tally(
    first: Any, last: Any, t: Any, arrivals: Any, extra: Any, sizes: Any, base: Any, costs: Any, counts: Any
) -> None:
    """Synaptic operations of the PEs first … last−1 of a population in tick t: sum, peak, overruns.

    sizes, base: neurons and cycles without spikes of every PE; costs: cycles per synop and per tick.
    """
    for s in range(first, last):
        synops = arrivals * sizes[s] + extra[s]
        extra[s] = 0
        counts[SYNOPS] += synops
        busy = base[s] + costs[0] * synops
        counts[PEAK_SYNOPS] = max(counts[PEAK_SYNOPS], synops)
        cycles = np.int64(np.ceil(busy))
        if cycles > counts[PEAK_CYCLES]:
            counts[PEAK_CYCLES] = cycles
            counts[PEAK_SLICE] = s - first
            counts[PEAK_TICK] = t
        if busy > costs[1]:
            counts[OVERRUNS] += 1


@njit(cache=True, nogil=True)
def _doubled(array: Any) -> Any:
    result = np.empty(2 * len(array), array.dtype)
    result[: len(array)] = array
    return result


@njit(cache=True, nogil=True)
def run_samples(
    first: Any, last: Any, ticks: Any, events: Any, neurons: Any, syn: Any, slices: Any, probes: Any, out: Any
) -> Any:
    """Run samples first … last−1.

    Returns recorded spikes as (tick, neuron, offsets): entries offsets[b]:offsets[b+1] are those of
    sample first+b, by tick and neuron; a neuron is an index into the states of all populations.
    """
    start, cuba, subtract = neurons.start, neurons.cuba, neurons.subtract
    alpha, delta, theta, i_offset = neurons.alpha, neurons.delta, neurons.theta, neurons.i_offset
    source, target, table = syn.source, syn.target, syn.table
    row_of, dense, begin, index, weight = syn.row_of, syn.dense, syn.begin, syn.index, syn.weight
    nonzero, fan, units, step_of = syn.nonzero, syn.fan, events.unit, events.step
    part, sizes, base, costs = slices.first, slices.neurons, slices.base_cycles, slices.costs
    n_pops = len(start) - 1
    n = start[n_pops]
    acc = np.zeros(n, np.int32)
    extra = np.zeros(len(sizes), np.int64)
    drive, v, current = np.zeros(n, alpha.dtype), np.zeros(n, alpha.dtype), np.zeros(n, alpha.dtype)
    spiked, sent = np.zeros(n, np.int32), np.zeros(n, np.int32)
    n_sent = np.zeros(n_pops, np.int64)
    arrivals = np.zeros(n_pops, np.int64)
    tick_of, neuron_of = np.empty(n + 1024, np.int32), np.empty(n + 1024, np.int32)
    offsets = np.zeros(last - first + 1, np.int64)
    kept = 0
    for b in range(first, last):
        v[:] = 0
        current[:] = 0
        n_sent[:] = 0
        counts = out.counts[b]
        event, end = events.offsets[b], events.offsets[b + 1]
        for t in range(ticks):
            acc[:] = 0
            arrivals[:] = 0
            arrived = event
            while event < end and step_of[event] < t:
                event += 1
            for j in range(len(source)):
                p, q = source[j], target[j]
                if p < 0:
                    who, lo, hi = units, arrived, event
                else:
                    who, lo, hi = sent, start[p], start[p] + n_sent[p]
                if lo == hi:
                    continue
                rows, counted = row_of[table[j, ROWS] :], nonzero[table[j, COUNTED] :]
                if table[j, DENSE] >= 0:
                    done = _add_dense(
                        who,
                        lo,
                        hi,
                        rows,
                        dense[table[j, DENSE] :],
                        counted,
                        acc,
                        start[q],
                        start[q + 1] - start[q],
                    )
                    arrivals[q] += done[0]
                    counts[q, NONZERO] += done[1]
                else:
                    counts[q, NONZERO] += _add_sparse(
                        who,
                        lo,
                        hi,
                        rows,
                        begin[table[j, BEGIN] :],
                        index,
                        weight,
                        counted,
                        fan[table[j, FAN] :],
                        acc,
                        start[q],
                        extra,
                        part[q],
                        part[q + 1] - part[q],
                    )
            if kept + n > len(tick_of):
                tick_of, neuron_of = _doubled(tick_of), _doubled(neuron_of)
            for p in range(n_pops):
                lo, hi = start[p], start[p + 1]
                _tally(part[p], part[p + 1], t, arrivals[p], extra, sizes, base, costs, counts[p])
                count = _step(
                    lo, hi, cuba[p], subtract, alpha, delta, theta, i_offset, acc, drive, v, current, spiked
                )
                n_sent[p] = count
                counts[p, SPIKES] += count
                if probes.spikes[p]:
                    for k in range(count):
                        tick_of[kept] = t
                        neuron_of[kept] = lo + spiked[lo + k]
                        kept += 1
                if probes.v[p] >= 0:
                    out.v[b, t, probes.v[p] : probes.v[p] + hi - lo] = v[lo:hi]
                if probes.i[p] >= 0:
                    out.i[b, t, probes.i[p] : probes.i[p] + hi - lo] = current[lo:hi]
                if probes.x[p] >= 0:
                    out.x[b, t, probes.x[p] : probes.x[p] + hi - lo] = acc[lo:hi]
            spiked, sent = sent, spiked
        offsets[b - first + 1] = kept
    return tick_of[:kept].copy(), neuron_of[:kept].copy(), offsets
