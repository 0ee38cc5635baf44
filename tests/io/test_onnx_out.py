"""A graph as an ONNX model: in onnxruntime it gives what the reference gives."""

from __future__ import annotations

import json
import os
import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import onnx
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.graph import digest, inline, make
from nirbridge.io import read_graph
from nirbridge.io.onnx_out import to_model, write_model
from nirbridge.semantics import Semantics, with_semantics

sys.path.insert(0, str(Path(__file__).parent))
import onnx_networks as nets

ROOT = Path(__file__).resolve().parents[2]
OWN = ROOT / "tests" / "golden" / "data" / "nir"
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "nir"
CASES = [
    path
    for path in sorted([*OWN.glob("*.npz"), *SHARED.glob("*.npz")])
    if str(np.load(path)["profile"]) in ("canonical", "genn")
]
FIVE = list(nets.FIVE.items())


@nets.needs_runtime
@pytest.mark.parametrize("seed", range(3))
@pytest.mark.parametrize(("name", "network"), FIVE, ids=[name for name, _ in FIVE])
def test_five_networks_spike_as_the_reference(name: str, network: Any, seed: int) -> None:
    rng = np.random.default_rng(seed)
    reset = ("value", "subtract", "value")[seed]
    graph = network(rng, decay=("euler", "exact", "exact")[seed], reset=reset)
    run = nets.session(nets.checked(graph).model)
    for steps, batch in ((1, 2), (40, 1), (100, 5)):
        x = nets.spikes(rng, steps, batch, nets.input_size(graph))
        found, expected = nets.chained(run, [x], graph), nets.run_reference(graph, x)
        silent = [port for port in _outputs(graph, expected) if steps == 100 and not port.any()]
        assert not silent, "a population that never spikes tests nothing"
        spiking = _spiking(graph, expected)
        assert (found[..., spiking] != expected[..., spiking]).sum() == 0
        np.testing.assert_allclose(found, expected, rtol=0, atol=5e-5)


def _outputs(graph: nir.NIRGraph, values: Any) -> list[Any]:
    sizes = [p.size for p in nets.build(graph).populations if p.kind == "output"]
    return list(np.split(values, np.cumsum(sizes)[:-1], axis=2))


def _spiking(graph: nir.NIRGraph, values: Any) -> Any:
    """Which units hold spikes, not a membrane."""
    parts = [np.full(part.shape[2], bool(np.isin(part, (0, 1)).all())) for part in _outputs(graph, values)]
    assert np.concatenate(parts).any()
    return np.concatenate(parts)


@nets.needs_runtime
@settings(max_examples=40, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 4), st.integers(1, 40))
def test_any_wiring_gives_the_reference_bit_for_bit(seed: int, batch: int, steps: int) -> None:
    graph = nets.random_graph(seed)
    x = nets.spikes(np.random.default_rng(seed), steps, batch, nets.input_size(graph))
    found = nets.run_onnx(nets.checked(graph).model, x, graph)
    np.testing.assert_array_equal(found, nets.run_reference(graph, x))


@nets.needs_runtime
@settings(max_examples=15, deadline=None)
@given(st.integers(0, 2**32 - 1), st.lists(st.integers(1, 12), min_size=2, max_size=4))
def test_chunks_with_their_states_equal_the_whole(seed: int, lengths: list[int]) -> None:
    graph = nets.random_graph(seed)
    x = nets.spikes(np.random.default_rng(seed), sum(lengths), 3, nets.input_size(graph))
    chunks = np.split(x, np.cumsum(lengths)[:-1])
    open_ = nets.checked(graph, states=True)
    parts = nets.chained(nets.session(open_.model), chunks, graph, open_.states)
    np.testing.assert_array_equal(parts, nets.run_onnx(to_model(graph).model, x, graph))


@nets.needs_runtime
@pytest.mark.parametrize(("name", "network"), FIVE, ids=[name for name, _ in FIVE])
def test_chunks_of_the_five_networks_equal_the_whole(name: str, network: Any) -> None:
    rng = np.random.default_rng(7)
    graph = network(rng)
    x = nets.spikes(rng, 50, 2, nets.input_size(graph))
    open_ = nets.checked(graph, states=True)
    parts = nets.chained(nets.session(open_.model), [x[:1], x[1:20], x[20:]], graph, open_.states)
    np.testing.assert_array_equal(parts, nets.run_onnx(to_model(graph).model, x, graph))


