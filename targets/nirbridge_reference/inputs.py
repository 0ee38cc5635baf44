"""Input spikes and numbers as the flat event lists that the compiled loop reads."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.kernels import use_cache
from nirbridge.kernels.events import order_events
from nirbridge.network import queued
from nirbridge.spikes import Spikes
from nirbridge_reference.lower import Lowered

use_cache(__name__)

SHORT = 48  # events of one step up to which they are sorted by insertion


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """What the inputs send: in step t input q of sample b sends unit/value[start[b, q, t]:start[b, q, t+1]].

    start (n_samples, inputs, n_steps+1) int64; unit (n,) int32 within its input, ascending within a step, so
    that sums have one order; value (n,); ones: every value is 1.
    """

    start: NDArray[np.int64]
    unit: NDArray[np.int32]
    value: NDArray[np.floating]
    ones: bool

    @property
    def n_samples(self) -> int:
        return len(self.start)

    @staticmethod
    def empty(inputs: int, dtype: np.dtype[np.floating]) -> Events:
        """One sample of no steps."""
        return Events(np.zeros((1, inputs, 1), np.int64), np.zeros(0, np.int32), np.zeros(0, dtype), True)


def spike_events(spikes: Spikes, low: Lowered, n_steps: int) -> Events:
    """The events of a batch; the units of an input follow those of the input before it in the graph.

    Several events of a channel in one step add; under profile ``genn`` they queue. Raises `BadInput`
    (NB501) where the spikes have more units than the graph has inputs.
    """
    edges = _edges(low)
    if spikes.n_units > edges[-1]:
        raise BadInput(
            f"the data have {spikes.n_units} units, the graph's input has {edges[-1]}",
            code="NB501",
            fix="use the data set that the graph was trained on, or one with as many channels",
        )
    dt = low.network.semantics.dt
    spikes = queued(spikes, low.network.semantics)
    given = np.ones(0, low.dtype) if spikes.values is None else spikes.values.astype(low.dtype)
    n = len(spikes.times)
    unit, value = np.empty(n, np.int32), np.empty(n, low.dtype)
    start = np.zeros((spikes.n_samples, len(edges) - 1, n_steps + 1), np.int64)
    last = max(spikes.n_steps(dt) - 1, 0)
    n, added = _order(spikes.times, spikes.units, given, spikes.offsets, dt, last, edges, start, unit, value)
    return Events(start, unit[:n], value[:n], spikes.values is None and not added)


def value_events(values: NDArray[np.floating], low: Lowered, n_steps: int) -> Events:
    """Numbers (n_samples, steps, units) as events: what is not 0 is sent, in ``n_steps`` ≥ steps.

    Raises `BadInput` (NB501) where the graph has not as many inputs.
    """
    edges = _edges(low)
    if values.shape[2] != edges[-1]:
        raise BadInput(
            f"the values have {values.shape[2]} units, the graph's input has {edges[-1]}",
            code="NB501",
            fix="give an array (samples, steps, inputs)",
        )
    n, inputs = len(values), len(edges) - 1
    start = np.zeros((n, inputs, n_steps + 1), np.int64)
    units, sent = [np.zeros(0, np.int32)], [np.zeros(0, low.dtype)]
    used = 0
    for q in range(inputs):
        part = values[:, :, edges[q] : edges[q + 1]]
        counts = np.zeros((n, n_steps), np.int64)
        counts[:, : values.shape[1]] = np.count_nonzero(part, axis=2)
        ends = used + np.cumsum(counts).reshape(n, n_steps)
        start[:, q, 1:] = ends
        start[:, q, :1] = ends[:, :1] - counts[:, :1]
        at = np.nonzero(part)
        units.append(at[2].astype(np.int32))
        sent.append(part[at].astype(low.dtype))
        used += len(at[2])
    value = np.concatenate(sent)
    return Events(start, np.concatenate(units), value, bool(np.all(value == 1)))


def _edges(low: Lowered) -> NDArray[np.int64]:
    """First unit of every input among the data's units, and their number at the end."""
    sizes = [low.network.populations[at].size for at in low.network.of_kind("input")]
    return np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)


@njit(cache=True, nogil=True)
def _order(
    times: Any, unit: Any, given: Any, offsets: Any, dt: Any, last: Any, edges: Any, start: Any, units: Any,
    values: Any,
) -> Any:  # fmt: skip
    """Fill start, units and values (`Events`) of a batch; the events of one unit and step add.

    times (n,) seconds, ascending within a sample, those of sample b at offsets[b] … offsets[b+1]; given (n,)
    their values, or empty where they are 1; last: the last step that has events; edges (inputs+1,): the units
    of input q are edges[q] … edges[q+1]−1. Returns the number of entries and whether any were added.
    """
    n_steps = start.shape[2] - 1
    used, added = 0, False
    most = 0
    for b in range(len(offsets) - 1):
        most = max(most, offsets[b + 1] - offsets[b])
    step = np.empty(most, np.int64)  # of the events of one sample
    for b in range(len(offsets) - 1):
        first, size = offsets[b], offsets[b + 1] - offsets[b]
        for e in range(np.uint64(size)):  # the rule of `nirbridge.spikes.step_of`
            scaled = times[np.uint64(first) + e] / dt
            step[e] = min(np.int64(np.floor(scaled * (1 + 2.0**-23) + 1e-6)), last)
        for q in range(len(edges) - 1):
            low, high = edges[q], edges[q + 1]
            short, run = True, 0
            for e in range(1, size):
                run = run + 1 if step[e] == step[e - 1] else 0
                short &= step[e] >= step[e - 1] and run < SHORT
            if not short:
                used, added = _sorted(
                    step, unit, given, first, size, low, high, n_steps, start[b, q], units, values, used,
                    added,
                )  # fmt: skip
                continue
            e = 0
            for t in range(n_steps):
                begin = used
                start[b, q, t] = used
                while e < size and step[e] == t:
                    u = unit[first + e] - low
                    if 0 <= u < high - low:
                        value = given[first + e] if len(given) else values.dtype.type(1)
                        k = used
                        while k > begin and units[k - 1] > u:
                            k -= 1
                        if k > begin and units[k - 1] == u:
                            values[k - 1] += value
                            added = True
                        else:
                            for m in range(used, k, -1):
                                units[m], values[m] = units[m - 1], values[m - 1]
                            units[k], values[k] = u, value
                            used += 1
                    e += 1
            start[b, q, n_steps] = used
    return used, added


@njit(cache=True, nogil=True)
def _sorted(
    step: Any, unit: Any, given: Any, first: Any, size: Any, low: Any, high: Any, n_steps: Any, start: Any,
    units: Any, values: Any, used: Any, added: Any,
) -> Any:  # fmt: skip
    """One sample and input by counting sorts; returns the entries used and whether any were added."""
    n = 0
    place = np.empty(size, np.int64)
    for e in range(size):
        if low <= unit[first + e] < high:
            place[n] = e
            n += 1
    begins, order = np.empty(n_steps + 1, np.int64), np.empty(n, np.int64)
    order_events(step[place[:n]], unit[first + place[:n]] - low, n_steps, high - low, begins, order)
    start[0] = used
    for t in range(n_steps):
        begin = used
        for k in range(begins[t], begins[t + 1]):
            e = place[order[k]]
            u = unit[first + e] - low
            value = given[first + e] if len(given) else values.dtype.type(1)
            if used > begin and units[used - 1] == u:
                values[used - 1] += value
                added = True
            else:
                units[used], values[used] = u, value
                used += 1
        start[t + 1] = used
    return used, added
