"""Event-driven forward pass of one sample: from event to event, nothing in between."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.arrays import ARRIVAL, INPUT, SPIKE
from nirbridge_eventprop.exact.heap import Heap, pop, push
from nirbridge_eventprop.exact.state import STATE, adaptation, advance, note_peak, predict

use_cache(__name__)


@njit(cache=True, nogil=True)
def _arrive(
    j: Any, t: Any, weight: Any, event: Any, until: Any, end: Any, weights: Any, cells: Any, state: Any,
    ends: Any, spikes: Any, known: Any, ahead: Any, sensitive: Any, peaks: Any,
) -> None:  # fmt: skip
    """A spike reaches neuron j at time t: I += w."""
    if peaks[0] <= j < peaks[1] and ends[j].last < 0:
        note_peak(j, t, event, weight, cells, state, ends, sensitive)
    advance(j, t, cells, state, ends, spikes, known, sensitive)
    state[j].i += weights[weight]
    predict(j, until, end, cells, state, ahead)


@njit(cache=True, nogil=True)
def _send(
    layer: Any, row: Any, source: Any, t: Any, event: Any, until: Any, end: Any, wires: Any, cells: Any,
    state: Any, ends: Any, spikes: Any, known: Any, ahead: Any, sensitive: Any, peaks: Any, heap: Any,
    waiting: Any, number: Any,
) -> Any:  # fmt: skip
    """A unit's spike along all connections of its layer; returns the heap's fill and insertion number."""
    weights = wires.weights
    for c in range(wires.start[layer], wires.start[layer + 1]):
        first, width = wires.weight[c] + row * wires.width[c], wires.width[c]
        for to in range(width):
            j = wires.post[c] + to
            if not wires.delayed[c]:
                _arrive(
                    j, t, first + to, event, until, end, weights, cells, state, ends, spikes, known, ahead,
                    sensitive, peaks,
                )  # fmt: skip
                continue
            late = t + wires.delays[first + to]
            if late < end and waiting < len(heap.time):
                push(heap, waiting, late, number, first + to, j, source)
                number += 1
            waiting += late < end
    return waiting, number


@njit(cache=True, nogil=True)
def _spike(
    j: Any, t: Any, at: Any, cells: Any, state: Any, ends: Any, spikes: Any, known: Any, sensitive: Any
) -> None:
    """Neuron j crosses its threshold at t: tape, reset, adaptation, refractory time."""
    advance(j, t, cells, state, ends, spikes, known, sensitive)
    b = adaptation(j, t, cells, state)
    spike = spikes[at]
    spike.time, spike.unit, spike.previous = t, j, ends[j].last
    spike.current, spike.adaptation = state[j].i, b
    spike.s, spike.u, spike.q = state[j].s, state[j].u, state[j].q
    ends[j].last = at
    state[j].v = cells[j].reset
    state[j].b, state[j].b_at = b + cells[j].b, t
    state[j].s = state[j].u = state[j].q = 0.0
    if cells[j].t_ref > 0.0:
        state[j].free = t + cells[j].t_ref


@njit(cache=True, nogil=True)
def forward(
    times: Any, units: Any, end: Any, wires: Any, cells: Any, tape: Any, pending: Any, sensitive: Any,
    peaks: Any,
) -> Any:  # fmt: skip
    """Run one sample; returns (events, spikes, arrivals, pending): how much room it took or lacked.

    times [s], units (events,): input by (time, unit). end: T [s]; events from T on are dropped. tape: empty,
    filled in place. pending: room for arrivals under way. sensitive: carry the derivatives by time
    constants; peaks (first, last): neurons whose largest V is noted where they do not spike. The tape is
    complete only if its room and ``pending`` exceed what is returned.
    """
    neurons = len(cells)
    state = np.zeros(neurons, STATE)
    known = np.zeros(6)
    ends, spiked, arrived = tape.ends, tape.spikes, tape.arrivals
    heap = Heap(np.zeros(pending), np.zeros((pending, 4), np.int64))
    waiting = number = spikes = arrivals = events = most = 0
    given = 0
    ahead = np.zeros(6)
    for j in range(neurons):
        predict(j, times[0] if len(times) else end, end, cells, state, ahead)
    while True:
        crossing, who = math.inf, -1
        for j in range(neurons):
            if state[j].next < crossing:
                crossing, who = state[j].next, j
        next_input = times[given] if given < len(times) else math.inf
        next_arrival = heap.time[0] if waiting > 0 else math.inf
        t = min(next_input, next_arrival)
        if min(t, crossing) >= end:
            break
        until = next_input
        if crossing < t and state[who].open:
            predict(who, until, end, cells, state, ahead)
            continue
        if crossing < t:
            if spikes >= len(spiked):
                return events, spikes + 1, arrivals, most
            _spike(who, crossing, spikes, cells, state, ends, spiked, known, sensitive)
            predict(who, until, end, cells, state, ahead)
            tape.kind[events] = SPIKE
            waiting, number = _send(
                cells[who].layer, cells[who].row, spikes, crossing, events, until, end, wires, cells, state,
                ends, spiked, known, ahead, sensitive, peaks, heap, waiting, number,
            )  # fmt: skip
            spikes += 1
        elif next_input <= next_arrival:
            tape.kind[events] = INPUT
            given += 1
            until = times[given] if given < len(times) else math.inf
            waiting, number = _send(
                0, units[given - 1], -given, t, events, until, end, wires, cells, state, ends, spiked,
                known, ahead, sensitive, peaks, heap, waiting, number,
            )  # fmt: skip
        else:
            if arrivals >= len(arrived):
                return events, spikes, arrivals + 1, most
            weight, j, source = heap.entry[0, 1], heap.entry[0, 2], heap.entry[0, 3]
            pop(heap, waiting)
            waiting -= 1
            tape.kind[events] = ARRIVAL
            late = arrived[arrivals]
            late.time, late.weight, late.unit, late.source = t, weight, j, source
            arrivals += 1
            _arrive(
                j, t, weight, events, until, end, wires.weights, cells, state, ends, spiked, known, ahead,
                sensitive, peaks,
            )  # fmt: skip
        events += 1
        most = max(most, waiting)
        if waiting > pending:
            return events, spikes, arrivals, most
    for j in range(neurons):
        if peaks[0] <= j < peaks[1] and ends[j].last < 0:
            note_peak(j, end, -1, -1, cells, state, ends, sensitive)
        advance(j, end, cells, state, ends, spiked, known, sensitive)
        ends[j].v, ends[j].i = state[j].v, state[j].i
    return events, spikes, arrivals, most
