"""Recorded spikes as NIRData: what `nirbridge run -o REC.nir` writes and `nir.read_data` reads."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import nir
import numpy as np

from nirbridge.errors import BadInput
from nirbridge.io.atomic import atomic_path
from nirbridge.spikes import Spikes
from nirbridge.validate.names import name_problem

OBSERVABLE = "spikes"


def write_spikes(path: Path, nodes: Mapping[str, Spikes]) -> None:
    """Write the spikes of some nodes, atomically: node name -> observable ``spikes``.

    NIRData pads every sample to the one with most spikes (index -1, time inf); graded spikes become
    `nir.ValuedEventData`. Times in seconds. Raises `BadInput` (NB012) for a name no file can hold.
    """
    path = Path(path)
    for name in nodes:
        problem = name_problem(name)
        if problem is not None:
            raise BadInput(f"{path}: the node name {name!a} {problem}", code="NB012", fix="rename the node")
    data = nir.NIRGraphData(
        {name: nir.NIRNodeData({OBSERVABLE: event_data(spikes)}) for name, spikes in nodes.items()}
    )
    with atomic_path(path) as temporary:
        nir.write_data(temporary, data)


def event_data(spikes: Spikes) -> nir.EventData:
    """NIR's padded form: idx (n_samples, most) int64, time (n_samples, most) float64 [s].

    At least one column wide, since an empty array cannot be compressed.
    """
    plain = replace(spikes, values=None).to_event_data()
    idx, time = plain.idx, plain.time
    if idx.shape[1] == 0:
        idx, time = np.full((spikes.n_samples, 1), -1), np.full((spikes.n_samples, 1), np.inf)
    if spikes.values is None:
        return nir.EventData(idx, time, spikes.n_units, spikes.duration)
    value = np.zeros(idx.shape, dtype=np.int32)
    value[idx >= 0] = spikes.values  # row-major, as the spikes stand
    return nir.ValuedEventData(
        idx=idx, time=time, n_neurons=spikes.n_units, t_max=spikes.duration, value=value
    )
