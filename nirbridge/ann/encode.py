"""Images as the spikes that a rate-coded graph takes: values in every step, or spikes at a rate."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Images
from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes

LEVELS = 32767  # steps of the largest float value, where the samples are no whole numbers


@dataclass(frozen=True, slots=True, kw_only=True)
class Encoding:
    """How a sample becomes input spikes.

    coding: ``current``: a graded spike of value round(x/scale) in every step and channel, so whole
    numbers are exact; ``rate``: one spike in step t where ⌊(t+1)·p⌋ > ⌊t·p⌋ with p = x/scale, evenly
    spaced without chance, so the number of spikes after t steps is ⌊t·p⌋.
    scale: what one unit counts in the ANN's input. steps of dt [s] each.
    """

    coding: Literal["current", "rate"]
    scale: float
    steps: int
    dt: float

    def spikes(self, images: Images) -> Spikes:
        """The input of the graph for these samples, flattened row-major.

        Raises `BadInput` (NB513) for negative values under ``rate``, which have no rate.
        """
        values = images.values().reshape(len(images), -1).astype(np.float64) / self.scale
        if self.coding == "current":
            return self._graded(values)
        if values.min() < 0:
            at = int(np.argmin(values.min(axis=1)))
            raise BadInput(
                f"{images.source}: sample {at} has values below 0, which no rate can say",
                code="NB513",
                fix="use coding=current",
            )
        return self._paced(np.minimum(values, 1.0))

    def _graded(self, values: NDArray[np.float64]) -> Spikes:
        counts = np.rint(values).astype(np.int32)
        sample, unit = np.nonzero(counts)
        active = np.bincount(sample, minlength=len(values))
        first = np.concatenate([[0], np.cumsum(active)])
        # each sample's units, once a step: the blocks of the samples follow each other
        block = np.repeat(np.arange(len(values)), active * self.steps)
        offsets = first * self.steps
        within = np.arange(offsets[-1]) - offsets[block]
        width = active[block]
        take = first[block] + within % np.maximum(width, 1)
        step = within // np.maximum(width, 1)
        return Spikes(
            step * self.dt,
            unit[take].astype(np.int32),
            offsets,
            values.shape[1],
            self.steps * self.dt,
            counts[sample, unit][take],
        )

    def _paced(self, rates: NDArray[np.float64]) -> Spikes:
        sample, unit = np.nonzero(rates)
        rate = rates[sample, unit]
        reached = np.floor(np.outer(np.arange(self.steps + 1), rate) + 1e-9).astype(np.int64)
        step, which = np.nonzero(np.diff(reached, axis=0))
        return Spikes.from_events(
            step * self.dt,
            unit[which],
            sample[which],
            n_samples=len(rates),
            n_units=rates.shape[1],
            duration=self.steps * self.dt,
        )


def encoding_of(images: Images, coding: Literal["current", "rate"], *, steps: int, dt: float) -> Encoding:
    """The encoding whose scale suits these samples.

    ``current``: the images' own scale where they are whole numbers, else the largest absolute value
    over 32767. ``rate``: the largest value. All-zero samples give a scale of 1.
    """
    if coding == "current" and images.x.dtype.kind in "iu":
        scale = images.scale
    else:
        values = images.values()
        largest = float(np.abs(values).max() if coding == "current" else values.max())
        scale = largest / (LEVELS if coding == "current" else 1.0) if largest > 0 else 1.0
    return Encoding(coding=coding, scale=scale, steps=steps, dt=dt)
