"""From the flat arrays that a spike file holds to a checked `Dataset`; errors name file and sample."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes

MAX_BYTES = 4 << 30
MAX_CLASSES = 1 << 16
MS = 1e-3


@dataclass(frozen=True, slots=True, kw_only=True)
class SpikeArrays:
    """What was read from a file, of any numeric dtype, before it is checked.

    times: (n,) seconds; units: (n,); offsets: (n_samples+1,); values: (n,) or None.
    labels, groups: (n_samples,) or None; classes: names in label order, may be empty.
    n_units, duration [s]: as the file states them, or None.
    """

    times: NDArray[Any]
    units: NDArray[Any]
    offsets: NDArray[Any]
    values: NDArray[Any] | None = None
    labels: NDArray[Any] | None = None
    groups: NDArray[Any] | None = None
    classes: Sequence[str] = ()
    n_units: float | None = None
    duration: float | None = None


def refused(path: Path, message: str, *, code: str = "NB501", fix: str | None = None) -> BadInput:
    """The error for a spike file that cannot be used as it is."""
    return BadInput(f"{path}: {message}", code=code, fix=fix)


def to_dataset(
    arrays: SpikeArrays, path: Path, *, n_units: int | None = None, duration: float | None = None
) -> Dataset:
    """Check the arrays and build the data set; times that do not ascend within a sample are sorted.

    n_units: the caller's, else the file's, else the largest unit + 1; caller and file must agree.
    Groups that are texts become 0, 1, ... in sorted order.
    duration [s]: the caller's, else the file's where all spikes lie before it, else the smallest
    multiple of 1 ms above the largest time.
    Raises `BadInput`: NB501 for times, units and offsets, NB503 for labels and groups.
    """
    offsets = _whole(arrays.offsets, path, "offsets", "NB501")
    times = np.asarray(arrays.times, dtype=np.float64)
    units = arrays.units if arrays.units.dtype == np.int32 else _whole(arrays.units, path, "units", "NB501")
    _check_layout(times, units, offsets, path)
    _check_values(times, units, offsets, path)
    top = int(units.max(initial=-1)) + 1
    channels = _agreed(n_units, _channels(arrays.n_units, path), path)
    if channels is None:
        channels = top
    elif top > channels:
        sample, spike = _where(units >= channels, offsets)
        raise refused(
            path,
            f"sample {sample}, spike {spike}: unit {units[offsets[sample] + spike]}, "
            f"expected 0 to {channels - 1} ({channels} units)",
            fix="read it for a graph with more inputs, or correct the units in the file",
        )
    length = _duration(times, arrays.duration, duration, path)
    values = None if arrays.values is None else _whole(arrays.values, path, "values", "NB501")
    falls = np.flatnonzero(times[1:] < times[:-1]) + 1
    if not np.isin(falls, offsets).all():  # within a sample
        sample_of = np.repeat(np.arange(len(offsets) - 1), np.diff(offsets))
        order = np.lexsort((times, sample_of))  # stable: spikes of one time keep the file's order
        times, units = times[order], units[order]
        values = None if values is None else values[order]
    spikes = Spikes(
        times, units.astype(np.int32, copy=False), offsets, channels, length, _graded(values, path)
    )
    labels = None if arrays.labels is None else _whole(arrays.labels, path, "labels", "NB503")
    if labels is not None:
        _check_labels(labels, len(arrays.classes), path)
    groups = None if arrays.groups is None else _grouped(arrays.groups, path)
    return Dataset(spikes, labels, tuple(arrays.classes), groups, str(path))


def _check_layout(
    times: NDArray[np.float64], units: NDArray[Any], offsets: NDArray[np.int64], path: Path
) -> None:
    fix = "write the file again: times, units and offsets belong together"
    if times.ndim != 1 or units.shape != times.shape:
        raise refused(
            path,
            f"times of shape {times.shape} and units of shape {units.shape}, "
            "expected two flat arrays of one length",
            fix=fix,
        )
    n = len(times)
    if offsets.ndim != 1 or len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != n:
        raise refused(
            path, f"offsets do not run from 0 to {n}, the number of spikes ({_brief(offsets)})", fix=fix
        )
    if np.any(np.diff(offsets) < 0):
        raise refused(path, f"offsets fall after sample {int(np.argmax(np.diff(offsets) < 0))}", fix=fix)


def _check_values(
    times: NDArray[np.float64], units: NDArray[Any], offsets: NDArray[np.int64], path: Path
) -> None:
    wrong = ~(np.isfinite(times) & (times >= 0))
    if wrong.any():
        sample, spike = _where(wrong, offsets)
        raise refused(
            path,
            f"sample {sample}, spike {spike}: time {times[offsets[sample] + spike]:g} s, "
            f"expected a finite number ≥ 0 ({int(wrong.sum())} of {len(times)} spikes)",
            fix="correct the times in the file; they are seconds from the sample's start",
        )
    wrong = (units < 0) | (units >= 2**31)
    if wrong.any():
        sample, spike = _where(wrong, offsets)
        raise refused(
            path,
            f"sample {sample}, spike {spike}: unit {units[offsets[sample] + spike]}, "
            f"expected 0 or more ({int(wrong.sum())} of {len(units)} spikes)",
            fix="correct the units in the file; channels count from 0",
        )


def _check_labels(labels: NDArray[np.int64], named: int, path: Path) -> None:
    top = named or MAX_CLASSES
    wrong = (labels < 0) | (labels >= top)
    if wrong.any():
        at = int(np.argmax(wrong))
        names = f"{named} class names" if named else "no class names"
        raise refused(
            path,
            f"sample {at} has label {labels.reshape(-1)[at]}, expected 0 to {top - 1} ({names})",
            code="NB503",
            fix="correct the labels in the file",
        )


def _channels(stated: float | None, path: Path) -> int | None:
    if stated is None:
        return None
    if not (np.isfinite(stated) and 0 <= stated < 2**31 and stated == int(stated)):
        raise refused(
            path, f"n_units is {stated}, expected a whole number of channels", fix="write the file again"
        )
    return int(stated)


def _agreed(asked: int | None, stated: int | None, path: Path) -> int | None:
    """The number of channels; a file that states another one than was asked for is of other data."""
    if asked is not None and stated is not None and asked != stated:
        raise refused(
            path,
            f"states {stated} units, expected {asked}, the number of inputs",
            fix="give data made for this graph, or a graph with as many inputs",
        )
    return stated if asked is None else asked


def _grouped(array: NDArray[Any], path: Path) -> NDArray[np.int64]:
    """Groups as integers; texts are numbered in sorted order."""
    if array.dtype.kind not in "OSU":
        return _whole(array, path, "groups", "NB503")
    names = [x.decode("utf-8", "replace") if isinstance(x, bytes) else str(x) for x in array.reshape(-1)]
    number = {name: at for at, name in enumerate(sorted(set(names)))}
    return np.array([number[name] for name in names], dtype=np.int64).reshape(array.shape)


def _duration(times: NDArray[np.float64], stated: float | None, asked: float | None, path: Path) -> float:
    last = float(times.max(initial=0.0))
    above = round((np.floor(last / MS + 1e-9) + 1) * MS, 9)
    for value, whose in ((asked, "asked for"), (stated, "stated in the file")):
        if value is not None and not (np.isfinite(value) and value >= 0):
            raise refused(
                path, f"the duration {whose} is {value} s, expected a finite number ≥ 0", fix="correct it"
            )
    if asked is not None:
        if len(times) and last >= asked:
            raise refused(
                path,
                f"the last spike is at {last:g} s, expected all before the duration asked for, {asked:g} s",
                fix=f"ask for {above:g} s, or cut with spikes.with_duration({asked:g})",
            )
        return asked
    if stated is not None and (not len(times) or last < stated):
        return stated
    return above if len(times) else 0.0


def _graded(values: NDArray[np.int64] | None, path: Path) -> NDArray[np.int32] | None:
    if values is None:
        return None
    if np.any((values < -(2**31)) | (values >= 2**31)):
        raise refused(path, "values of graded spikes are beyond 32 bits", fix="correct them in the file")
    return values.astype(np.int32)


def _whole(array: NDArray[Any], path: Path, name: str, code: str) -> NDArray[np.int64]:
    """The array as int64; refuses what is not a whole number."""
    if array.dtype.kind not in "iuf":
        raise refused(
            path, f"{name} have dtype {array.dtype}, expected numbers", code=code, fix="write the file again"
        )
    if array.dtype.kind == "f":
        wrong = ~(np.isfinite(array) & (array == np.floor(array)))
        if wrong.any():
            at = int(np.argmax(wrong))
            raise refused(
                path,
                f"{name} hold {array.reshape(-1)[at]} at {at}, expected whole numbers",
                code=code,
                fix="correct them in the file",
            )
    return array.astype(np.int64)


def _where(mask: NDArray[np.bool_], offsets: NDArray[np.int64]) -> tuple[int, int]:
    """Sample, and spike within it, of the first True."""
    at = int(np.argmax(mask))
    sample = int(np.searchsorted(offsets, at, side="right")) - 1
    return sample, at - int(offsets[sample])


def _brief(array: NDArray[np.int64]) -> str:
    if array.ndim != 1 or len(array) == 0:
        return f"shape {array.shape}"
    return f"{len(array)} entries, {array[0]} to {array[-1]}"
