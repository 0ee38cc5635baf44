"""The values of a walked HDF5 file as nested dicts: the second half of the safe reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5s, h5t
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.io.hdf5_heaps import Content, check_heaps, check_lengths, content_of
from nirbridge.io.hdf5_walk import Budget, Limits, Plain, Tree, refusal, walk

Values = dict[str, Any]
"""A group as a dict of its members; an array, a numpy scalar, a str or nested lists of str each."""


@dataclass(frozen=True, slots=True)
class Reading:
    """The bytes of the file that is being read, and what it has used of its limits."""

    content: Content
    budget: Budget

    @property
    def block(self) -> int:
        """Strings to read at once: a fill value can make every one as long as the file allows."""
        return max(1, self.budget.limits.max_bytes // (4 * max(1, len(self.content))))


def load_file(path: Path, limits: Limits, check: Callable[[h5py.File], None] | None = None) -> Values:
    """Everything in an HDF5 file, each object checked before the first is read.

    ``check`` sees the open file after the walk and may refuse it. Raises `BadInput` NB001 to NB012.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file", code="NB001", fix="check the path")
    if not path.is_file():
        raise BadInput(f"{path}: is no regular file", code="NB001", fix="name an HDF5 file")
    try:
        with h5py.File(path, "r") as file, content_of(file) as content:
            check_heaps(file, content)
            reading = Reading(content, Budget(limits))
            tree = walk(file, reading.budget)
            if check is not None:
                check(file)
            return _load_group(tree, "", reading)
    except BadInput as error:
        raise BadInput(f"{path}: {error.message}", code=error.code, fix=error.fix) from error
    except RecursionError as cause:
        raise BadInput(f"{path}: groups nest too deep to be read", code="NB008") from cause
    except MemoryError as cause:
        raise BadInput(
            f"{path}: does not fit into the memory of this machine",
            code="NB007",
            fix="lower Limits.max_bytes, or use a larger machine",
        ) from cause
    except (OSError, RuntimeError, KeyError, ValueError, TypeError) as cause:
        raise BadInput(
            f"{path}: cannot be read as HDF5 ({_first_line(cause)})",
            code="NB001",
            fix="the file is empty, cut off, damaged or of another kind; get it again",
        ) from cause


def _first_line(cause: BaseException) -> str:
    text = str(cause).strip().splitlines()
    shown = text[0] if text else type(cause).__name__
    return ascii(shown[:200])[1:-1]


def _load_group(tree: Tree, where: str, reading: Reading) -> Values:
    values: Values = {}
    for name, item in tree.items():
        path = f"{where}/{name}"
        if isinstance(item, Plain):
            values[name] = _load_plain(item, path, reading.content)
        elif isinstance(item, dict):
            values[name] = _load_group(item, path, reading)
        else:
            values[name] = load_array(item, path, reading)
    return values


def _load_plain(plain: Plain, path: str, content: Content) -> Any:
    """A copy of the bytes at the array's place, which must lie inside the file."""
    count = math.prod(plain.shape)
    if plain.offset + count * plain.dtype.itemsize > len(content):
        raise refusal("NB001", f"{path}: its values lie beyond the end of the file")
    flat = np.frombuffer(content, plain.dtype, count, plain.offset) if count else np.empty(0, plain.dtype)
    array = flat.astype(plain.dtype.newbyteorder("=")).reshape(plain.shape)
    return array[()] if array.ndim == 0 else array


def load_array(dataset: h5d.DatasetID, path: str, reading: Reading) -> Any:
    """The values of an array that `check_dataset` let pass."""
    if dataset.get_space().get_simple_extent_type() == h5s.NULL:
        return None
    kind = dataset.get_type()
    if kind.get_class() == h5t.STRING:
        return _load_strings(dataset, kind, path, reading)
    array = np.empty(dataset.shape, dtype=kind.dtype.newbyteorder("="))
    if array.size:
        dataset.read(h5s.ALL, h5s.ALL, array)
    return array[()] if array.ndim == 0 else array


