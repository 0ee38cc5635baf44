"""Mutations that know HDF5: values, types, shapes, filters, links, names and attributes change."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
from numpy.random import Generator

MOST = 100_000  # elements of an array that is read here
NUMBERS = [0, 1, -1, 2, 255, 2**31, 2**60, -(2**62), np.nan, np.inf, 1e-300, 1e300, 0.5]
TEXTS = [
    "", "LIF", "NIRGraph", "NIRGraphData", "Conv2d", "Flatten", "Izhikevich", "same", "valid", "dense_rec",
    "conv", "CUBA", "SDNN", "RF", '{"schema": "nirbridge.graph-metadata/1", "dt": 1e999}', "[" * 100_000,
    "\x1b[31m", "x" * 10_000,
]  # fmt: skip
TYPES: list[Any] = [
    np.int8, np.uint64, np.float16, np.float64, np.bool_, np.dtype(">f4"), np.complex64, np.dtype("V3"),
    np.dtype("S5"), np.dtype([("a", "f4")]), h5py.ref_dtype, h5py.string_dtype(), h5py.vlen_dtype(np.float32),
    h5py.enum_dtype({"A": 0}, basetype="i4"),
]  # fmt: skip
SHAPES = [(), (0,), (1,), (2,), (3, 2), (1, 2, 3), (2, 0), (1, 1, 1, 1), (1, 1, 1, 1, 1, 1), (70_000,)]
PLANS: list[dict[str, Any]] = [
    {"compression": "gzip"}, {"compression": "lzf"}, {"shuffle": True, "fletcher32": True},
    {"chunks": True}, {"scaleoffset": 4}, {"maxshape": None},
]  # fmt: skip


def mutate_hdf5(path: Path, rng: Generator) -> None:
    """One to three changes of the tree; a change that HDF5 refuses is left out."""
    with h5py.File(path, "r+") as file:
        for _ in range(int(rng.integers(1, 4))):
            names: list[str] = []
            file.visit(names.append)
            if not names:
                break
            change = CHANGES[int(rng.integers(len(CHANGES)))]
            try:
                change(file, names[int(rng.integers(len(names)))], names, rng)
            except (OSError, TypeError, ValueError, KeyError, RuntimeError, AttributeError):
                continue


def _delete(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    del file[name]


def _rename(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    other = str(rng.choice([*names, "nodes", "type", "shape", "weight", "\u202e", "a" * 300]))
    file.move(name, f"{name.rpartition('/')[0]}/{other.rpartition('/')[2]}")


def _copy(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    goal = str(rng.choice(names))
    if not goal.startswith(name):
        del file[goal]
        file.copy(name, goal)


def _values(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    """Some numbers of an array, or its text, are replaced."""
    item = file[name]
    if not isinstance(item, h5py.Dataset) or not item.size or item.size > MOST:
        return
    if h5py.check_string_dtype(item.dtype) is not None:
        text = str(rng.choice([*TEXTS, *names]))
        item[...] = text if item.shape == () else np.full(item.shape, text, dtype=object)
        return
    if item.dtype.kind not in "iufb":
        return
    array = np.array(item[...], dtype=np.float64)
    flat = array.reshape(-1)
    if flat.size:
        at = rng.integers(0, flat.size, int(rng.integers(1, flat.size + 1)))
        flat[at] = rng.choice(NUMBERS, at.size)
        with np.errstate(invalid="ignore", over="ignore"):
            item[...] = array.astype(item.dtype)


def _replace(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    """Another type and another shape."""
    kind, shape = TYPES[int(rng.integers(len(TYPES)))], SHAPES[int(rng.integers(len(SHAPES)))]
    del file[name]
    if rng.random() < 0.1:
        file[name] = h5py.Empty("f4")
    elif rng.random() < 0.3:
        file[name] = rng.choice(NUMBERS, shape)
    else:
        file.create_dataset(name, shape=shape, dtype=kind)


def _plan(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    """The same values stored another way, or a large array that holds nothing but a fill value."""
    item = file[name]
    if not isinstance(item, h5py.Dataset) or not item.size or item.size > MOST:
        return
    value, plan = item[...], PLANS[int(rng.integers(len(PLANS)))]
    del file[name]
    if rng.random() < 0.3:
        huge = (int(rng.integers(1 << 10, 1 << 26)), int(rng.integers(1, 64)))
        file.create_dataset(name, shape=huge, dtype="f8", chunks=(64, 1), fillvalue=1.0)
    else:
        file.create_dataset(name, data=np.atleast_1d(value), **plan)


def _link(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    target = str(rng.choice([*names, ""]))
    links: list[Callable[[], Any]] = [
        lambda: h5py.SoftLink(f"/{target}"),
        lambda: h5py.ExternalLink(str(rng.choice(["other.nir", "/dev/zero", "/etc/passwd"])), f"/{target}"),
        lambda: file[f"/{target}"],
    ]
    link = links[int(rng.integers(len(links)))]()
    del file[name]
    file[name] = link


def _attribute(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    key = str(rng.choice(["__type__", "dt", "n_neurons", "t_max", "n_units", "duration", "new"]))
    where = file[name] if rng.random() < 0.8 else file
    values = [str(rng.choice(TEXTS[:8])), float(rng.choice(NUMBERS)), np.zeros((3, 2)), h5py.Empty("f4"),
              np.array([b"a", b"b"]), (2**62)]  # fmt: skip
    owned = list(where.attrs)
    where.attrs[owned[0] if owned and rng.random() < 0.7 else key] = values[int(rng.integers(len(values)))]


def _group(file: h5py.File, name: str, names: list[str], rng: Generator) -> None:
    """A group where an array stood, or many and deep ones."""
    if rng.random() < 0.5:
        del file[name]
        file.create_group(name)
    elif rng.random() < 0.5:
        file.create_group(f"{name}/{'/'.join('d' * int(rng.integers(2, 90)))}")
    else:
        for at in range(50):
            file.create_group(f"{name}/{at}")


CHANGES = [
    _delete,
    _rename,
    _copy,
    _values,
    _values,
    _values,
    _replace,
    _replace,
    _plan,
    _link,
    _attribute,
    _group,
]
