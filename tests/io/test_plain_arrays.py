"""Arrays that are read from their place in the file: the same values as through the library, never more."""

from __future__ import annotations

import tempfile
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from h5py import h5d
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.errors import BadInput
from nirbridge.io.hdf5_values import _load_plain, load_file
from nirbridge.io.hdf5_walk import Budget, Limits, Plain, walk

KINDS = [
    f"{order}{kind}" for order in "<>" for kind in ("i1", "i2", "i4", "i8", "u1", "u8", "f2", "f4", "f8")
]
SHAPES = st.lists(st.integers(0, 4), max_size=3).map(tuple)


def leaf(path: Path) -> Any:
    with h5py.File(path, "r") as file:
        return walk(file, Budget(Limits()))["x"]


@given(st.sampled_from([*KINDS, "bool"]), SHAPES, st.sampled_from([None, "gzip"]), st.integers(0, 99))
@settings(max_examples=120, deadline=None)
def test_values_are_those_of_the_library(
    kind: str, shape: tuple[int, ...], packed: str | None, seed: int
) -> None:
    values = np.random.default_rng(seed).integers(0, 100, shape).astype(kind)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "x.h5"
        with h5py.File(path, "w", userblock_size=512 if seed % 2 else 0) as file:
            file.create_dataset("before", data=b"abc")
            file.create_dataset("x", data=values, compression=packed if values.ndim and values.size else None)
        read = load_file(path, Limits())["x"]
    assert np.array_equal(read, values)
    assert np.shape(read) == values.shape
    assert read.dtype == values.dtype.newbyteorder("=") and read.dtype.isnative
    assert values.ndim == 0 or read.flags.writeable


def test_only_plain_arrays_are_taken_from_their_place(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "plain.h5", "w") as file:
        file["x"] = np.arange(6.0)
    assert isinstance(leaf(tmp_path / "plain.h5"), Plain)
    for name, options in {
        "gzip": {"data": np.arange(6.0), "compression": "gzip"},
        "bool": {"data": np.ones(3, bool)},
        "text": {"data": "abc"},
        "unwritten": {"shape": (3,), "dtype": "f8", "fillvalue": 7.0},
        "precision": {"shape": (3,), "dtype": "i4"},
    }.items():
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            if name == "precision":
                kind = h5py.h5t.STD_I32LE.copy()
                kind.set_precision(17)
                h5d.create(file.id, b"x", kind, h5py.h5s.create_simple((3,)))
            else:
                file.create_dataset("x", **options)
        with h5py.File(tmp_path / f"{name}.h5", "r") as file:
            assert isinstance(walk(file, Budget(Limits()))["x"], h5d.DatasetID), name
    assert load_file(tmp_path / "unwritten.h5", Limits())["x"].tolist() == [7.0] * 3


def test_a_place_beyond_the_end_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "x.h5"
    with h5py.File(path, "w") as file:
        file["x"] = np.arange(512.0)
        offset = file["x"].id.get_offset()
    content = bytearray(path.read_bytes())
    place = content.find(offset.to_bytes(8, "little") + (4096).to_bytes(8, "little"))
    assert place > 0
    content[place : place + 8] = (len(content) - 8).to_bytes(8, "little")
    path.write_bytes(bytes(content))
    with pytest.raises(BadInput) as caught:
        load_file(path, Limits())
    assert caught.value.code == "NB001"
    with pytest.raises(BadInput, match="beyond the end"):  # where the library did not see it
        _load_plain(Plain(1, (2,), np.dtype("<f8")), "/x", bytes(16))


def test_the_sum_of_sizes_is_limited_before_anything_is_read(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "x.h5", "w") as file:
        for k in range(4):
            file[f"x{k}"] = np.zeros(100)
    assert len(load_file(tmp_path / "x.h5", Limits(max_bytes=3200))) == 4
    with pytest.raises(BadInput) as caught:
        load_file(tmp_path / "x.h5", Limits(max_bytes=3199))
    assert caught.value.code == "NB007"
