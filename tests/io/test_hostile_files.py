"""Files that are no readable HDF5, or whose links and storage lead elsewhere, each refused with its code."""

import os
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hdf5_graphs import HARMLESS, STRING, code_of, put_graph, refused, replace_weight

from nirbridge.errors import BadInput
from nirbridge.io import read_graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.nir"


# NB001: what is no readable HDF5 file


def test_a_missing_file(path: Path) -> None:
    error = refused(path)
    assert error.code == "NB001"
    assert error.message == f"{path}: no such file"


@pytest.mark.parametrize("content", [b"", b"not hdf5", b"\x89HDF\r\n\x1a\n" + b"\0" * 300])
def test_not_hdf5(path: Path, content: bytes) -> None:
    path.write_bytes(content)
    assert refused(path).code == "NB001"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9])
def test_a_truncated_file(path: Path, share: float) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
    content = path.read_bytes()
    path.write_bytes(content[: int(len(content) * share)])
    assert refused(path).code == "NB001"


def test_a_folder_is_no_file(tmp_path: Path) -> None:
    assert refused(tmp_path).code == "NB001"


def test_a_flipped_byte_never_leaves_a_bare_traceback(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
    content = path.read_bytes()
    rng = np.random.default_rng(3)
    for at in rng.integers(0, len(content), 60):
        broken = bytearray(content)
        broken[at] ^= int(rng.integers(1, 256))
        path.write_bytes(bytes(broken))
        try:
            read_graph(path, limits=HARMLESS)
        except BadInput as error:
            assert error.code.startswith(("NB0", "NB10", "NB111"))


def patch(path: Path, at: int, content: bytes) -> None:
    with path.open("r+b") as file:
        file.seek(at)
        file.write(content)


def test_a_string_heap_that_would_keep_the_library_in_a_loop(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
    content = path.read_bytes()
    at = content.index(b"GCOL") + 16
    while int.from_bytes(content[at : at + 2], "little"):  # up to the object that stands for free space
        at += 16 + -(-int.from_bytes(content[at + 8 : at + 16], "little") // 8) * 8
    for size in (0, 1 << 63):
        patch(path, at + 8, size.to_bytes(8, "little"))
        assert refused(path).code == "NB001"


@pytest.mark.parametrize("chunks", [None, (2, 2)])
def test_a_string_that_claims_more_than_the_file_has(path: Path, chunks: tuple[int, int] | None) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
        edges = file["node/edges"].asstr()[()]
        del file["node/edges"]
        made = file["node"].create_dataset("edges", data=edges, dtype=STRING, chunks=chunks)
        at = made.id.get_chunk_info(0).byte_offset if chunks else made.id.get_offset()
    patch(path, at, (1 << 20).to_bytes(4, "little"))
    assert refused(path).code == "NB001"
    patch(path, at, (0xFFFFFFF0).to_bytes(4, "little"))
    assert refused(path).code == "NB012"


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pipe.nir"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert refused(path).code == "NB001"


# NB002 to NB006: links and storage that lead elsewhere


@pytest.mark.parametrize("place", ["node/nodes/w/weight", "node/nodes/w", "node/nodes/new", "elsewhere"])
@pytest.mark.parametrize("there", [True, False])
def test_an_external_link(path: Path, tmp_path: Path, place: str, there: bool) -> None:
    other = tmp_path / "other.h5"
    if there:
        with h5py.File(other, "w") as file:
            file["secret"] = np.eye(2)

    def link(file: h5py.File) -> None:
        if place in file:
            del file[place]
        file[place] = h5py.ExternalLink(str(other), "/secret")

    assert code_of(path, link) == "NB002"


@pytest.mark.parametrize("target", ["/node/nodes/h/tau", "/nowhere"])
def test_a_soft_link(path: Path, target: str) -> None:
    def link(file: h5py.File) -> None:
        file["node/nodes/h/copy"] = h5py.SoftLink(target)

    assert code_of(path, link) == "NB003"


def test_external_raw_storage(path: Path, tmp_path: Path) -> None:
    secret = tmp_path / "secret.bin"
    secret.write_bytes(b"x" * 32)

    def store(file: h5py.File) -> None:
        replace_weight(file, shape=(2, 2), dtype="f8", external=[(str(secret), 0, 32)])

    assert code_of(path, store) == "NB004"


def test_a_virtual_dataset(path: Path, tmp_path: Path) -> None:
    def store(file: h5py.File) -> None:
        layout = h5py.VirtualLayout(shape=(2, 2), dtype="f8")
        layout[...] = h5py.VirtualSource(tmp_path / "other.h5", "weight", shape=(2, 2))
        del file["node/nodes/w/weight"]
        file["node/nodes/w"].create_virtual_dataset("weight", layout)

    assert code_of(path, store) == "NB005"


@pytest.mark.parametrize("target", ["/", "/node", "/node/nodes"])
def test_a_cycle_of_hard_links(path: Path, target: str) -> None:
    def link(file: h5py.File) -> None:
        file["node/nodes/again"] = file[target]

    assert code_of(path, link) == "NB006"


def test_a_fan_of_shared_hard_links(path: Path) -> None:
    def link(file: h5py.File) -> None:
        group = file.create_group("node/metadata")
        for _ in range(20):
            inner = group.create_group("a")
            group["b"] = inner
            group = inner

    assert code_of(path, link) == "NB006"


def test_an_array_shared_by_two_nodes(path: Path) -> None:
    def link(file: h5py.File) -> None:
        del file["node/nodes/h/r"]
        file["node/nodes/h/r"] = file["node/nodes/h/tau"]

    assert code_of(path, link) == "NB006"