@nets.needs_runtime
@pytest.mark.parametrize("path", CASES, ids=[f"nir-{path.stem}" for path in CASES])
def test_golden_graphs(path: Path) -> None:
    case = np.load(path)
    semantics = Semantics.of_profile(
        str(case["profile"]), dt=float(case["dt"]), **json.loads(str(case["options"]))
    )
    file = path.parent / str(case["graph"])
    graph = with_semantics(read_graph(file if file.exists() else SHARED / str(case["graph"])), semantics)
    x = case["input"].astype(np.float32)[:, None]
    if semantics.profile == "genn" and str(case["input_kind"]) == "spikes":
        assert x.max() <= 1, "events that queue are not the model's"
    found, expected = nets.run_onnx(nets.checked(graph).model, x, graph), nets.run_reference(graph, x)
    if np.isin(expected, (0, 1)).all():
        np.testing.assert_array_equal(found, expected)
    np.testing.assert_allclose(found, expected, rtol=1e-5, atol=5e-5)
    if str(case["trace_kind"]) == "output":
        trace = case["expected_trace"] / float(case["trace_scale"])
        np.testing.assert_allclose(found[:, 0], trace, rtol=0, atol=max(5e-5, float(case["tolerance_trace"])))


def test_there_are_golden_graphs() -> None:
    assert len(CASES) >= 2


def test_the_model_is_one_scan_of_opset_17_with_free_time_and_batch() -> None:
    graph = nets.recurrent(np.random.default_rng(0))
    model = nets.checked(graph).model
    assert [(o.domain, o.version) for o in model.opset_import] == [("", 17)]
    assert [node.op_type for node in model.graph.node].count("Scan") == 1
    shapes = {
        port.name: [d.dim_param or d.dim_value for d in port.type.tensor_type.shape.dim]
        for port in (*model.graph.input, *model.graph.output)
    }
    assert shapes == {
        "input": ["T", "B", 8],
        "out_a": ["T", "B", 16],
        "out_b": ["T", "B", 12],
        "out_r": ["T", "B", 3],
    }


def test_states_are_inputs_and_outputs_by_name() -> None:
    graph = nets.with_delays(np.random.default_rng(0))
    exported = nets.checked(graph, states=True)
    model = exported.model
    names = [state.name for state in exported.states]
    assert {"a.v", "a.i", "b.v", "d.d", "w_d3.d", "r_d1.d", "r_d1.s"} <= set(names)
    assert not {"b.i", "b.s", "a.s", "w_d3.s"} & set(names)
    assert [port.name for port in model.graph.input] == ["input", *names]
    assert [port.name for port in model.graph.output] == ["out_a", "out_b", *(f"{n}.next" for n in names)]
    told = json.loads(nets.entries(model)["nirbridge_states"])
    assert told == [state.as_dict() for state in exported.states]
    (ring,) = (state for state in told if state["name"] == "w_d3.d")
    assert ring == {"name": "w_d3.d", "next": "w_d3.d.next", "shape": [3, 10], "start": 0.0}


@nets.needs_runtime
def test_a_membrane_that_starts_at_the_leak() -> None:
    graph = nets.feed_forward(np.random.default_rng(3), v_init="leak")
    x = np.zeros((5, 2, 12), np.float32)
    np.testing.assert_array_equal(
        nets.run_onnx(nets.checked(graph).model, x, graph), nets.run_reference(graph, x)
    )
    exported = nets.checked(graph, states=True)
    (start,) = (
        s["start"] for s in json.loads(nets.entries(exported.model)["nirbridge_states"]) if s["name"] == "a.v"
    )
    np.testing.assert_array_equal(np.float32(start), graph.nodes["a"].v_leak.astype(np.float32))


def test_the_file_says_which_graph_it_is(tmp_path: Path) -> None:
    graph = nets.recurrent(np.random.default_rng(0), decay="exact", reset="subtract")
    write_model(tmp_path / "a.onnx", graph)
    write_model(tmp_path / "b.onnx", graph)
    assert (tmp_path / "a.onnx").read_bytes() == (tmp_path / "b.onnx").read_bytes()
    model = onnx.load(tmp_path / "a.onnx")
    assert nets.entries(model) == {
        "nirbridge": graph.metadata["nirbridge"],
        "nirbridge_digest": digest(graph),
    }
    assert json.loads(nets.entries(model)["nirbridge"])["semantics"] == {
        "decay": "exact",
        "reset": "subtract",
    }
    assert model.producer_name == "nirbridge"


