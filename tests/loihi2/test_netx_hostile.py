"""Hostile NetX files: what reaches outside, unpacks to too much or would crash the library is refused."""

from __future__ import annotations

import gzip
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge_loihi2 import NetxFormat
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.netx_file import LIMITS


def good(path: Path) -> Path:
    """input(2) → dense(3)."""
    with h5py.File(path, "w") as file:
        file["layer/0/type"], file["layer/0/shape"] = np.array([b"input"], "S10"), [2]
        file["layer/1/type"], file["layer/1/shape"] = np.array([b"dense"], "S10"), [3]
        file["layer/1/weight"] = np.ones((3, 2), np.float32)
        for key, value in {"iDecay": 742, "vDecay": 200, "vThMant": 300, "refDelay": 1}.items():
            file[f"layer/1/neuron/{key}"] = value
        file["layer/1/neuron/type"] = "CUBA"
    return path


def put(file: h5py.File, name: str, **options: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, **options)


@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda f: put(f, "layer/1/weight", shape=(1 << 14, 1 << 14), dtype="f8", chunks=(64, 64)), "NB007"),
        (
            lambda f: put(f, "layer/1/weight", shape=(1 << 13, 1 << 13), dtype="i1", chunks=(512, 512)),
            "NB007",
        ),
        (lambda f: put(f, "layer/0/shape", data=np.zeros(0)), "NB117"),
        (lambda f: f.create_group("/".join(["layer/0"] + ["d"] * 9)), "NB008"),
        (lambda f: [f.create_group(f"layer/0/{k}") for k in range(2000)], "NB009"),
        (lambda f: put(f, "layer/1/bias", shape=(1 << 21,), dtype="i1", chunks=(1,)), "NB009"),
        (lambda f: put(f, "layer/1/weight", shape=(3, 2), dtype=h5py.ref_dtype), "NB010"),
        (lambda f: put(f, "layer/1/weight", shape=(3, 2), dtype=h5py.vlen_dtype(np.float32)), "NB010"),
        (lambda f: put(f, "layer/1/type", data=["dense", "conv"]), "NB010"),
        (lambda f: put(f, "layer/1/bias", data=np.zeros(3), chunks=(3,), scaleoffset=4), "NB011"),
        (lambda f: put(f, "layer/1/type", data="x" * (1 << 17)), "NB012"),
        (lambda f: put(f, "layer/1/\u202e", data=1), "NB012"),
        (lambda f: put(f, "layer/1", data=[1, 2]), "NB013"),
        (lambda f: f.move("layer/1", "layer/7"), "NB013"),
    ],
)
def test_hostile_files_are_refused(tmp_path: Path, change: Callable[[h5py.File], object], code: str) -> None:
    path = good(tmp_path / "a.net")
    with h5py.File(path, "r+") as file:
        change(file)
    with pytest.raises(BadInput) as caught:
        read_net(path, limits=replace(LIMITS, max_objects=1000))
    assert caught.value.code == code, caught.value
    assert path.name in caught.value.message


def test_the_good_file_is_read(tmp_path: Path) -> None:
    assert read_net(good(tmp_path / "a.net")).network.n_inputs == 2


def test_a_gzipped_file_is_no_netx_file(tmp_path: Path) -> None:
    path = tmp_path / "bomb.net"
    path.write_bytes(gzip.compress(bytes(1 << 20)))
    with pytest.raises(BadInput) as caught:
        NetxFormat().read(path)
    assert caught.value.code == "NB001"


def test_a_string_heap_that_would_keep_the_library_in_a_loop(tmp_path: Path) -> None:
    path = good(tmp_path / "a.net")
    content = bytearray(path.read_bytes())
    at = content.index(b"GCOL") + 16
    while int.from_bytes(content[at : at + 2], "little"):
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path.write_bytes(bytes(content))
    with pytest.raises(BadInput) as caught:
        read_net(path)
    assert caught.value.code == "NB001"
