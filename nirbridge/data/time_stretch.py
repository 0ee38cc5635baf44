"""Augmentation: a sample played slower or faster."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nirbridge.data.dataset import Dataset
from nirbridge.data.moved import moved


@dataclass(frozen=True)
class TimeStretch:
    """Multiply all times of a sample by one factor from U(1 − share, 1 + share); past the end is dropped."""

    share: float

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        spikes = data.spikes
        factor = rng.uniform(1 - self.share, 1 + self.share, spikes.n_samples)
        return data.with_spikes(moved(spikes, times=spikes.times * np.repeat(factor, spikes.counts())))
