"""Arrays, types, filters and names beyond the limits, each refused with its code."""

import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

sys.path.insert(0, str(Path(__file__).parent))
from hdf5_graphs import STRING, code_of, put_graph, refused, replace_weight

from nirbridge.io import Limits, read_graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.nir"


# NB007 to NB009: more than the limits


def test_one_array_that_unpacks_to_too_much(path: Path) -> None:
    def store(file: h5py.File) -> None:
        replace_weight(file, shape=(1 << 14, 1 << 14), dtype="f8", chunks=(64, 64), compression="gzip")

    assert code_of(path, store, Limits()) == "NB007"
    assert path.stat().st_size < 50_000


def test_a_chunk_larger_than_its_array(path: Path) -> None:
    def store(file: h5py.File) -> None:
        replace_weight(file, shape=(2, 2), maxshape=(None, None), dtype="f8", chunks=(1024, 1024))

    assert code_of(path, store) == "NB007"


def test_many_arrays_that_unpack_to_too_much_together(path: Path) -> None:
    def store(file: h5py.File) -> None:
        for k in range(40):
            file.create_dataset(f"node/metadata/a{k}", shape=(8192,), dtype="f4", fillvalue=1.0)

    assert code_of(path, store) == "NB007"


def test_the_limit_can_be_raised(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file).create_dataset("metadata/big", shape=(8192 * 40,), dtype="f4")
    assert refused(path).code == "NB007"
    graph = read_graph(path, limits=Limits(max_bytes=2 << 20))
    assert graph.metadata["big"].shape == (8192 * 40,)


