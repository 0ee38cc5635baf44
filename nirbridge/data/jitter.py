"""Augmentation: every spike moved a little by itself, in time or over channels."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nirbridge.data.dataset import Dataset
from nirbridge.data.moved import moved


@dataclass(frozen=True)
class Jitter:
    """Add N(0, time) [s] to each spike's time, N(0, channels), rounded, to its unit; outside is dropped."""

    channels: float = 0.0
    time: float = 0.0

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        spikes = data.spikes
        n = len(spikes.times)
        times = spikes.times + rng.normal(0, self.time, n) if self.time else None
        units = spikes.units + np.rint(rng.normal(0, self.channels, n)).astype(int) if self.channels else None
        return data.with_spikes(moved(spikes, times=times, units=units))
