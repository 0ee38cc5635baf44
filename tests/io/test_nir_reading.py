"""Hostile and broken `.nir` files, each built here, each refused with its code."""

import json
import os
import tracemalloc
from collections.abc import Callable
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest
from h5py import h5d, h5p, h5s, h5t

from nirbridge.errors import BadInput, FindingWarning
from nirbridge.graph import digest
from nirbridge.io import Limits, lint_file, read_graph

STRING = h5py.string_dtype()
HARMLESS = Limits(max_bytes=1 << 20, max_objects=2000)


def put_graph(file: h5py.File | h5py.Group, name: str = "node") -> h5py.Group:
    """A valid graph input(2) -> w -> h(2) -> output(2) under ``name``."""
    root = file.create_group(name)
    root["type"] = "NIRGraph"
    root.create_dataset(
        "edges", data=np.array([["input", "w"], ["w", "h"], ["h", "output"]], dtype=object), dtype=STRING
    )
    nodes = root.create_group("nodes")
    for port, kind in (("input", "Input"), ("output", "Output")):
        nodes.create_group(port).update({"type": kind, "shape": [2]})
    nodes.create_group("w").update({"type": "Linear", "weight": np.eye(2, dtype=np.float32)})
    one = np.ones(2)
    lif = {"type": "LIF", "tau": one * 0.01, "r": one, "v_leak": one * 0, "v_threshold": one}
    nodes.create_group("h").update(lif)
    return root


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.nir"


def refused(path: Path, limits: Limits = HARMLESS) -> BadInput:
    with pytest.raises(BadInput) as caught:
        read_graph(path, limits=limits)
    assert str(path) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def code_of(path: Path, change: Callable[[h5py.File], object], limits: Limits = HARMLESS) -> str:
    with h5py.File(path, "w") as file:
        put_graph(file)
        change(file)
    return refused(path, limits).code


def replace_weight(file: h5py.File, **options: object) -> None:
    del file["node/nodes/w/weight"]
    file["node/nodes/w"].create_dataset("weight", **options)


def test_a_valid_file_is_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
    graph = read_graph(path)
    assert sorted(graph.nodes) == ["h", "input", "output", "w"]
    assert graph.nodes["h"].v_reset.tolist() == [0.0, 0.0]
    assert digest(graph) == digest(nir.read(path))


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


# NB101 to NB103 and NB111: the structure, all at once


