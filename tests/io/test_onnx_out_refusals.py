"""What cannot be written as ONNX is refused by name, and what is rounded is said."""

from __future__ import annotations

import json
import sys
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, FindingWarning, Unsupported
from nirbridge.graph import make
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import quantization_of
from nirbridge.io.onnx_out import to_model, write_model
from nirbridge.semantics import PROFILES, semantics_of

sys.path.insert(0, str(Path(__file__).parent))
import onnx_networks as nets


def _pair(**semantics: Any) -> nir.NIRGraph:
    return nets.feed_forward(np.random.default_rng(0), **semantics)


@pytest.mark.parametrize(
    ("semantics", "named"),
    [
        ({"multi_spike": True}, "multi_spike=True"),
        ({"weights": "int8"}, "weights='int8'"),
        ({"bias_path": "membrane"}, "bias_path='membrane'"),
        ({"delayed": "value"}, "delayed='value'"),
        ({"arithmetic": "loihi"}, "arithmetic='loihi'"),
        ({"arithmetic": "slayer"}, "arithmetic='slayer'"),
        *(
            ({"profile": p, **PROFILES[p]}, f"profile '{p}'")
            for p in PROFILES
            if p not in ("canonical", "genn")
        ),
    ],
)
def test_semantics_that_no_float_step_states_are_refused_by_name(semantics: Any, named: str) -> None:
    with pytest.raises(Unsupported) as caught:
        to_model(_pair(**semantics))
    assert caught.value.code == "NB201"
    assert named in caught.value.message
    assert caught.value.fix


def test_all_that_is_refused_is_named_at_once() -> None:
    with pytest.raises(Unsupported) as caught:
        to_model(_pair(multi_spike=True, delayed="value"))
    assert "multi_spike" in str(caught.value) and "delayed" in str(caught.value)


def test_float64_is_written_in_float32_and_said() -> None:
    graph = _pair(arithmetic="float64", decay="exact")
    with pytest.warns(FindingWarning, match="float32"):
        model = to_model(graph).model
    assert json.loads(nets.entries(model)["nirbridge"])["semantics"] == {"decay": "exact"}
    assert semantics_of(graph).arithmetic == "float64"


def test_more_weights_than_a_file_holds_are_refused(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("nirbridge.io.onnx_out.model.LARGEST", 4 * 12 * 20)
    with pytest.raises(Unsupported, match=r"NB212.*GiB"):
        to_model(_pair())


def test_a_graph_without_dt_is_refused() -> None:
    graph = _pair()
    del graph.metadata["nirbridge"]
    with pytest.raises(BadInput, match="NB301"):
        to_model(graph)


@pytest.mark.parametrize(
    ("more", "named"),
    [([("out_a", "w2")], "out of Output 'out_a'"), ([("input", "input")], "into Input 'input'")],
)
def test_edges_that_carry_nothing_are_refused(more: list[tuple[str, str]], named: str) -> None:
    graph = _pair()
    graph.edges = [*graph.edges, *more]
    with pytest.raises(Unsupported, match="NB202") as caught:
        to_model(graph)
    assert named in caught.value.message


def test_a_name_for_two_things_is_refused() -> None:
    graph = _pair()
    nodes = {("a.v" if name == "out_b" else name): node for name, node in graph.nodes.items()}
    edges = [(a, "a.v" if b == "out_b" else b) for a, b in graph.edges]
    with pytest.raises(Unsupported, match=r"NB202.*'a\.v'"):
        to_model(make(nodes, edges, graph.metadata))


def test_a_zero_point_beyond_int8_is_refused() -> None:
    graph = nets.quantised(np.random.default_rng(1))
    node: Any = graph.nodes["w"]
    q = replace(quantization_of(node, "w"), zero_point=128)
    node.weight, node.metadata[QUANTIZED] = q.weight(), q.as_metadata()
    with pytest.raises(Unsupported, match=r"NB212.*'w'.*128"):
        to_model(graph)


def test_a_failed_write_keeps_the_old_file(tmp_path: Path) -> None:
    path = tmp_path / "net.onnx"
    path.write_bytes(b"old")
    with pytest.raises(Unsupported):
        write_model(path, nets.recurrent(np.random.default_rng(0), multi_spike=True))
    assert path.read_bytes() == b"old"
    assert list(tmp_path.iterdir()) == [path]