def test_strings_made_huge_by_their_fill_value(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = put_graph(file).create_group("metadata")
        group.create_dataset("text", shape=(1000,), dtype=STRING, fillvalue="x" * (1 << 16))
    assert path.stat().st_size < 200_000
    assert refused(path).code == "NB007"


def test_short_strings_count_for_what_they_take_in_memory(path: Path) -> None:
    with h5py.File(path, "w") as file:
        group = put_graph(file).create_group("metadata")
        group.create_dataset("text", shape=(1 << 15,), dtype="S2", chunks=(1 << 15,), fillvalue=b"ab")
    assert refused(path).code == "NB007"


def test_one_string_over_the_limit(path: Path) -> None:
    def store(file: h5py.File) -> None:
        file["node/metadata/text"] = "x" * 2000

    assert code_of(path, store, Limits(max_string=1000)) == "NB012"


def test_a_fixed_string_over_the_limit(path: Path) -> None:
    def store(file: h5py.File) -> None:
        file["node/metadata/text"] = np.bytes_(b"x" * 2000)

    assert code_of(path, store, Limits(max_string=1000)) == "NB012"


def test_deep_nesting(path: Path) -> None:
    def nest(file: h5py.File) -> None:
        file.create_group("node/metadata/" + "/".join("d" * 1 for _ in range(80)))

    assert code_of(path, nest) == "NB008"


def test_nesting_beyond_the_stack_of_python(path: Path) -> None:
    def nest(file: h5py.File) -> None:
        file.create_group("node/metadata/" + "/".join("d" for _ in range(3000)))

    assert code_of(path, nest, Limits(max_depth=10**6)) == "NB008"


def test_too_many_objects(path: Path) -> None:
    def fill(file: h5py.File) -> None:
        group = file.create_group("node/metadata")
        for k in range(2100):
            group.create_group(str(k))

    assert code_of(path, fill) == "NB009"


def test_too_many_chunks(path: Path) -> None:
    def store(file: h5py.File) -> None:
        replace_weight(file, shape=(1 << 20,), dtype="i1", chunks=(1,))

    assert code_of(path, store, Limits(max_chunks=1000)) == "NB009"


# NB010, NB011: types and filters


@pytest.mark.parametrize(
    "dtype",
    [
        h5py.ref_dtype,
        h5py.regionref_dtype,
        np.dtype([("a", "f4"), ("b", "i4")]),
        np.dtype("c16"),
        np.dtype("V8"),
        np.dtype(("f4", (3,))),
        h5py.vlen_dtype(np.float32),
        h5py.enum_dtype({"A": 0, "B": 1}, basetype="i4"),
    ],
    ids=["reference", "region", "compound", "complex", "opaque", "array", "vlen", "enum"],
)
def test_types_that_are_no_numbers(path: Path, dtype: np.dtype) -> None:
    assert code_of(path, lambda file: replace_weight(file, shape=(2, 2), dtype=dtype)) == "NB010"


def test_a_named_type(path: Path) -> None:
    def store(file: h5py.File) -> None:
        file["node/kind"] = np.dtype("f8")

    assert code_of(path, store) == "NB010"


def test_an_array_that_uses_a_named_type(path: Path) -> None:
    def store(file: h5py.File) -> None:
        file["kind"] = np.dtype("f8")
        replace_weight(file, shape=(2, 2), dtype=file["kind"])

    assert code_of(path, store) == "NB010"


def test_a_null_dataspace(path: Path) -> None:
    assert code_of(path, lambda file: replace_weight(file, data=h5py.Empty("f4"))) == "NB010"


def test_text_where_numbers_are_expected(path: Path) -> None:
    assert code_of(path, lambda file: replace_weight(file, data="1 2 3")) == "NB010"


def filtered(file: h5py.File, *filters: tuple[int, tuple[int, ...]]) -> h5py.Dataset:
    """The weight as one chunk of 64×64 float64 behind these filters."""
    del file["node/nodes/w/weight"]
    plan = h5p.create(h5p.DATASET_CREATE)
    plan.set_chunk((64, 64))
    for code, values in filters:
        plan.set_filter(code, h5py.h5z.FLAG_OPTIONAL, values)
    space = h5s.create_simple((64, 64))
    dataset = h5d.create(file["node/nodes/w"].id, b"weight", h5t.NATIVE_DOUBLE, space, plan)
    return h5py.Dataset(dataset)


@pytest.mark.parametrize("code", [32015, 32004, 6])
def test_an_unknown_filter(path: Path, code: int) -> None:
    values = (2, 4, 4, 8, 1, 0) if code == 6 else ()
    assert code_of(path, lambda file: filtered(file, (code, values))) == "NB011"


def test_the_same_filter_twice(path: Path) -> None:
    deflate = (h5py.h5z.FILTER_DEFLATE, (9,))
    assert code_of(path, lambda file: filtered(file, deflate, deflate)) == "NB011"


def test_a_stored_chunk_larger_than_its_values(path: Path) -> None:
    def store(file: h5py.File) -> None:
        dataset = filtered(file, (h5py.h5z.FILTER_DEFLATE, (9,)))
        dataset.id.write_direct_chunk((0, 0), b"\0" * 40_000)

    assert code_of(path, store) == "NB011"


@pytest.mark.parametrize("compression", ["gzip", "lzf"])
def test_the_usual_filters_are_read(path: Path, compression: str) -> None:
    weight = np.arange(4.0).reshape(2, 2)
    with h5py.File(path, "w") as file:
        put_graph(file)
        replace_weight(file, data=weight, compression=compression, shuffle=True, fletcher32=True)
    assert np.array_equal(read_graph(path).nodes["w"].weight, weight)


# NB012, NB013: names and the root


@pytest.mark.parametrize(
    "name",
    [
        b"n" * 256,
        b"\xff\xfe",
        b"a\x1b[31m",
        "a\u202eb".encode(),
        "a\u2028b".encode(),
        b"\x7f",
    ],
    ids=["long", "not-utf8", "escape", "bidi", "line", "delete"],
)
def test_names_that_do_not_belong_on_a_terminal(path: Path, name: bytes) -> None:
    def create(file: h5py.File) -> None:
        h5py.h5g.create(file["node/nodes"].id, name)

    assert code_of(path, create) == "NB012"


def test_a_string_that_is_not_utf8(path: Path) -> None:
    def store(file: h5py.File) -> None:
        file["node/metadata/text"] = np.bytes_(b"\xff\xfe")

    assert code_of(path, store) == "NB012"


@pytest.mark.parametrize("kind", [None, "Linear", 3])
def test_a_root_that_is_no_graph(path: Path, kind: object) -> None:
    def change(file: h5py.File) -> None:
        del file["node/type"]
        if kind is not None:
            file["node/type"] = kind

    assert code_of(path, change) == "NB013"


def test_a_file_without_a_node(path: Path) -> None:
    with h5py.File(path, "w") as file:
        file["version"] = "1.0.8"
    assert refused(path).code == "NB013"


def test_what_a_failed_nir_write_leaves_behind(path: Path) -> None:
    scalar = np.array(1.0)
    lif = nir.LIF(tau=scalar, r=scalar, v_leak=scalar, v_threshold=scalar)
    graph = nir.NIRGraph({"a": nir.Input(np.array([1])), "h": lif}, [("a", "h")], type_check=False)
    with pytest.raises(TypeError):
        nir.write(path, graph)
    assert refused(path).code == "NB013"


def test_a_recording_is_no_graph(path: Path) -> None:
    events = nir.EventData(np.array([[0]]), np.array([[0.1]]), 1, 1.0)
    nir.write_data(path, nir.NIRGraphData({"h": nir.NIRNodeData({"spikes": events})}))
    error = refused(path)
    assert error.code == "NB013"
    assert "recording" in error.message


def test_a_root_type_that_is_an_array(path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["node/type"]
        file["node/type"] = np.zeros(3)

    assert code_of(path, change) == "NB013"
