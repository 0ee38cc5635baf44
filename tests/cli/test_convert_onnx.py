"""`nirbridge convert NET.nir NET.onnx`: the file, its options, what is said about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import onnx
import pytest

from nirbridge.graph import digest
from nirbridge.io import read_graph, write_graph
from nirbridge.semantics import Semantics, with_semantics

if TYPE_CHECKING:
    from conftest import Call


def ports(path: Path) -> list[str]:
    graph = onnx.load(path).graph
    return [port.name for port in (*graph.input, *graph.output)]


def test_the_model_and_its_run_file_are_written(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("convert", graph, "net.onnx", "--json")
    assert result.code == 0
    value = json.loads(result.out)
    assert (value["schema"], value["output"]) == ("nirbridge.convert/1", "net.onnx")
    assert value["note"] == "2 states inside, 44 bytes a sample"
    assert "wrote net.onnx" in result.err and value["note"] in result.err
    assert ports(tmp_path / "net.onnx") == ["input", "output"]
    model = onnx.load(tmp_path / "net.onnx")
    entries = {entry.key: entry.value for entry in model.metadata_props}
    assert entries["nirbridge_digest"] == value["digest"]["after"] == digest(read_graph(graph))
    assert json.loads(entries["nirbridge"])["readout"] == "count"
    run = json.loads((tmp_path / "net.onnx.run.json").read_text())
    assert run["output"]["path"] == "net.onnx"


def test_options_stand_behind_the_name(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("convert", graph, "net.onnx:states=true", "--json")
    assert json.loads(result.out)["output"] == "net.onnx"
    assert "as inputs and outputs" in result.err
    assert ports(tmp_path / "net.onnx") == [
        "input",
        "hidden.v",
        "out.v",
        "output",
        "hidden.v.next",
        "out.v.next",
    ]
    assert sorted(path.name for path in tmp_path.iterdir()) == ["net.nir", "net.onnx", "net.onnx.run.json"]
    assert "states=true" in json.loads((tmp_path / "net.onnx.run.json").read_text())["command"]


def test_passes_come_first(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("convert", graph, "net.onnx", "--pass", "quantize-weights", "--quiet")
    assert (result.code, result.err) == (0, "")
    model = onnx.load(tmp_path / "net.onnx")
    assert [node.op_type for node in model.graph.node].count("DequantizeLinear") == 2
    history = json.loads({e.key: e.value for e in model.metadata_props}["nirbridge"])["history"]
    assert [entry["pass"] for entry in history] == ["quantize-weights"]


def test_a_dry_run_writes_nothing(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("convert", graph, "net.onnx:states=true", "--dry-run", "--json")
    value = json.loads(result.out)
    assert (value["output"], value["note"]) == (None, "2 states as inputs and outputs, 44 bytes a sample")
    assert "would write net.onnx" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["net.nir"]


@pytest.mark.parametrize("more", [(), ("--dry-run",)])
def test_what_the_model_rounds_is_a_warning(call: Call, graph: Path, more: Any) -> None:
    write_graph(graph, with_semantics(read_graph(graph), Semantics(dt=1e-3, arithmetic="float64")))
    result = call("convert", graph, "net.onnx", *more)
    assert result.code == 0
    assert "warning[NB201] net.onnx: the model steps in float32" in result.err


@pytest.mark.parametrize(
    ("goal", "code", "said"),
    [
        ("net.onnx:state=true", 2, ["NB701", "no option 'state'", "'states'"]),
        ("net.onnx:states=maybe", 2, ["NB701", "'maybe'", "true | false"]),
        ("net.onnx:states=true,states=false", 2, ["NB701", "twice"]),
        ("net.nir:states=true", 2, ["NB701", "no option 'states'"]),
        ("net.xyz:states=true", 2, ["NB711"]),
        ("none/net.onnx:states=true", 2, ["NB710", "none"]),
    ],
)
def test_wrong_outputs(call: Call, graph: Path, goal: str, code: int, said: list[str]) -> None:
    before = graph.read_bytes()
    result = call("convert", graph, goal)
    assert (result.code, result.out) == (code, "")
    assert all(text in result.err for text in said)
    assert graph.read_bytes() == before


def test_semantics_that_are_refused(call: Call, graph: Path, tmp_path: Path) -> None:
    write_graph(graph, with_semantics(read_graph(graph), Semantics(dt=1e-3, multi_spike=True)))
    for more in ((), ("--dry-run",)):
        result = call("convert", graph, "net.onnx", "--json", *more)
        assert (result.code, result.out) == (4, "")
        assert "NB201" in result.err and "net.nir" in result.err and "multi_spike=True" in result.err
    assert [path.name for path in tmp_path.iterdir()] == ["net.nir"]


def test_the_options_are_listed(call: Call) -> None:
    result = call("plugins", ".onnx")
    assert result.code == 0
    assert "states" in result.out and "true | false" in result.out
