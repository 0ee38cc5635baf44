"""The values of a walked HDF5 file as nested dicts: the second half of the safe reader."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from h5py import h5d, h5g, h5s, h5t

from nirbridge.errors import BadInput
from nirbridge.io.hdf5_heaps import check_heaps, check_lengths
from nirbridge.io.hdf5_walk import Budget, Limits, Tree, refusal, walk

Values = dict[str, Any]
"""A group as a dict of its members; an array, a numpy scalar, a str or nested lists of str each."""


def load_file(path: Path, limits: Limits, check: Callable[[h5py.File], None] | None = None) -> Values:
    """Everything in an HDF5 file, each object checked before the first is read.

    ``check`` sees the open file after the walk and may refuse it. Raises `BadInput` NB001 to NB012.
    """
    if not path.exists():
        raise BadInput(f"{path}: no such file", code="NB001", fix="check the path")
    if not path.is_file():
        raise BadInput(f"{path}: is no regular file", code="NB001", fix="name an HDF5 file")
    budget = Budget(limits)
    try:
        with h5py.File(path, "r") as file:
            check_heaps(file)
            tree = walk(file, budget)
            if check is not None:
                check(file)
            block = max(1, limits.max_bytes // (4 * max(1, path.stat().st_size)))
            return _load_group(file.id, tree, "", budget, block)
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


def _load_group(group: h5g.GroupID, tree: Tree, where: str, budget: Budget, block: int) -> Values:
    values: Values = {}
    for name, inner in tree.items():
        path = f"{where}/{name}"
        if inner is None:
            values[name] = _load_dataset(h5d.open(group, name.encode("utf-8")), path, budget, block)
        else:
            values[name] = _load_group(h5g.open(group, name.encode("utf-8")), inner, path, budget, block)
    return values


def _load_dataset(dataset: h5d.DatasetID, path: str, budget: Budget, block: int) -> Any:
    kind = dataset.get_type()
    if kind.get_class() == h5t.STRING:
        return _load_strings(dataset, kind, path, budget, block)
    array = np.empty(dataset.shape, dtype=kind.dtype.newbyteorder("="))
    if array.size:
        dataset.read(h5s.ALL, h5s.ALL, array)
    return array[()] if array.ndim == 0 else array


def _load_strings(dataset: h5d.DatasetID, kind: h5t.TypeID, path: str, budget: Budget, block: int) -> Any:
    """Strings in blocks: a fill value can make every one of them as long as the file allows."""
    shape: tuple[int, ...] = dataset.shape
    if kind.is_variable_str():
        check_lengths(dataset, path, budget.limits)
    if not shape:
        single = np.empty((), dtype=kind.dtype)
        dataset.read(h5s.ALL, h5s.ALL, single)
        return _text(single.item(), path, budget)
    result = np.empty(shape, dtype=object)
    for start, count in _blocks(shape, block):
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
