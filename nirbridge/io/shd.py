"""Labelled spikes in the HDF5 layout of the Spiking Heidelberg Digits, plain or gzipped.

``spikes/times`` vlen float [s], ``spikes/units`` vlen int, ``labels``, ``extra/keys`` (UTF-8 class
names), ``extra/speaker`` (read as groups), ``extra/meta_info/duration`` [s]. Of any dtype: float16
seconds are cast to float64 before anything is computed from them.
"""

from __future__ import annotations

import gzip
import io
import zlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import NirbridgeError
from nirbridge.io.atomic import atomic_path
from nirbridge.io.spike_arrays import MAX_BYTES, MS, SpikeArrays, refused, to_dataset

_BLOCK = 4096  # samples read at once: one call for most files, bounded memory for a hostile one
_BROKEN = (OSError, EOFError, zlib.error, RuntimeError, KeyError, ValueError, TypeError, MemoryError)
_REFERENCE = 16  # bytes of a vlen entry inside the file


def read_shd(
    path: Path, *, n_units: int | None = None, duration: float | None = None, max_bytes: int = MAX_BYTES
) -> Dataset:
    """Read a whole file into memory; ``.gz`` is decompressed in memory, never beyond ``max_bytes``.

    n_units: else the attribute ``n_units`` of ``/spikes``, else the largest unit + 1.
    duration [s]: else the attribute ``duration`` of ``/spikes``, else the smallest multiple of 1 ms
    that holds every ``extra/meta_info/duration`` and lies above every spike.
    Raises `BadInput`: NB001 for a file that is truncated or no HDF5, NB002-NB005 for links and storage
    that lead out of it, NB007 for its size, NB507 for another layout, and what `to_dataset` raises.
    """
    try:
        if path.name.lower().endswith(".gz"):
            with h5py.File(io.BytesIO(_decompressed(path, max_bytes)), "r") as file:
                arrays = _arrays(file, path, max_bytes)
        else:
            with h5py.File(path, "r") as file:
                arrays = _arrays(file, path, max_bytes)
    except NirbridgeError:
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


def _arrays(file: h5py.File, path: Path, max_bytes: int) -> SpikeArrays:
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
    times, counts = _flat(times_of, path, max_bytes)
    units, unit_counts = _flat(units_of, path, max_bytes)
    if not np.array_equal(counts, unit_counts):
        at = int(np.argmax(counts != unit_counts))
        raise refused(
            path,
            f"sample {at} has {counts[at]} times and {unit_counts[at]} units",
            fix="write the file again",
        )
    group = file["spikes"].attrs
    keys = _values(file, "extra/keys", path, max_bytes)
    lengths = _values(file, "extra/meta_info/duration", path, max_bytes)
    stated = float(group["duration"]) if "duration" in group else _longest(lengths, times)
    return SpikeArrays(
        times=times,
        units=units,
        offsets=np.concatenate([[0], np.cumsum(counts)]).astype(np.int64),
        labels=_values(file, "labels", path, max_bytes),
        groups=_values(file, "extra/speaker", path, max_bytes),
        classes=() if keys is None else [_name(key) for key in keys.reshape(-1)],
        n_units=float(group["n_units"]) if "n_units" in group else None,
        duration=stated,
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


def _flat(dataset: h5py.Dataset, path: Path, max_bytes: int) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All samples one after the other, in the file's dtype, and the length of each."""
    base = np.dtype(h5py.check_vlen_dtype(dataset.dtype))
    if base.kind not in "iuf":
        raise refused(
            path, f"{dataset.name} holds {base}, expected numbers", code="NB507", fix="write it again"
        )
    _check_size(dataset.shape[0] * _REFERENCE, path, max_bytes)
    parts: list[NDArray[Any]] = []
    used = 0
    for start in range(0, dataset.shape[0], _BLOCK):
        rows = dataset[start : start + _BLOCK]
        parts.extend(rows)
        used += sum(row.nbytes for row in rows)
        _check_size(used, path, max_bytes)
    counts = np.array([len(row) for row in parts], dtype=np.int64)
    return (np.concatenate(parts) if parts else np.empty(0, dtype=base)), counts


def _values(file: h5py.File, name: str, path: Path, max_bytes: int) -> NDArray[Any] | None:
    dataset = _member(file, name, path)
    if dataset is None:
        return None
    _check_size(dataset.size * max(dataset.dtype.itemsize, 1), path, max_bytes)
    return np.asarray(dataset[()])


def _check_size(size: int, path: Path, max_bytes: int) -> None:
    if size > max_bytes:
        raise refused(
            path,
            f"holds more than {max_bytes} bytes",
            code="NB007",
            fix="read it with a larger max_bytes if you trust the file",
        )


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


def _name(key: Any) -> str:
    return key.decode("utf-8", errors="replace") if isinstance(key, bytes) else str(key)


def _first_line(cause: BaseException) -> str:
    return (str(cause) or type(cause).__name__).splitlines()[0][:160]
