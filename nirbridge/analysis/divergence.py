"""The first spike that differs between two recordings of the same samples."""

from __future__ import annotations

from collections.abc import Mapping

import numpy as np

from nirbridge.analysis.spikes import cells
from nirbridge.analysis.types import Divergence
from nirbridge.spikes import Spikes


def first_difference(
    first: Mapping[str, Spikes], second: Mapping[str, Spikes], dt: float
) -> Divergence | None:
    """The first differing cell: lowest sample, then earliest step, then node order, then neuron.

    first, second: aligned spikes by node, nodes in execution order; None where all are equal.
    """
    found: tuple[int, int, int, int, str] | None = None
    names = list(first)
    for at, node in enumerate(names):
        a, b = cells(first[node], dt), cells(second[node], dt)
        only = np.setxor1d(a, b, assume_unique=True)
        if len(only) == 0:
            continue
        key = int(only[0])
        rest, unit = divmod(key, first[node].n_units)
        sample, step = divmod(rest, first[node].n_steps(dt))
        place = int(np.searchsorted(a, key))
        spiked = "first" if place < len(a) and a[place] == key else "second"
        candidate = (sample, step, at, unit, spiked)
        if found is None or candidate[:4] < found[:4]:
            found = candidate
    if found is None:
        return None
    sample, step, at, unit, spiked = found
    return Divergence(sample=sample, step=step, node=names[at], neuron=unit, spiked=spiked)