@nets.needs_runtime
def test_nested_graphs_equal_flat_ones() -> None:
    rng = np.random.default_rng(6)
    inner = nets.ports(input=(6,), output=(5,)) | {
        "w": nets.linear(rng, 5, 6, 4),
        "f": nets.neurons(rng, "LIF", (5,)),
    }
    chain = [("input", "w"), ("w", "f"), ("f", "output")]
    nodes = nets.ports(input=(6,), output=(5,)) | {"block": make(inner, chain)}
    graph = with_semantics(make(nodes, [("input", "block"), ("block", "output")]), Semantics(dt=1e-3))
    x = nets.spikes(rng, 30, 2, 6)
    exported = nets.checked(graph, states=True)
    assert [state.name for state in exported.states] == ["block.f.v"]
    found = nets.run_onnx(nets.checked(graph).model, x, graph)
    assert found.any()
    np.testing.assert_array_equal(found, nets.run_onnx(nets.checked(inline(graph)).model, x, graph))
    np.testing.assert_array_equal(found, nets.run_reference(graph, x))


@nets.needs_runtime
def test_a_graph_without_neurons_has_no_state() -> None:
    weight = np.arange(24, dtype=np.float32).reshape(2, 3, 4)
    nodes = nets.ports(input=(2, 4), output=(2, 3)) | {"w": nir.Affine(weight, np.ones((2, 3), np.float32))}
    graph = with_semantics(make(nodes, [("input", "w"), ("w", "output")]), Semantics(dt=1e-3))
    exported = nets.checked(graph, states=True)
    assert exported.states == ()
    x = nets.spikes(np.random.default_rng(0), 4, 3, 8)
    expected = np.einsum("loi,tbli->tblo", weight, x.reshape(4, 3, 2, 4)) + 1
    np.testing.assert_array_equal(nets.run_onnx(exported.model, x, graph), expected.reshape(4, 3, 6))


@nets.needs_runtime
@pytest.mark.parametrize(("compare", "expected"), [(">", [0, 1, 0, 1]), (">=", [1, 1, 1, 1])])
def test_a_membrane_at_its_threshold(compare: str, expected: list[int]) -> None:
    neuron = nir.IF(r=np.ones(1), v_threshold=np.ones(1), v_reset=np.zeros(1))
    nodes = nets.ports(input=(1,), output=(1,)) | {"n": neuron}
    semantics = Semantics.of_profile("canonical", dt=1e-3, compare=compare)
    graph = with_semantics(make(nodes, [("input", "n"), ("n", "output")]), semantics)
    found = nets.run_onnx(nets.checked(graph).model, np.ones((4, 1, 1), np.float32), graph)
    assert found.reshape(-1).tolist() == expected


@nets.needs_runtime
def test_a_node_between_two_consumers_has_a_value_for_each() -> None:
    """`w` reads `a` now for `b`, and one step late for `a` itself (SEMANTICS §1, rule 5)."""
    rng = np.random.default_rng(9)
    nodes = nets.ports(input=(4,), out_a=(4,), out_b=(4,)) | {
        "a": nets.neurons(rng, "LIF", (4,)), "b": nets.neurons(rng, "IF", (4,)),
        "s": nir.Scale(np.full(4, 9.0)),
        "w": nir.Affine(rng.integers(-9, 20, (4, 4)) / 8, rng.integers(-2, 3, 4) / 8),
    }  # fmt: skip
    edges = [
        ("input", "s"), ("s", "a"), ("a", "w"), ("w", "a"), ("w", "b"), ("a", "out_a"), ("b", "out_b")
    ]  # fmt: skip
    graph = with_semantics(make(nodes, edges), Semantics(dt=1e-3))
    x = nets.spikes(rng, 60, 2, 4)
    found, expected = nets.run_onnx(nets.checked(graph).model, x, graph), nets.run_reference(graph, x)
    assert 0 < expected.mean() < 0.9
    np.testing.assert_array_equal(found, expected)
