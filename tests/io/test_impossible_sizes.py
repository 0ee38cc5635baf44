"""Sizes inside a file that no memory holds: reported, never allocated."""

import json
import sys
import tracemalloc
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from hdf5_graphs import STRING, put_graph

from nirbridge.io import lint_file, read_graph


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "net.nir"


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
