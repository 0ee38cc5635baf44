"""Augmentation: all channels of a sample moved by one random number of places."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.random import Generator

from nirbridge.data.dataset import Dataset
from nirbridge.data.moved import moved


@dataclass(frozen=True)
class ChannelShift:
    """Add one integer from U{−channels … channels} per sample to all its units; outside is dropped.

    The shift of Nowotny et al. 2022 (arXiv 2212.01232, one draw a sample).
    """

    channels: int

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        spikes = data.spikes
        shift = rng.integers(-self.channels, self.channels + 1, spikes.n_samples)
        units = spikes.units + np.repeat(shift, spikes.counts()).astype(np.int32)
        return data.with_spikes(moved(spikes, units=units))
