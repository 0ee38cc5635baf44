"""Input spikes as the flat event lists that the time loop reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.kernels.events import order_events
from nirbridge.network import Network
from nirbridge.spikes import Spikes


def events_of(
    spikes: Spikes, network: Network, n_steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]:
    """(start, unit, value): sample b's events of step t are unit/value[start[b, t]:start[b, t+1]].

    Units are indices into the state arrays; within a step they ascend, so that sums have one order.
    Several events of a channel in one step add. Under profile ``genn`` a channel emits one spike a
    step at most and extra events move on to the next free step. Raises `BadInput` (NB501) where the
    spikes have more units than the graph has inputs.
    """
    inputs = network.of_kind("input")
    states = np.concatenate([[0], np.cumsum([p.size for p in network.populations])])
    ranges = [np.arange(states[at], states[at + 1]) for at in inputs]
    places = np.concatenate([*ranges, np.zeros(0, np.int64)]).astype(np.int64)
    if spikes.n_units > len(places):
        raise BadInput(
            f"the data have {spikes.n_units} units, the graph's input has {len(places)}",
            code="NB501",
            fix="use the data set that the graph was trained on, or one with as many channels",
        )
    step = spikes.steps(network.semantics.dt)
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    double = network.semantics.arithmetic == "float64"
    value: NDArray[np.floating] = np.ones(len(step)) if spikes.values is None else spikes.values.astype(float)
    value = value if double else value.astype(np.float32)
    if network.semantics.profile == "genn" and spikes.values is None:
        step = _queued(sample, step, spikes.units)
        keep = step < n_steps
        sample, step, value, units = sample[keep], step[keep], value[keep], spikes.units[keep]
    else:
        units = spikes.units
    counts = np.bincount(sample, minlength=spikes.n_samples)
    offsets = np.concatenate([[0], np.cumsum(counts)])
    start = np.empty((spikes.n_samples, n_steps + 1), np.int64)
    order = np.empty(len(step), np.int64)
    units = units.astype(np.int64)
    for b in range(spikes.n_samples):
        mine = slice(offsets[b], offsets[b + 1])
        order_events(step[mine], units[mine], n_steps, len(places), start[b], order[mine])
        start[b] += offsets[b]
        order[mine] += offsets[b]
    return start, places[units[order]], value[order]


def _queued(sample: NDArray[np.int64], step: NDArray[np.int64], unit: NDArray[np.int32]) -> NDArray[np.int64]:
    """Steps at which a channel that emits one spike a step sends its events: s_k = max(t_k, s_{k−1}+1)."""
    order = np.lexsort((step, unit, sample))
    rank = np.arange(len(order))
    group = np.concatenate([[True], (np.diff(sample[order]) != 0) | (np.diff(unit[order]) != 0)])[
        : len(order)
    ]
    begin = np.maximum.accumulate(np.where(group, rank, 0))
    slack = step[order] - (rank - begin)
    # the running maximum restarts with every channel: channels are moved apart by more than any step
    apart = np.cumsum(group) * (int(step.max(initial=0)) + len(step) + 2)
    sent = np.maximum.accumulate(slack + apart) - apart + (rank - begin)
    result = np.empty_like(step)
    result[order] = sent
    return result
