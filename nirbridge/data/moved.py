"""Spikes whose times or units were changed, as valid `Spikes` again: what augmentations share."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.spikes import Spikes


def moved(
    spikes: Spikes,
    *,
    times: NDArray[np.float64] | None = None,
    units: NDArray[Any] | None = None,
    keep: NDArray[np.bool_] | None = None,
) -> Spikes:
    """The spikes at new times [s] or units, (n,) each, or those to ``keep``; None changes nothing.

    What lies outside the channels or the duration is dropped; times ascend again within each sample,
    equal ones in the order that they had.
    """
    when = spikes.times if times is None else times
    where = spikes.units if units is None else units
    inside = (where >= 0) & (where < spikes.n_units) & (when >= 0) & (when < spikes.duration)
    if keep is not None:
        inside &= keep
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())[inside]
    offsets = np.concatenate([[0], np.cumsum(np.bincount(sample, minlength=spikes.n_samples))])
    when, where = when[inside], where[inside].astype(np.int32)
    values = None if spikes.values is None else spikes.values[inside]
    if times is not None:
        order = np.lexsort((when, sample))
        when, where = when[order], where[order]
        values = None if values is None else values[order]
    return Spikes(when, where, offsets, spikes.n_units, spikes.duration, values)
