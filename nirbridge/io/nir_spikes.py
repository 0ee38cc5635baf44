"""Recorded spikes as NIRData: what `nirbridge run -o REC.nir` writes and `nir.read_data` reads."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import h5py
import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Finding, FindingWarning, UsageError
from nirbridge.io.atomic import atomic_path
from nirbridge.spikes import Spikes
from nirbridge.validate.names import name_problem

OBSERVABLE = "spikes"
NODE = "input"
BESIDE = "nirbridge"
"""Group of what NIRData has no place for: labels, classes, groups. `nir.read_data` passes over it."""
MAX_CELLS = 1 << 28


def write_spikes(path: Path, nodes: Mapping[str, Spikes], *, dt: float | None = None) -> None:
    """Write the spikes of some nodes, atomically: node name -> observable ``spikes``.

    As events, where NIRData pads every sample to the one with most spikes (index -1, time inf) and
    graded spikes become `nir.ValuedEventData`; with ``dt`` [s] as grids (see `grid_data`). Times in
    seconds. Raises `BadInput` (NB012) for a name no file can hold, `UsageError` (NB701) for a grid of
    more than 2^28 cells.
    """
    path = Path(path)
    with atomic_path(path) as temporary:
        nir.write_data(temporary, _graph_data(path, nodes, dt))


def write_nodes(path: Path, nodes: Mapping[str, Dataset], *, dt: float | None = None) -> None:
    """As `write_spikes`, with the first data set's labels and groups beside the nodes."""
    path = Path(path)
    data = _graph_data(path, {name: dataset.spikes for name, dataset in nodes.items()}, dt)
    with atomic_path(path) as temporary:
        nir.write_data(temporary, data)
        for dataset in list(nodes.values())[:1]:
            with h5py.File(temporary, "r+") as file:
                _put_beside(file, dataset)


def _graph_data(path: Path, nodes: Mapping[str, Spikes], dt: float | None) -> nir.NIRGraphData:
    for name in nodes:
        problem = name_problem(name)
        if problem is not None:
            raise BadInput(f"{path}: the node name {name!a} {problem}", code="NB012", fix="rename the node")
    made = {
        name: event_data(spikes) if dt is None else grid_data(spikes, dt, name)
        for name, spikes in nodes.items()
    }
    return nir.NIRGraphData({name: nir.NIRNodeData({OBSERVABLE: data}) for name, data in made.items()})


def _put_beside(file: h5py.File, dataset: Dataset) -> None:
    if dataset.labels is not None:
        file[f"{BESIDE}/labels"] = dataset.labels
        names = np.array(dataset.classes, dtype=object)
        file.create_dataset(f"{BESIDE}/classes", data=names, dtype=h5py.string_dtype())
    if dataset.groups is not None:
        file[f"{BESIDE}/groups"] = dataset.groups


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


def grid_data(spikes: Spikes, dt: float, name: str) -> nir.TimeGriddedData:
    """A grid (n_samples, n_steps, n_units) of steps of ``dt`` [s]; a spike at t is in step `step_of` (t).

    bool where no cell holds more than one spike. Else whole numbers, the spikes of a cell or the sum
    of their values, and a `FindingWarning` (NB502), since a reader that takes a grid for yes and no,
    as `nir.TimeGriddedData.to_event` does, loses them.
    """
    cells = spikes.n_samples * spikes.n_steps(dt) * spikes.n_units
    if cells > MAX_CELLS:
        raise UsageError(
            f"node '{name}': a grid of {cells:,} cells at dt = {dt:g} s, expected at most {MAX_CELLS:,}",
            code="NB701",
            fix="leave --dt out to write events, or write fewer samples",
        )
    counts = replace(spikes, values=None).to_dense(dt)
    grid = counts.astype(bool) if spikes.values is None else spikes.to_dense(dt)
    crowded = int(np.count_nonzero(counts > 1))
    if crowded:
        grid = spikes.to_dense(dt)
        what = (
            f"node '{name}': {crowded:,} cells of {dt:g} s hold several spikes (at most {counts.max()}); "
            f"the grid keeps {'their number' if spikes.values is None else 'the sum of their values'}, "
            "readers of yes and no see one"
        )
        finding = Finding(code="NB502", level="warning", message=what, fix="a smaller --dt, or events")
        warnings.warn(FindingWarning(finding), stacklevel=2)
    return nir.TimeGriddedData(grid, dt)
