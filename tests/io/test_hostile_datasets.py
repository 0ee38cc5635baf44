"""Hostile `.npz`, `.h5` and `.h5.gz` files: bombs, lies about sizes, links; each refused with its code."""

from __future__ import annotations

import gzip
import zipfile
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.io.datasets import read_dataset, write_dataset
from nirbridge.io.yin_yang import yin_yang


def expect(path: Path, code: str, *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_dataset(path)
    assert caught.value.code == code, caught.value
    assert str(path) in caught.value.message
    for word in words:
        assert word in caught.value.message


def npz_with(path: Path, member: bytes, method: int = zipfile.ZIP_DEFLATED) -> None:
    """A valid .npz whose array of times is replaced by these bytes."""
    write_dataset(path, yin_yang("train", 6))
    with zipfile.ZipFile(path) as archive:
        members = {name: archive.read(name) for name in archive.namelist()}
    with zipfile.ZipFile(path, "w", method) as archive:
        for name, content in (members | {"times.npy": member}).items():
            archive.writestr(name, content)


def header(shape: str, dtype: str = "<f8") -> bytes:
    text = f"{{'descr': '{dtype}', 'fortran_order': False, 'shape': {shape}, }}".ljust(117) + "\n"
    return b"\x93NUMPY\x01\x00" + len(text).to_bytes(2, "little") + text.encode()


@pytest.mark.parametrize(
    ("member", "words"),
    [
        (header("(1 << 40,)"), "header"),
        (header("(1099511627776,)") + bytes(64), "(1099511627776,)"),
        (header("(99999999999,)", "<U0") + bytes(64), "(99999999999,)"),
        (header("(4,)", "<U99999999") + bytes(64), "(4,)"),
        (header("(-1,)") + bytes(64), "(-1,)"),
        (header("(200,)"), "(200,)"),
        (header("(2,)", "|O") + bytes(64), "pickl"),
        (header("(2,)").replace(b"}", b" ") + bytes(16), "header"),
        (b"\x93NUMPY\x09\x00" + bytes(64), "version"),
        (b"not numpy", "magic"),
        (b"", "EOF"),
    ],
)
def test_a_header_that_asks_for_more_than_it_has_is_refused(
    tmp_path: Path, member: bytes, words: str
) -> None:
    npz_with(tmp_path / "bad.npz", member)
    expect(tmp_path / "bad.npz", "NB001", words)


def test_a_zip_that_unpacks_to_too_much(tmp_path: Path) -> None:
    npz_with(tmp_path / "bomb.npz", header("(2097152,)") + bytes(16 << 20))
    assert (tmp_path / "bomb.npz").stat().st_size < 100_000
    with pytest.raises(BadInput) as caught:
        read_dataset(tmp_path / "bomb.npz", max_bytes=1 << 20)
    assert caught.value.code == "NB007"


def test_only_the_usual_zip_methods_are_unpacked(tmp_path: Path) -> None:
    npz_with(tmp_path / "bad.npz", header("(200,)") + bytes(1600), zipfile.ZIP_LZMA)
    expect(tmp_path / "bad.npz", "NB001", "method 14")


def test_a_gzip_that_unpacks_to_too_much(tmp_path: Path) -> None:
    path = tmp_path / "bomb.h5.gz"
    path.write_bytes(gzip.compress(bytes(16 << 20)) * 8)
    assert path.stat().st_size < 200_000
    with pytest.raises(BadInput) as caught:
        read_dataset(path, max_bytes=64 << 20)
    assert caught.value.code == "NB007"


def shd(path: Path, change: Callable[[h5py.File], object]) -> Path:
    """A valid file, changed; gzipped where its name says so."""
    plain = path.with_suffix("") if path.suffix == ".gz" else path
    write_dataset(plain, yin_yang("train", 6))
    with h5py.File(plain, "r+") as file:
        change(file)
    if path.suffix == ".gz":
        path.write_bytes(gzip.compress(plain.read_bytes()))
    return path


def put(file: h5py.File, name: str, **options: Any) -> None:
    if name in file:
        del file[name]
    file.create_dataset(name, **options)


LISTS = h5py.vlen_dtype(np.float64)


@pytest.mark.parametrize("ending", [".h5", ".h5.gz"])
@pytest.mark.parametrize(
    ("change", "code"),
    [
        (lambda f: put(f, "labels", shape=(1 << 14, 1 << 14), dtype="f8", chunks=(64, 64)), "NB007"),
        (lambda f: put(f, "labels", shape=(1 << 21,), dtype="i1", chunks=(1,)), "NB009"),
        (lambda f: put(f, "spikes/times", shape=(1 << 24,), dtype=LISTS, chunks=(1 << 20,)), "NB007"),
        (lambda f: put(f, "labels", data=h5py.Empty("f4")), "NB010"),
        (lambda f: put(f, "labels", shape=(6,), dtype=h5py.ref_dtype), "NB010"),
        (lambda f: put(f, "labels", shape=(6,), dtype=LISTS), "NB507"),
        (lambda f: put(f, "spikes/times", shape=(6,), dtype=h5py.vlen_dtype(np.dtype("c8"))), "NB010"),
        (lambda f: put(f, "extra/keys", data=["x" * (17 << 20)]), "NB012"),
        (lambda f: put(f, "labels", data=np.zeros(6), chunks=(6,), scaleoffset=4), "NB011"),
        (lambda f: put(f, "labels", shape=(6,), dtype="f8", external=[("/dev/zero", 0, 48)]), "NB004"),
        (lambda f: f["spikes"].attrs.__setitem__("n_units", "many"), "NB010"),
        (lambda f: f["spikes"].attrs.__setitem__("duration", np.zeros(3)), "NB010"),
    ],
)
def test_hostile_hdf5_is_refused(
    tmp_path: Path, ending: str, change: Callable[[h5py.File], object], code: str
) -> None:
    path = shd(tmp_path / f"bad{ending}", change)
    with pytest.raises(BadInput) as caught:
        read_dataset(path, max_bytes=64 << 20)
    assert caught.value.code == code, caught.value
    assert str(path) in caught.value.message


@pytest.mark.parametrize("ending", [".h5", ".h5.gz"])
def test_a_heap_that_would_keep_the_library_in_a_loop(tmp_path: Path, ending: str) -> None:
    write_dataset(tmp_path / "good.h5", yin_yang("train", 6))
    content = bytearray((tmp_path / "good.h5").read_bytes())
    at = content.index(b"GCOL") + 16
    while int.from_bytes(content[at : at + 2], "little"):  # up to the object that stands for free space
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    content[at + 8 : at + 16] = bytes(8)
    path = tmp_path / f"bad{ending}"
    path.write_bytes(gzip.compress(bytes(content)) if ending == ".h5.gz" else bytes(content))
    expect(path, "NB001", "heap")


@pytest.mark.parametrize("ending", [".h5", ".h5.gz"])
def test_a_list_that_claims_more_than_the_file_has(tmp_path: Path, ending: str) -> None:
    write_dataset(tmp_path / "good.h5", yin_yang("train", 6))
    with h5py.File(tmp_path / "good.h5") as file:
        at = file["spikes/times"].id.get_offset()
    content = bytearray((tmp_path / "good.h5").read_bytes())
    content[at : at + 4] = (1 << 28).to_bytes(4, "little")
    path = tmp_path / f"bad{ending}"
    path.write_bytes(gzip.compress(bytes(content)) if ending == ".h5.gz" else bytes(content))
    expect(path, "NB001", "a list of 2,147,483,648 bytes")


@pytest.mark.parametrize("ending", [".h5", ".h5.gz"])
def test_a_list_type_that_would_crash_the_library(tmp_path: Path, ending: str) -> None:
    write_dataset(tmp_path / "good.h5", yin_yang("train", 6))
    content = (tmp_path / "good.h5").read_bytes()
    lists = b"\x19\0\0\0\x10\0\0\0"  # class 9, flags, 16 bytes an element
    assert content.count(lists) == 2
    for flags in (b"\x02", b"\xff"):
        broken = content.replace(lists, lists[:1] + flags + lists[2:])
        path = tmp_path / f"bad{ending}"
        path.write_bytes(gzip.compress(broken) if ending == ".h5.gz" else broken)
        expect(path, "NB001", "damaged")


def test_many_short_names_count_for_what_they_take(tmp_path: Path) -> None:
    path = shd(
        tmp_path / "bad.h5", lambda f: put(f, "extra/keys", shape=(1 << 25,), dtype="S2", chunks=(1 << 20,))
    )
    with pytest.raises(BadInput) as caught:
        read_dataset(path, max_bytes=1 << 30)
    assert caught.value.code == "NB007"


def test_more_class_names_than_a_data_set_has(tmp_path: Path) -> None:
    write_dataset(tmp_path / "good.npz", yin_yang("train", 6))
    with np.load(tmp_path / "good.npz") as archive:
        arrays = dict(archive)
    np.savez(tmp_path / "bad.npz", **(arrays | {"classes": np.full(70_000, "a")}))
    expect(tmp_path / "bad.npz", "NB503", "70,000 class names")
