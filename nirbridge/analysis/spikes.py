"""How far two recordings of the same samples agree, spike by spike and sample by sample."""

from __future__ import annotations

import math

import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.types import Agreement, PairedChange
from nirbridge.spikes import Spikes


def cells(spikes: Spikes, dt: float) -> NDArray[np.int64]:
    """Sorted unique keys of the (sample, step, unit) cells that hold a spike: (sample·K + step)·n + unit."""
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    steps = spikes.n_steps(dt)
    return np.unique((sample * steps + spikes.steps(dt)) * spikes.n_units + spikes.units)


def agreement(node: str, first: Spikes, second: Spikes, dt: float) -> Agreement:
    """Cells of ``node`` in both, only in the first and only in the second of two aligned recordings."""
    a, b = cells(first, dt), cells(second, dt)
    matched = len(np.intersect1d(a, b, assume_unique=True))
    return Agreement(node=node, matched=matched, missing=len(a) - matched, extra=len(b) - matched)


def paired_change(
    first: NDArray[np.int64], second: NDArray[np.int64], labels: NDArray[np.int64]
) -> PairedChange:
    """Correct predictions of the second against the first on the same samples, each (n_samples,)."""
    a, b = first == labels, second == labels
    gained, lost = int((b & ~a).sum()), int((a & ~b).sum())
    return PairedChange(
        n=len(labels), change=gained - lost, gained=gained, lost=lost, se=math.sqrt(gained + lost)
    )
