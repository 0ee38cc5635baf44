"""inspect and digest: the shapes are our own, nested nodes are listed, broken files are shown."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call, network

from nirbridge.graph import digest, make
from nirbridge.graph.metadata import KEY
from nirbridge.io import write_graph


def convolution() -> nir.NIRGraph:
    """A Conv2d of 2 groups with a 3×5 kernel, whose output nir computes wrongly, and a pool."""
    conv = nir.Conv2d(
        input_shape=(8, 6),
        weight=np.ones((2, 1, 3, 5)),
        stride=1,
        padding=0,
        dilation=1,
        groups=2,
        bias=np.zeros(2),
    )
    return make(
        {
            "input": nir.Input(np.array([2, 8, 6])),
            "conv": conv,
            "pool": nir.SumPool2d(
                kernel_size=np.array([2, 1]), stride=np.array([2, 1]), padding=np.array([0, 0])
            ),
            "output": nir.Output(np.array([2, 3, 2])),
        },
        [("input", "conv"), ("conv", "pool"), ("pool", "output")],
    )


def test_shapes_are_ours_where_nir_infers_others(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "conv.nir", convolution())
    nodes = {node["name"]: node for node in json.loads(call("inspect", "conv.nir", "--json").out)["nodes"]}
    assert (nodes["conv"]["input"], nodes["conv"]["output"]) == ([2, 8, 6], [2, 6, 2])
    assert (nodes["pool"]["input"], nodes["pool"]["output"]) == ([2, 6, 2], [2, 3, 2])
    assert "2×8×6 → 2×6×2" in call("inspect", "conv.nir").out


def test_nodes_of_subgraphs_are_listed_under_dotted_names(call: Call, tmp_path: Path) -> None:
    inner = network(dt=None)
    outer = make(
        {"input": nir.Input(np.array([5])), "sub": inner, "output": nir.Output(np.array([3]))},
        [("input", "sub"), ("sub", "output")],
    )
    write_graph(tmp_path / "outer.nir", outer)
    result = call("inspect", "outer.nir")
    assert result.code == 0
    lines = {line.split()[0]: line for line in result.out.splitlines() if line}
    assert "LIF" in lines["sub.hidden"] and "8 → 8" in lines["sub.hidden"]
    assert "5 → 3" in lines["sub"]


@pytest.mark.parametrize("text", ["{", '{"schema": "nirbridge.graph-metadata/1", "dt": NaN}', "[" * 100_000])
def test_metadata_that_cannot_be_read_stop_neither_inspect_nor_digest(
    call: Call, tmp_path: Path, text: str
) -> None:
    plain = network(dt=None)
    write_graph(tmp_path / "net.nir", make(plain.nodes, plain.edges, {KEY: text}))
    shown = call("inspect", "net.nir")
    assert shown.code == 0 and "cannot be read" in shown.out and "1 error" in shown.out
    assert json.loads(call("inspect", "net.nir", "--json").out)["metadata"] is None
    found = call("digest", "net.nir")
    assert found.code == 0 and found.out.startswith(digest(plain))
    checked = call("check", "net.nir")
    assert checked.code == 3 and "NB401" in checked.out
    assert call("convert", "net.nir", "other.nir").code == 3


@pytest.mark.parametrize("shape", [[np.nan], [np.inf], [12.5], [[5]], [2**60], [-5], [1e300]])
def test_a_port_of_an_impossible_shape_is_shown_and_drawn(
    call: Call, graph: Path, tmp_path: Path, shape: list[float]
) -> None:
    with h5py.File(graph, "r+") as file:
        del file["node/nodes/input/shape"]
        file["node/nodes/input/shape"] = np.array(shape)
    shown = call("inspect", graph, "-o", "net.svg", "--json")
    assert shown.code == 0, shown.err
    json.loads(shown.out, parse_constant=lambda name: pytest.fail(f"{name} is no JSON"))
    assert (tmp_path / "net.svg").exists()
    checked = call("check", graph)
    assert checked.code == 3 and ("NB117" in checked.out or "NB109" in checked.out)
