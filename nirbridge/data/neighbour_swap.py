"""Augmentation: random pairs of neighbouring channels exchange their spikes."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nirbridge.data.dataset import Dataset
from nirbridge.data.moved import moved


@dataclass(frozen=True)
class NeighbourSwap:
    """In each sample the channels are paired, from channel 0 or 1 on at random; a pair swaps with ``chance``.

    No spike is lost and none moves in time or by more than one channel.
    """

    chance: float

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        spikes = data.spikes
        first = rng.integers(0, 2, spikes.n_samples)
        swap = rng.random((spikes.n_samples, spikes.n_units // 2 + 1)) < self.chance
        sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
        place = spikes.units - first[sample]  # −1: the channel before the first pair
        partner = spikes.units + np.where(place % 2 == 0, 1, -1)
        paired = (place >= 0) & (partner < spikes.n_units)
        units = np.where(paired & swap[sample, np.maximum(place, 0) // 2], partner, spikes.units)
        return data.with_spikes(moved(spikes, units=units))
