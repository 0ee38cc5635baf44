"""Augmentation: spikes left out at random."""

from __future__ import annotations

from dataclasses import dataclass

from numpy.random import Generator

from nirbridge.data.dataset import Dataset
from nirbridge.data.moved import moved


@dataclass(frozen=True)
class Drop:
    """Leave out each spike with ``chance``, independently."""

    chance: float

    def __call__(self, data: Dataset, rng: Generator) -> Dataset:
        keep = rng.random(len(data.spikes.times)) >= self.chance
        return data.with_spikes(moved(data.spikes, keep=keep))
