"""Input spikes as the flat event lists that the time loop reads."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
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
    offsets = np.concatenate([[0], np.cumsum([p.size for p in network.populations])])
    places = np.concatenate([np.arange(offsets[at], offsets[at + 1]) for at in inputs] or [np.zeros(0, int)])
    if spikes.n_units > len(places):
        raise BadInput(
            f"the data have {spikes.n_units} units, the graph's input has {len(places)}",
            code="NB501",
            fix="use the data set that the graph was trained on, or one with as many channels",
        )
    step = spikes.steps(network.semantics.dt)
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    dtype = np.float64 if network.semantics.arithmetic == "float64" else np.float32
    value = np.ones(len(step), dtype) if spikes.values is None else spikes.values.astype(dtype)
    if network.semantics.profile == "genn" and spikes.values is None:
        step = _queued(sample, step, spikes.units)
        keep = step < n_steps
        sample, step, value, units = sample[keep], step[keep], value[keep], spikes.units[keep]
    else:
        units = spikes.units
    order = np.lexsort((units, step, sample))
    key = sample * (n_steps + 1) + step
    edges = (np.arange(spikes.n_samples)[:, None] * (n_steps + 1) + np.arange(n_steps + 1)[None, :]).reshape(
        -1
    )
    start = np.searchsorted(key[order], edges).reshape(spikes.n_samples, n_steps + 1)
    return np.ascontiguousarray(start), np.ascontiguousarray(places[units[order]]), value[order]


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
