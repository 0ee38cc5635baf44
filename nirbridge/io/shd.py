"""Labelled spikes in the HDF5 layout of the Spiking Heidelberg Digits, plain or gzipped.

``spikes/times`` vlen float [s], ``spikes/units`` vlen int, ``labels``, ``extra/keys`` (UTF-8 class
names), ``extra/speaker`` or ``extra/meta_info/take`` (read as groups), ``extra/meta_info/duration`` [s]. Of
any dtype: float16 seconds are cast to float64 before anything is computed from them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any, Literal

import h5py
import numpy as np
from h5py import h5t
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import NirbridgeError
from nirbridge.io.atomic import atomic_path
from nirbridge.io.hdf5_heaps import check_heaps, content_of
from nirbridge.io.hdf5_values import Reading, load_array, load_lists, number
from nirbridge.io.hdf5_walk import Budget, Limits, check_dataset
from nirbridge.io.spike_arrays import MAX_BYTES, MS, SpikeArrays, refused, to_dataset

Groups = Literal["speaker", "take"]
GROUPS: dict[Groups, str] = {"speaker": "extra/speaker", "take": "extra/meta_info/take"}
_BROKEN = (OSError, EOFError, zlib.error, RuntimeError, KeyError, ValueError, TypeError, MemoryError)


def read_shd(
    path: Path,
    *,
    n_units: int | None = None,
    duration: float | None = None,
    max_bytes: int = MAX_BYTES,
    groups: Groups = "speaker",
) -> Dataset:
    """Read a whole file into memory; ``.gz`` is decompressed in memory, never beyond ``max_bytes``.

    n_units: else the attribute ``n_units`` of ``/spikes``, else the largest unit + 1.
    duration [s]: else the attribute ``duration`` of ``/spikes``, else the smallest multiple of 1 ms
    that holds every ``extra/meta_info/duration`` and lies above every spike.
    groups: what the samples' groups are, where the file says it.
    Raises `BadInput`: NB001 for a file that is truncated or no HDF5, NB002-NB005 for links and storage
    that lead out of it, NB007 for its size, NB009 for its chunks, NB010 and NB011 for types and filters
    that are not read, NB507 for another layout, and what `to_dataset` raises.
    """
    limits = Limits(max_bytes=max_bytes, lists=True)
    try:
        if path.name.lower().endswith(".gz"):
            unpacked = _decompressed(path, max_bytes)
            with h5py.File(io.BytesIO(unpacked), "r") as file:
                arrays = _arrays(file, path, Reading(unpacked, Budget(limits)), groups)
        else:
            with h5py.File(path, "r") as file, content_of(file) as content:
                arrays = _arrays(file, path, Reading(content, Budget(limits)), groups)
    except NirbridgeError as error:
        if str(path) not in error.message:
            raise refused(path, error.message, code=error.code, fix=error.fix) from error
        raise
    except _BROKEN as cause:
        raise refused(
            path,
            f"not a readable HDF5 file ({_first_line(cause)})",
            code="NB001",
            fix="copy or download the file again: it is truncated or of another kind",
        ) from cause
    return to_dataset(arrays, path, n_units=n_units, duration=duration)


def write_shd(path: Path, dataset: Dataset) -> None:
    """Write the layout so that `read_shd` gives the same data set back; atomically, gzipped if ``.gz``.

    Times are written as float64, so nothing is lost. Raises `BadInput` (NB507) for graded spikes,
    which the layout cannot say.
    """
    if dataset.spikes.values is not None:
        raise refused(
            path, "the SHD layout has no graded spikes", code="NB507", fix="write an .npz file instead"
        )
    with atomic_path(path) as temporary:
        if not path.name.lower().endswith(".gz"):
            with h5py.File(temporary, "w") as file:
                _fill(file, dataset)
            return
        buffer = io.BytesIO()
        with h5py.File(buffer, "w") as file:
            _fill(file, dataset)
        temporary.write_bytes(gzip.compress(buffer.getvalue(), compresslevel=6, mtime=0))


def _fill(file: h5py.File, dataset: Dataset) -> None:
    spikes = dataset.spikes
    group = file.create_group("spikes")
    group.attrs["n_units"] = spikes.n_units
    group.attrs["duration"] = spikes.duration
    unit_type = np.uint16 if spikes.n_units <= 1 << 16 else np.int32
    for name, flat in (("times", spikes.times), ("units", spikes.units.astype(unit_type))):
        kind = h5py.vlen_dtype(flat.dtype)
        out = group.create_dataset(name, (spikes.n_samples,), dtype=kind)
        rows = np.empty(spikes.n_samples, dtype=kind)
        for sample in range(spikes.n_samples):
            rows[sample] = flat[spikes.offsets[sample] : spikes.offsets[sample + 1]]
        if spikes.n_samples:
            out.write_direct(rows)  # assigning would take samples of one length for a matrix
    extra = file.create_group("extra")
    if dataset.labels is not None:
        wide = np.max(dataset.labels, initial=0) >= 1 << 16
        file["labels"] = dataset.labels.astype(np.uint32 if wide else np.uint16)
        extra["keys"] = np.array([name.encode("utf-8") for name in dataset.classes], dtype=np.bytes_)
    if dataset.groups is not None:
        extra["speaker"] = dataset.groups


def _decompressed(path: Path, max_bytes: int) -> bytes:
    with gzip.open(path) as file:
        content = file.read(max_bytes + 1)
    if len(content) > max_bytes:
        raise refused(
            path,
            f"unpacks to more than {max_bytes} bytes",
            code="NB007",
            fix="decompress it to a .h5 file, or read it with a larger max_bytes if you trust it",
        )
    return content


def _arrays(file: h5py.File, path: Path, reading: Reading, groups: Groups) -> SpikeArrays:
    check_heaps(file, reading.content)
    times_of, units_of = (_member(file, f"spikes/{name}", path) for name in ("times", "units"))
    if times_of is None or units_of is None:
        found = ", ".join(sorted(file)[:8]) or "nothing"
        raise refused(
            path,
            f"no spikes in this HDF5 file: found {found}; expected spikes/times and spikes/units",
            code="NB507",
            fix="give a file in SHD layout (a .nir graph is no data set)",
        )
    for name, dataset in (("times", times_of), ("units", units_of)):
        check_dataset(dataset.id, dataset.name, reading.budget)
        if h5py.check_vlen_dtype(dataset.dtype) is None or dataset.ndim != 1:
            raise refused(
                path,
                f"spikes/{name} has dtype {dataset.dtype} and shape {dataset.shape}, "
                "expected one list of variable length per sample",
                code="NB507",
                fix="write it with nirbridge.io.write_dataset",
            )
    if times_of.shape != units_of.shape:
        raise refused(
            path,
            f"spikes/times has {times_of.shape[0]} samples, spikes/units {units_of.shape[0]}",
            code="NB507",
            fix="write the file again",
        )
    times, counts = load_lists(times_of.id, times_of.name, reading)
    units, unit_counts = load_lists(units_of.id, units_of.name, reading)
    if not np.array_equal(counts, unit_counts):
        at = int(np.argmax(counts != unit_counts))
        raise refused(
            path,
            f"sample {at} has {counts[at]} times and {unit_counts[at]} units",
            fix="write the file again",
        )
    group = file["spikes"]
    keys = _values(file, "extra/keys", path, reading)
    lengths = _values(file, "extra/meta_info/duration", path, reading)
    stated = number(group, "duration")
    return SpikeArrays(
        times=times,
        units=units,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        labels=_values(file, "labels", path, reading),
        groups=_values(file, GROUPS[groups], path, reading),
        classes=() if keys is None else [str(key) for key in keys.reshape(-1)],
        n_units=number(group, "n_units"),
        duration=_longest(lengths, times) if stated is None else stated,
    )


def _member(file: h5py.File, name: str, path: Path) -> h5py.Dataset | None:
    """The dataset of this name, or None; refuses links and storage that lead out of the file."""
    here: Any = file
    for part in name.split("/"):
        if not isinstance(here, h5py.Group) or part not in here:
            return None
        link = here.get(part, getlink=True)
        if not isinstance(link, h5py.HardLink):
            code = "NB002" if isinstance(link, h5py.ExternalLink) else "NB003"
            raise refused(
                path, f"{name} is a link to elsewhere, expected data", code=code, fix="copy the data into it"
            )
        here = here[part]
    if not isinstance(here, h5py.Dataset):
        return None
    if here.external or here.is_virtual:
        raise refused(
            path,
            f"{name} keeps its data in another file",
            code="NB004" if here.external else "NB005",
            fix="copy the data into it",
        )
    return here


def _values(file: h5py.File, name: str, path: Path, reading: Reading) -> NDArray[Any] | None:
    dataset = _member(file, name, path)
    if dataset is None:
        return None
    check_dataset(dataset.id, dataset.name, reading.budget)
    if dataset.id.get_type().get_class() == h5t.VLEN:
        raise refused(
            path, f"{name} holds lists, expected one entry a sample", code="NB507", fix="write the file again"
        )
    return np.asarray(load_array(dataset.id, dataset.name, reading))


def _longest(lengths: NDArray[Any] | None, times: NDArray[Any]) -> float | None:
    """Smallest multiple of 1 ms that holds every stated length and lies above every spike."""
    if lengths is None or lengths.size == 0 or lengths.dtype.kind not in "iuf":
        return None
    longest = float(np.max(lengths.astype(np.float64)))
    last = float(np.max(times.astype(np.float64), initial=0.0))
    if not (np.isfinite(longest) and np.isfinite(last)):
        return None
    steps = max(np.ceil(longest / MS - 1e-6), np.floor(last / MS + 1e-9) + 1)
    return float(round(steps * MS, 9))


def _first_line(cause: BaseException) -> str:
    return (str(cause) or type(cause).__name__).splitlines()[0][:160]
