"""Augmentation: a new sample from two of its class."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from nirbridge.data.dataset import Dataset
from nirbridge.spikes import Spikes


@dataclass(frozen=True)
class Blend:
    """With ``chance``, mix a sample with another of its class from the same batch.

    Both are moved to their common mean channel (by whole channels) and mean time, then each spike of
    either is kept with probability 1/2; what falls outside the channels or the duration is dropped. Samples
    that are empty, unlabelled or alone in their class stay as they are (EVENTPROP.md §9).
    """

    chance: float

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        spikes = data.spikes
        counts = spikes.counts()
        mixed = rng.random(len(data)) < self.chance
        partner = _partners(data.labels, counts > 0, rng)
        mixed &= partner >= 0
        if not mixed.any():
            return data
        chosen = np.flatnonzero(mixed)
        other = spikes.select(partner[chosen])
        unit_mean, time_mean = _means(spikes)
        to_unit, to_time = np.zeros(len(data)), np.zeros(len(data))
        to_unit[chosen] = (unit_mean[partner[chosen]] - unit_mean[chosen]) / 2
        to_time[chosen] = (time_mean[partner[chosen]] - time_mean[chosen]) / 2
        sample = np.repeat(np.arange(len(data)), counts)
        other_sample = np.repeat(chosen, other.counts())
        own_keep = (rng.random(len(sample)) < 0.5) | ~mixed[sample]
        other_keep = rng.random(len(other_sample)) < 0.5
        at = np.concatenate([sample[own_keep], other_sample[other_keep]])
        units = np.concatenate(
            [
                (spikes.units + np.rint(to_unit)[sample].astype(int))[own_keep],
                (other.units - np.rint(to_unit)[other_sample].astype(int))[other_keep],
            ]
        )
        times = np.concatenate(
            [
                (spikes.times + to_time[sample])[own_keep],
                (other.times - to_time[other_sample])[other_keep],
            ]
        )
        inside = (units >= 0) & (units < spikes.n_units) & (times >= 0) & (times < spikes.duration)
        values: NDArray[Any] | None = None
        if spikes.values is not None and other.values is not None:
            values = np.concatenate([spikes.values[own_keep], other.values[other_keep]])[inside]
        blended = Spikes.from_events(
            times[inside],
            units[inside],
            at[inside],
            n_samples=len(data),
            n_units=spikes.n_units,
            duration=spikes.duration,
            values=values,
        )
        return data.with_spikes(blended)


def _partners(
    labels: NDArray[np.int64] | None, usable: NDArray[np.bool_], rng: Generator
) -> NDArray[np.int64]:
    """Another usable sample of each sample's class, (n,); −1 where there is none."""
    partner = np.full(len(usable), -1, np.int64)
    if labels is None:
        return partner
    for label in np.unique(labels):
        members = np.flatnonzero((labels == label) & usable)
        if len(members) > 1:
            step = rng.integers(1, len(members), len(members))  # any other member, evenly
            partner[members] = members[(np.arange(len(members)) + step) % len(members)]
    return partner


def _means(spikes: Spikes) -> tuple[NDArray[np.float64], NDArray[np.float64]]:
    """Mean channel and mean time [s] of each sample, 0 where it is empty."""
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    n = np.maximum(spikes.counts(), 1)
    unit = np.bincount(sample, spikes.units, spikes.n_samples) / n
    time = np.bincount(sample, spikes.times, spikes.n_samples) / n
    return unit, time
