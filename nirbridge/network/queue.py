"""Input channels that send one spike a step at most: further events wait for the next free step."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge.semantics import Semantics
from nirbridge.spikes import Spikes


def queued(spikes: Spikes, semantics: Semantics) -> Spikes:
    """The spikes as the graph's profile sends them (SEMANTICS.md §4, genn).

    Under profile ``genn`` the k-th event of a channel is sent in step ``s_k = max(t_k, s_{k−1}+1)``;
    what would come after the last step is lost. Graded spikes and other profiles stay as they are.
    """
    if semantics.profile != "genn" or spikes.values is not None or not len(spikes.times):
        return spikes
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    step = _sent(sample, spikes.steps(semantics.dt).astype(np.int64), spikes.units)
    kept = step < spikes.n_steps(semantics.dt)
    return Spikes.from_events(
        step[kept] * semantics.dt,
        spikes.units[kept],
        sample[kept],
        n_samples=spikes.n_samples,
        n_units=spikes.n_units,
        duration=spikes.duration,
    )


def _sent(sample: NDArray[np.int64], step: NDArray[np.int64], unit: NDArray[np.int32]) -> NDArray[np.int64]:
    """Steps at which the events are sent, in their own order."""
    order = np.lexsort((step, unit, sample))
    rank = np.arange(len(order))
    first = np.concatenate([[True], (np.diff(sample[order]) != 0) | (np.diff(unit[order]) != 0)])
    begin = np.maximum.accumulate(np.where(first, rank, 0))
    slack = step[order] - (rank - begin)
    # the running maximum restarts with every channel: channels are moved apart by more than any step
    apart = np.cumsum(first) * (int(step.max()) + len(step) + 2)
    result = np.empty_like(step)
    result[order] = np.maximum.accumulate(slack + apart) - apart + (rank - begin)
    return result
