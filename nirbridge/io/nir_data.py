"""Read recorded spikes from NIRData files, binned by the rules that `nir`'s own conversions break.

Events stand as index and time padded to the longest sample (−1, inf), grids as (samples, steps, neurons).
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Finding, FindingWarning
from nirbridge.io.hdf5_heaps import check_heaps, content_of
from nirbridge.io.hdf5_values import Values, load_file, number, word
from nirbridge.io.hdf5_walk import Limits
from nirbridge.io.nir_spikes import BESIDE, OBSERVABLE
from nirbridge.io.spike_arrays import SpikeArrays, refused, to_dataset
from nirbridge.spikes import Spikes

RECORDING = "NIRGraphData"
_NODE = "NIRNodeData"
_EVENTS = ("EventData", "ValuedEventData")
_GRID = "TimeGriddedData"
_FLOAT32 = 2.0**-23  # a time in float32 may lie this share beyond the float64 t_max that it equals


@dataclass(frozen=True, slots=True)
class _Said:
    """The attributes of a group: its type, and numbers by name."""

    kind: str | None
    numbers: dict[str, float | None]


def is_recording(path: Path) -> bool:
    """Whether a file is NIRData; False for a file that cannot be read, which its reader then refuses."""
    try:
        with h5py.File(path, "r") as file, content_of(file) as content:
            check_heaps(file, content)
            return word(file, "__type__") == RECORDING
    except (OSError, RuntimeError, KeyError, ValueError, TypeError, BadInput):
        return False


def read_nodes(path: Path, *, limits: Limits = Limits()) -> dict[str, Dataset]:  # noqa: B008
    """The spikes in a NIRData file: dotted node name -> `Dataset`, labelled where nirbridge wrote the file.

    An observable that is not called ``spikes`` is named ``node:observable``. Padding (index −1 or time
    inf) goes, values of `ValuedEventData` are kept, a count c in a grid is c spikes at step·dt, an
    event at t_max itself belongs to the last step. Observables that hold no whole counts (a membrane)
    are left out with a `FindingWarning` (NB507).

    Raises `BadInput`: NB001-NB013 for a file that is refused or no recording, NB507 for another
    layout, NB501 for an index below 0 or ≥ n_neurons and for a time below 0 or beyond t_max.
    """
    path = Path(path)
    found, values = _observables(path, limits)
    return {name: _dataset(arrays, values, path) for name, arrays in found}


def read_spikes(path: Path, *, limits: Limits = Limits()) -> dict[str, Spikes]:  # noqa: B008
    """As `read_nodes`, the spikes alone: what `write_spikes` wrote."""
    return {name: dataset.spikes for name, dataset in read_nodes(path, limits=limits).items()}


def read_recorded(
    path: Path,
    *,
    node: str | None = None,
    n_units: int | None = None,
    duration: float | None = None,
    max_bytes: int = Limits().max_bytes,
) -> Dataset:
    """The spikes of one node of a NIRData file.

    ``node``: None where the file holds spikes of one only; raises `BadInput` (NB504) with the names where
    it holds several or not this one, and as `read_nodes` and `to_dataset`.
    """
    path = Path(path)
    found, values = _observables(path, Limits(max_bytes=max_bytes))
    recorded = dict(found)
    if node is None and len(recorded) == 1:
        node = next(iter(recorded))
    if node is None or node not in recorded:
        what = f"no spikes of node '{node}'" if node is not None else f"spikes of {len(recorded)} nodes"
        names = ", ".join(list(recorded)[:20]) or "none"
        fix = f"choose one with --node NODE: {names}" if recorded else "record spikes: nirbridge run --record"
        raise refused(path, f"holds {what} (recorded: {names}), expected one", code="NB504", fix=fix)
    return _dataset(recorded[node], values, path, n_units=n_units, duration=duration)


def _dataset(
    arrays: SpikeArrays,
    values: Values,
    path: Path,
    *,
    n_units: int | None = None,
    duration: float | None = None,
) -> Dataset:
    """The spikes with the labels and groups that stand beside the nodes."""
    group = values.get(BESIDE)
    beside = group if isinstance(group, dict) else {}
    labels, groups, classes = (beside.get(key) for key in ("labels", "groups", "classes"))
    whole = replace(
        arrays,
        labels=labels if isinstance(labels, np.ndarray) else None,
        groups=groups if isinstance(groups, np.ndarray) else None,
        classes=[str(name) for name in classes] if isinstance(classes, list) else (),
    )
    return to_dataset(whole, path, n_units=n_units, duration=duration)


def _observables(path: Path, limits: Limits) -> tuple[list[tuple[str, SpikeArrays]], Values]:
    said: dict[str, _Said] = {}
    values = load_file(path, limits, lambda file: _note(file, said))
    if said["/"].kind != RECORDING:
        raise refused(path, "is no recording (NIRData)", code="NB013", fix="name a file of recorded spikes")
    found = []
    for name, where, group in _groups(values, said, path, "", ""):
        at = said[where]
        if at.kind == _GRID:
            arrays = _gridded(group, at, path, name)
        elif at.kind in _EVENTS:
            arrays = _events(group, at, path, name)
        else:
            raise _layout(path, name, f"is of type {at.kind!a}", f"{', '.join(_EVENTS)} or {_GRID}")
        if arrays is None:
            what = f"{path}: '{name}' holds values of every step, no spikes; it is left out"
            warnings.warn(FindingWarning(Finding(code="NB507", level="warning", message=what)), stacklevel=4)
        else:
            found.append((name, arrays))
    return found, values


def _note(file: h5py.File, said: dict[str, _Said]) -> None:
    """Collect the attributes of every group; the walk before has seen each of them once."""
    open_groups = [("", file)]
    for where, group in open_groups:  # grows while it is walked
        kind = word(group, "__type__")
        keys = ("n_neurons", "t_max", "dt") if kind in (*_EVENTS, _GRID) else ()
        said[where or "/"] = _Said(kind, {key: number(group, key) for key in keys})
        members = ((name, group[name]) for name in group)
        open_groups += [(f"{where}/{name}", item) for name, item in members if isinstance(item, h5py.Group)]


def _groups(
    values: Values, said: dict[str, _Said], path: Path, where: str, owner: str
) -> Iterator[tuple[str, str, Values]]:
    """Name, place in the file and members of each observable, graphs inside graphs included."""
    nodes = values.get("nodes")
    if not isinstance(nodes, dict):
        raise _layout(path, owner or "the file", "has no group 'nodes'", "one group a node")
    for name, node in nodes.items():
        full, place = f"{owner}{name}", f"{where}/nodes/{name}"
        kind = said[place].kind if isinstance(node, dict) else None
        if kind == RECORDING:
            yield from _groups(node, said, path, place, f"{full}.")
        elif kind == _NODE:
            inner = node.get("observables")
            if not isinstance(inner, dict) or not all(isinstance(item, dict) for item in inner.values()):
                raise _layout(path, full, "has no group 'observables'", "one group an observable")
            for key, item in inner.items():
                yield full if key == OBSERVABLE else f"{full}:{key}", f"{place}/observables/{key}", item
        else:
            raise _layout(path, full, f"is of type {kind!a}", f"{_NODE} or {RECORDING}")


def _events(group: Values, said: _Said, path: Path, name: str) -> SpikeArrays:
    idx, time = (_array(group, key, path, name, 2) for key in ("idx", "time"))
    value = _array(group, "value", path, name, 2) if said.kind == "ValuedEventData" else None
    if idx.shape != time.shape or (value is not None and value.shape != idx.shape):
        shapes = f"idx {idx.shape}, time {time.shape}" + ("" if value is None else f", value {value.shape}")
        raise _layout(path, name, f"has arrays of different shapes ({shapes})", "one shape")
    if idx.dtype.kind == "f" and not np.all(np.isfinite(idx) & (idx == np.floor(idx))):
        raise _layout(path, name, "has an index that is no whole number", "the numbers of neurons")
    n_neurons, end = (_stated(said, key, path, name) for key in ("n_neurons", "t_max"))
    time = time.astype(np.float64)
    event = (idx != -1) & (time != np.inf)
    _within(event & ((idx < 0) | (idx >= n_neurons)), idx, path, name, "index", f"0 to {n_neurons - 1:.0f}")
    limit = end * (1 + _FLOAT32)
    _within(event & ~((time >= 0) & (time <= limit)), time, path, name, "time", f"0 to {end:g} s (t_max)")
    latest = float(time[event].max(initial=0.0))
    return SpikeArrays(
        times=time[event],  # row by row, so in the order of the samples
        units=idx[event],
        offsets=np.concatenate([[0], np.cumsum(event.sum(axis=1))]),
        values=None if value is None else value[event],
        n_units=n_neurons,
        duration=end if latest < end else float(np.nextafter(latest, np.inf)),
    )


def _gridded(group: Values, said: _Said, path: Path, name: str) -> SpikeArrays | None:
    data, dt = _array(group, "data", path, name, 3), _stated(said, "dt", path, name)
    if dt <= 0:
        raise _layout(path, name, f"has dt = {dt:g} s", "a positive number of seconds")
    if data.dtype.kind == "f" and not np.all(np.isfinite(data) & (data == np.floor(data)) & (data >= 0)):
        return None
    if data.dtype.kind in "if" and data.size and (data.min() < 0 or data.max() >= 2**31):
        return None
    counts = data.astype(np.int64)
    sample, step, unit = np.nonzero(counts)
    repeat = counts[sample, step, unit]
    if repeat.sum() > 2**31:
        raise _layout(path, name, f"counts {int(repeat.sum()):,} spikes", "fewer than 2^31")
    ends = np.concatenate([[0], np.cumsum(np.bincount(sample, weights=repeat, minlength=len(data)))])
    return SpikeArrays(
        times=np.repeat(step * dt, repeat),
        units=np.repeat(unit, repeat),
        offsets=ends.astype(np.int64),
        n_units=data.shape[2],
        duration=data.shape[1] * dt,
    )


def _array(group: Values, key: str, path: Path, name: str, ndim: int) -> NDArray[Any]:
    value = group.get(key)
    if not isinstance(value, np.ndarray) or value.ndim != ndim or value.dtype.kind not in "biuf":
        found = f"{value.dtype} {value.shape}" if isinstance(value, np.ndarray) else "nothing of the kind"
        raise _layout(path, name, f"has {found} as '{key}'", f"numbers in {ndim} dimensions")
    return value


def _stated(said: _Said, key: str, path: Path, name: str) -> float:
    value = said.numbers.get(key)
    whole = key != "n_neurons" or (value is not None and float(value).is_integer() and value < 2**31)
    if value is None or not np.isfinite(value) or value < 0 or not whole:
        raise _layout(path, name, f"has {key} = {value}", "a number of at least 0")
    return value


def _within(
    wrong: NDArray[np.bool_], values: NDArray[Any], path: Path, name: str, what: str, expected: str
) -> None:
    if wrong.any():
        sample, event = np.argwhere(wrong)[0]
        raise refused(
            path,
            f"'{name}', sample {sample}, event {event}: {what} {values[sample, event]:g}, "
            f"expected {expected} ({int(wrong.sum())} events)",
            fix="record it again; times are seconds from the sample's start, neurons count from 0",
        )


def _layout(path: Path, name: str, found: str, expected: str) -> BadInput:
    what = f"'{name}' {found}, expected {expected}"
    return refused(path, what, code="NB507", fix="write it with nirbridge or nir.write_data")
