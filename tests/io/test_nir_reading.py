"""Broken and old `.nir` files: what is wrong with the structure, all at once, and what is filled in."""

import json
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hdf5_graphs import STRING, code_of, put_graph, refused, replace_weight

from nirbridge.errors import FindingWarning
from nirbridge.graph import digest
from nirbridge.io import lint_file, read_graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.nir"


def test_a_valid_file_is_read(path: Path) -> None:
    with h5py.File(path, "w") as file:
        put_graph(file)
    graph = read_graph(path)
    assert sorted(graph.nodes) == ["h", "input", "output", "w"]
    assert graph.nodes["h"].v_reset.tolist() == [0.0, 0.0]
    assert digest(graph) == digest(nir.read(path))


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
