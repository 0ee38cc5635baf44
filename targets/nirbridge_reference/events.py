"""Input spikes as the flat event lists that the time loop reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.kernels.events import order_events
from nirbridge.network import Network, queued
from nirbridge.spikes import Spikes


def events_of(
    spikes: Spikes, network: Network, n_steps: int
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]:
    """(start, unit, value): sample b's events of step t are unit/value[start[b, t]:start[b, t+1]].

    Units are indices into the state arrays; within a step they ascend, so that sums have one order.
    Several events of a channel in one step add; under profile ``genn`` they queue. Raises `BadInput`
    (NB501) where the spikes have more units than the graph has inputs.
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
    spikes = queued(spikes, network.semantics)
    step = spikes.steps(network.semantics.dt)
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    double = network.semantics.arithmetic == "float64"
    value: NDArray[np.floating] = np.ones(len(step)) if spikes.values is None else spikes.values.astype(float)
    value = value if double else value.astype(np.float32)
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
