"""Labelled spikes in one ``.npz``: flat arrays times, units, offsets, labels."""

from __future__ import annotations

import math
import tokenize
import zipfile
import zlib
from collections.abc import Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.io.atomic import atomic_path
from nirbridge.io.spike_arrays import MAX_BYTES, MAX_CLASSES, SpikeArrays, refused, to_dataset

_NEEDED = ("times", "units", "offsets")
_KNOWN = (*_NEEDED, "labels", "groups", "classes", "values", "n_units", "duration")
_PACKED = (zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED)
BROKEN = (OSError, ValueError, EOFError, RuntimeError, zipfile.BadZipFile, zlib.error, MemoryError)


def read_npz(
    path: Path, *, n_units: int | None = None, duration: float | None = None, max_bytes: int = MAX_BYTES
) -> Dataset:
    """Read flat spikes: ``times`` (n,) [s], ``units`` (n,), ``offsets`` (n_samples+1,), any dtype.

    Optional: ``labels`` and ``groups`` (n_samples,), ``classes`` (strings), ``values`` (n,) of graded
    spikes, ``n_units``, ``duration`` [s]. Nothing is unpickled. Raises `BadInput`: NB001 where the
    file is no readable zip, NB507 where the arrays are missing, NB007 where it unpacks to more than
    ``max_bytes``, and what `to_dataset` raises.
    """
    try:
        arrays = npz_arrays(path, max_bytes)
    except BROKEN as cause:
        raise refused(
            path,
            f"not a readable .npz file ({cause}), expected a zip of numpy arrays without objects",
            code="NB001",
            fix="write or copy the file again",
        ) from cause
    missing = [name for name in _NEEDED if name not in arrays]
    if missing:
        found = ", ".join(f"{name} {value.shape}" for name, value in list(arrays.items())[:8]) or "nothing"
        raise refused(
            path,
            f"no spikes in this .npz: found {found}; expected the flat arrays times [s], units and offsets",
            code="NB507",
            fix="write it with nirbridge.io.write_dataset; images to train on need [data] latency",
        )
    classes = arrays.get("classes")
    if classes is not None and classes.size > MAX_CLASSES:
        raise refused(
            path,
            f"{classes.size:,} class names, expected at most {MAX_CLASSES:,}",
            code="NB503",
            fix="write the file again",
        )
    return to_dataset(
        SpikeArrays(
            times=_numbers(arrays["times"], path),
            units=arrays["units"],
            offsets=arrays["offsets"],
            values=arrays.get("values"),
            labels=arrays.get("labels"),
            groups=arrays.get("groups"),
            classes=() if classes is None else [str(name) for name in classes.reshape(-1)],
            n_units=None if "n_units" not in arrays else one_number(arrays["n_units"], path, "n_units"),
            duration=None if "duration" not in arrays else one_number(arrays["duration"], path, "duration"),
        ),
        path,
        n_units=n_units,
        duration=duration,
    )


def write_npz(path: Path, dataset: Dataset) -> None:
    """Write flat spikes so that `read_npz` gives the same data set back; atomically."""
    spikes = dataset.spikes
    arrays: dict[str, NDArray[Any]] = {
        "times": spikes.times,
        "units": spikes.units,
        "offsets": spikes.offsets,
        "n_units": np.asarray(spikes.n_units),
        "duration": np.asarray(spikes.duration),
    }
    if spikes.values is not None:
        arrays["values"] = spikes.values
    if dataset.labels is not None:
        arrays["labels"] = dataset.labels
        arrays["classes"] = np.asarray(dataset.classes, dtype=np.str_)
    if dataset.groups is not None:
        arrays["groups"] = dataset.groups
    with atomic_path(path) as temporary, temporary.open("wb") as file:
        np.savez_compressed(file, allow_pickle=False, **arrays)


def npz_arrays(path: Path, max_bytes: int, known: Sequence[str] = _KNOWN) -> dict[str, NDArray[Any]]:
    """The arrays of the known names; of others only the shape, for a message. Raises one of `BROKEN`."""
    with path.open("rb") as file, zipfile.ZipFile(file) as archive:
        size = sum(item.file_size for item in archive.infolist())
        if size > max_bytes:
            raise refused(
                path,
                f"unpacks to {size} bytes, expected at most {max_bytes}",
                code="NB007",
                fix="read it with a larger max_bytes if you trust the file",
            )
        arrays = {}
        for item in archive.infolist():
            if item.compress_type not in _PACKED:
                raise ValueError(f"'{item.filename[:60]!a}' is packed by method {item.compress_type}")
            name = item.filename.removesuffix(".npy")
            with archive.open(item) as member:
                arrays[name] = _array(member, item.file_size, read=name in known)
    return arrays


def _array(member: IO[bytes], size: int, *, read: bool) -> NDArray[Any]:
    """An array of numpy's own format; its header is held against ``size`` before memory is set aside."""
    version = np.lib.format.read_magic(member)
    if version not in ((1, 0), (2, 0), (3, 0)):
        raise ValueError(f"version {version} of numpy's format")
    header = np.lib.format.read_array_header_1_0 if version == (1, 0) else np.lib.format.read_array_header_2_0
    try:
        shape, fortran, dtype = header(member)
    except (tokenize.TokenError, SyntaxError, RecursionError) as cause:
        raise ValueError("a header that is no dictionary") from cause
    count = math.prod(shape)
    if dtype.hasobject:
        raise ValueError("an array of objects, which only unpickling could read")
    if min(shape, default=0) < 0 or count * max(dtype.itemsize, 1) > size:
        raise ValueError(f"an array of shape {shape} ({dtype}) in {size} bytes")
    if not read or count * dtype.itemsize == 0:
        return np.broadcast_to(np.zeros((), dtype), shape)
    content = np.empty(count * dtype.itemsize, np.uint8)
    if member.readinto(content.data) != content.size:  # type: ignore[attr-defined]
        raise EOFError("an array that is cut off")
    return content.view(dtype).reshape(shape, order="F" if fortran else "C")


def _numbers(array: NDArray[Any], path: Path) -> NDArray[Any]:
    if array.dtype.kind not in "iuf":
        raise refused(path, f"times have dtype {array.dtype}, expected seconds", fix="write the file again")
    return array


def one_number(array: NDArray[Any], path: Path, name: str, code: str = "NB507") -> float:
    """The number in an array of one element; raises `BadInput` with ``code`` for anything else."""
    if array.size != 1 or array.dtype.kind not in "iuf":
        raise refused(
            path,
            f"{name} has shape {array.shape} and dtype {array.dtype}, expected one number",
            code=code,
            fix=f"store one number as {name}",
        )
    return float(array.reshape(-1)[0])