def test_all_structural_errors_are_listed_at_once(path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["node/edges"]
        del file["node/nodes/h/tau"]
        file["node/nodes"].create_group("z")["type"] = "Izhikevich"
        replace_weight(file, data="text")

    with h5py.File(path, "w") as file:
        put_graph(file)
        change(file)
    error = refused(path)
    graph, findings = lint_file(path)
    assert graph is None
    codes = {f.code for f in findings if f.level == "error"}
    assert codes == {"NB010", "NB101", "NB102", "NB103"}
    assert {error.code, *(f.code for f in error.findings)} == codes


@pytest.mark.parametrize(
    "edges",
    [np.array([1, 2]), np.array(["a", "b"], dtype=object), np.array([["a"]], dtype=object), "ab"],
    ids=["numbers", "flat", "single", "text"],
)
def test_edges_that_are_no_pairs_of_names(path: Path, edges: object) -> None:
    def change(file: h5py.File) -> None:
        del file["node/edges"]
        text = isinstance(edges, np.ndarray) and edges.dtype == object
        file["node"].create_dataset("edges", data=edges, dtype=STRING if text else None)

    assert code_of(path, change) == "NB103"


def test_a_field_that_is_a_group(path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["node/nodes/h/tau"]
        file.create_group("node/nodes/h/tau")

    assert code_of(path, change) == "NB102"


def test_a_node_that_is_an_array(path: Path) -> None:
    def change(file: h5py.File) -> None:
        file["node/nodes/z"] = [1, 2]

    assert code_of(path, change) == "NB102"


def test_parameters_of_two_shapes(path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["node/nodes/h/tau"]
        file["node/nodes/h/tau"] = np.ones(3)

    assert code_of(path, change) == "NB111"


def test_extra_fields_are_dropped_and_reported(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)["nodes/h/colour"] = 3
    graph, findings = lint_file(path)
    assert graph is not None
    assert [(f.code, f.level, f.node) for f in findings if f.level != "info"] == [("NB102", "warning", "h")]
    with pytest.warns(FindingWarning, match="NB102.*'colour'"):
        assert not hasattr(read_graph(path).nodes["h"], "colour")


def test_a_scalar_parameter_takes_the_shape_of_the_others(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
        del file["node/nodes/h/tau"]
        file["node/nodes/h/tau"] = 0.02
    with pytest.warns(FindingWarning, match="NB111"):
        assert read_graph(path).nodes["h"].tau.tolist() == [0.02, 0.02]
    assert [(f.code, f.level) for f in lint_file(path)[1] if f.level != "info"] == [("NB111", "warning")]


def test_what_older_files_leave_out_is_filled_in_and_named(path: Path) -> None:
    with h5py.File(path, "w") as file:
        nodes = put_graph(file)["nodes"]
        one = np.ones(2)
        cuba = {
            "type": "CubaLIF",
            "tau_syn": one,
            "tau_mem": one,
            "r": one,
            "v_leak": one,
            "v_threshold": one,
        }
        nodes.create_group("c").update(cuba)
    graph, findings = lint_file(path)
    assert graph is not None
    assert (graph.nodes["c"].w_in.tolist(), graph.nodes["h"].v_reset.tolist()) == ([1, 1], [0, 0])
    said = [f.message for f in findings if f.code == "NB102" and f.level == "info"]
    assert said == [
        "the graph: 'v_reset' is missing at c, h, read as 0",
        "the graph: 'w_in' is missing at c, read as 1",
    ]


def test_a_graph_without_edges(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
        del file["node/edges"]
        file["node/edges"] = np.zeros(0)
    assert read_graph(path).edges == []


# NB401, NB403: metadata that contradict themselves


@pytest.mark.parametrize(
    "text",
    [
        "no json",
        "[" * 100_000 + "]" * 100_000,
        '{"schema": "nirbridge.graph-metadata/1", "dt": NaN}',
        '{"schema": "nirbridge.graph-metadata/1", "dt": 1e999}',
        '{"schema": "nirbridge.graph-metadata/1", "dt": 0.001, "dt": 0.002}',
        '{"schema": "nirbridge.graph-metadata/1"}',
        '{"schema": "another/1", "dt": 0.001}',
    ],
    ids=["text", "nested", "nan", "inf", "twice", "no-dt", "schema"],
)
def test_metadata_that_break_the_schema(path: Path, text: str) -> None:
    def store(file: h5py.File) -> None:
        file["node/metadata/nirbridge"] = text

    assert code_of(path, store) == "NB401"
    graph, findings = lint_file(path)
    assert graph is not None
    assert "NB401" in {f.code for f in findings}


def test_newer_metadata_are_kept(path: Path) -> None:
    text = json.dumps({"schema": "nirbridge.graph-metadata/2", "step": 0.001})
    with h5py.File(path, "w") as file:
        put_graph(file)["metadata/nirbridge"] = text
    assert read_graph(path).metadata["nirbridge"] == text
    assert "NB402" in {f.code for f in lint_file(path)[1]}


def put_quantised(file: h5py.File, **changes: object) -> None:
    values = {
        "q": np.array([[-3, 127], [0, 1]], dtype=np.int8),
        "scale": np.array([0.0078125], dtype=np.float32),
        "zero_point": 0,
        "bits": 8,
        "axis": -1,
    } | changes
    weight = np.array([[-3, 127], [0, 1]]) * np.float32(0.0078125)
    replace_weight(file, data=weight.astype(np.float32))
    for key, value in values.items():
        if value is not None:
            file[f"node/nodes/w/metadata/nirbridge_q/{key}"] = value


def test_matching_integers_are_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
        put_quantised(file)
    kept = read_graph(path).nodes["w"].metadata["nirbridge_q"]
    assert kept["q"].dtype == np.int8
    assert kept["bits"] == 8


@pytest.mark.parametrize(
    "changes",
    [
        {"q": np.array([[-3, 126], [0, 1]], dtype=np.int8)},
        {"q": np.array([-3, 127], dtype=np.int8)},
        {"scale": np.array([0.0078125, 0.1, 0.2], dtype=np.float32)},
        {"scale": np.array([0.0078126], dtype=np.float32)},
        {"zero_point": 1},
        {"zero_point": None},
        {"bits": 9},
        {"axis": 2},
    ],
)
def test_integers_that_contradict_the_weight(path: Path, changes: dict[str, object]) -> None:
    assert code_of(path, lambda file: put_quantised(file, **changes)) == "NB403"


# sizes inside the file


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ({"type": "Input", "shape": [1 << 60]}, "NB117"),
        ({"type": "Input", "shape": [0, 2]}, "NB117"),
        ({"type": "Flatten", "start_dim": 5, "end_dim": 1, "input_type": [2]}, "NB116"),
        ({"type": "Delay", "delay": [-1.0, 0.0]}, "NB125"),
        ({"type": "Linear", "weight": [1.0, 2.0]}, "NB109"),
    ],
)
def test_impossible_sizes_are_reported_not_allocated(path: Path, node: dict[str, object], code: str) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)["nodes"].create_group("z").update(node)
    assert read_graph(path) is not None
    assert code in {f.code for f in lint_file(path)[1] if f.level == "error" and f.node == "z"}


@pytest.mark.parametrize(
    ("node", "code"),
    [
        ({"type": "Delay", "delay": [1e9, 1e9]}, "NB125"),
        ({"type": "Delay", "delay": [0.0, 1e300]}, "NB125"),
    ],
)
def test_delays_of_years_are_reported_not_allocated(path: Path, node: dict[str, object], code: str) -> None:
    text = json.dumps({"schema": "nirbridge.graph-metadata/1", "dt": 0.001})
    with h5py.File(path, "w") as file:
        graph = put_graph(file)
        graph["metadata/nirbridge"] = text
        graph["nodes"].create_group("z").update(node)
    assert read_graph(path) is not None
    assert code in {f.code for f in lint_file(path)[1] if f.node == "z"}


@pytest.mark.parametrize("size", [1 << 40, 1 << 62, -(1 << 40)])
@pytest.mark.parametrize(
    ("kind", "field"),
    [("Input", "shape"), ("Output", "shape"), ("Flatten", "input_type"), ("Flatten", "end_dim"),
     ("Conv2d", "groups"), ("Conv2d", "dilation"), ("Conv2d", "input_shape"), ("SumPool2d", "kernel_size")],
)  # fmt: skip
def test_huge_sizes_make_no_huge_arrays(path: Path, kind: str, field: str, size: int) -> None:
    two = np.array([2, 2])
    fields: dict[str, dict[str, object]] = {
        "Input": {"shape": two},
        "Output": {"shape": two},
        "Flatten": {"input_type": two, "start_dim": 0, "end_dim": -1},
        "Conv2d": {"weight": np.ones((2, 2, 3, 3)), "bias": np.zeros(2), "stride": two, "padding": two,
                   "dilation": two, "groups": 1, "input_shape": two},
        "SumPool2d": {"kernel_size": two, "stride": two, "padding": two},
    }  # fmt: skip
    old = fields[kind][field]
    fields[kind][field] = size if np.ndim(old) == 0 else np.full(2, size)
    with h5py.File(path, "w") as file:
        graph = put_graph(file)
        graph["nodes"].create_group("z").update({"type": kind, **fields[kind]})
        del graph["edges"]
        edges = [["input", "w"], ["w", "h"], ["h", "z"], ["z", "output"]]
        graph.create_dataset("edges", data=np.array(edges, dtype=object), dtype=STRING)
    tracemalloc.start()
    findings = lint_file(path)[1]
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 20 << 20
    assert any(f.level == "error" for f in findings)


def test_a_root_type_that_is_an_array(path: Path) -> None:
    def change(file: h5py.File) -> None:
        del file["node/type"]
        file["node/type"] = np.zeros(3)

    assert code_of(path, change) == "NB013"


def test_a_kernel_larger_than_its_input_with_padding_per_axis(path: Path) -> None:
    conv = {"type": "Conv2d", "weight": np.ones((2, 2, 9, 9)), "bias": np.zeros(2), "groups": 1,
            **{key: np.ones(2, int) for key in ("stride", "padding", "dilation")}}  # fmt: skip
    with h5py.File(path, "w") as file:
        graph = put_graph(file)
        graph["nodes"].create_group("z").update(conv)
        graph["nodes"].create_group("in2").update({"type": "Input", "shape": [2, 4, 4]})
        del graph["edges"]
        graph.create_dataset("edges", data=np.array([["in2", "z"]], dtype=object), dtype=STRING)
    assert "NB114" in {f.code for f in lint_file(path)[1] if f.node == "z"}


def test_a_shape_that_is_not_finite(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)["nodes"].create_group("z").update({"type": "Input", "shape": [np.inf, 2.0]})
    assert "NB117" in {f.code for f in lint_file(path)[1] if f.node == "z"}


@pytest.mark.parametrize("kind", ["fifo", "device"])
def test_what_is_no_regular_file_is_not_opened(tmp_path: Path, kind: str) -> None:
    path = tmp_path / "pipe.nir"
    if kind == "fifo":
        os.mkfifo(path)
    else:
        path.symlink_to("/dev/zero")
    assert refused(path).code == "NB001"


@pytest.mark.parametrize(
    "change",
    [
        {"stride": [0, 1]},
        {"dilation": [-1, 1]},
        {"groups": 0},
        {"groups": 3},
        {"padding": [10**9, 1]},
        {"padding": "reflect"},
        {"padding": [1.5, 1.5]},
        {"stride": [1, 1, 1]},
    ],
)
def test_impossible_convolutions_are_reported(path: Path, change: dict[str, object]) -> None:
    conv = {
        "type": "Conv2d",
        "weight": np.ones((4, 2, 3, 3)),
        "bias": np.zeros(4),
        "stride": [1, 1],
        "padding": [1, 1],
        "dilation": [1, 1],
        "groups": 1,
        "input_shape": [8, 8],
    } | change
    with h5py.File(path, "w") as file:
        put_graph(file)["nodes"].create_group("z").update(conv)
    assert read_graph(path) is not None
    assert "NB114" in {f.code for f in lint_file(path)[1] if f.level == "error" and f.node == "z"}