def load_lists(dataset: h5d.DatasetID, path: str, reading: Reading) -> tuple[NDArray[Any], NDArray[np.int64]]:
    """All lists of a flat array one after the other, and the length of each."""
    check_lengths(dataset, path, reading.content, reading.budget.limits)
    base = dataset.get_type().get_super().dtype
    parts: list[NDArray[Any]] = []
    for start, count in _blocks(dataset.shape, reading.block):
        part = np.empty(count, dtype=h5py.vlen_dtype(base))
        space = dataset.get_space()
        space.select_hyperslab(start, count)
        dataset.read(h5s.create_simple(count), space, part)
        rows = [np.asarray(row, dtype=base) for row in part]
        reading.budget.add_bytes(sum(row.nbytes for row in rows), path)
        parts += rows
    flat = np.concatenate(parts) if parts else np.empty(0, dtype=base)
    return flat.astype(base.newbyteorder("="), copy=False), np.array([len(row) for row in parts], np.int64)


def number(owner: h5py.Group, name: str) -> float | None:
    """An attribute that holds one number, or None where there is none of the name.

    Raises `BadInput` (NB010) for anything else, unread.
    """
    if name not in owner.attrs:
        return None
    attribute = owner.attrs.get_id(name)
    if attribute.get_type().get_class() not in (h5t.INTEGER, h5t.FLOAT) or attribute.shape not in ((), (1,)):
        raise refusal("NB010", f"{owner.name}: the attribute '{name}' is no number", "write the file again")
    return float(np.asarray(owner.attrs[name]).reshape(-1)[0])


def word(owner: h5py.Group, name: str) -> str | None:
    """An attribute that holds one short text, or None where there is none of the name or of the kind."""
    if name not in owner.attrs:
        return None
    attribute = owner.attrs.get_id(name)
    if attribute.get_type().get_class() != h5t.STRING or attribute.shape != ():
        return None
    if attribute.get_storage_size() > 64:
        return None
    value = owner.attrs[name]
    return value.decode("utf-8", "replace") if isinstance(value, bytes) else str(value)


def _load_strings(dataset: h5d.DatasetID, kind: h5t.TypeID, path: str, reading: Reading) -> Any:
    shape: tuple[int, ...] = dataset.shape
    budget = reading.budget
    if kind.is_variable_str():
        check_lengths(dataset, path, reading.content, budget.limits)
    if not shape:
        single = np.empty((), dtype=kind.dtype)
        dataset.read(h5s.ALL, h5s.ALL, single)
        return _text(single.item(), path, budget)
    result = np.empty(shape, dtype=object)
    for start, count in _blocks(shape, reading.block):
        part = np.empty(count, dtype=kind.dtype)
        space = dataset.get_space()
        space.select_hyperslab(start, count)
        dataset.read(h5s.create_simple(count), space, part)
        texts = np.empty(part.size, dtype=object)
        texts[:] = [_text(value, path, budget) for value in part.reshape(-1).tolist()]
        where = tuple(slice(a, a + n) for a, n in zip(start, count, strict=True))
        result[where] = texts.reshape(count)
    return result.tolist()


def _text(value: bytes | str, path: str, budget: Budget) -> str:
    data = value.encode("utf-8", "surrogateescape") if isinstance(value, str) else value
    if len(data) > budget.limits.max_string:
        raise refusal(
            "NB012", f"{path}: a string of {len(data):,} bytes, the limit is {budget.limits.max_string:,}"
        )
    budget.add_bytes(len(data), path)
    try:
        return data.decode("utf-8")
    except UnicodeDecodeError as cause:
        raise refusal("NB012", f"{path}: holds a string that is not UTF-8") from cause


def _blocks(shape: tuple[int, ...], most: int) -> Iterator[tuple[tuple[int, ...], tuple[int, ...]]]:
    """Starts and counts of boxes that cover ``shape``, each of at most ``most`` elements."""
    if not shape:
        yield (), ()
        return
    if math.prod(shape) == 0:
        return
    row = math.prod(shape[1:])
    if row <= most:
        rows = max(1, most // row)
        for at in range(0, shape[0], rows):
            yield (at, *(0 for _ in shape[1:])), (min(rows, shape[0] - at), *shape[1:])
        return
    for at in range(shape[0]):
        for start, count in _blocks(shape[1:], most):
            yield (at, *start), (1, *count)
