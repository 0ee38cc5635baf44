"""Weights in an ONNX model: each once, integers as integers, names that never mix."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Any

import nir
import numpy as np
import onnx
import pytest

from nirbridge.graph import make
from nirbridge.graph.delays import lower
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import quantization_of
from nirbridge.io import read_graph, write_graph
from nirbridge.semantics import Semantics, with_semantics

sys.path.insert(0, str(Path(__file__).parent))
import onnx_networks as nets


def _initialisers(model: Any) -> dict[str, Any]:
    return {tensor.name: onnx.numpy_helper.to_array(tensor) for tensor in model.graph.initializer}


@nets.needs_runtime
def test_int8_weights_are_kept_as_integers_and_give_the_weight_bit_for_bit() -> None:
    graph = nets.quantised(np.random.default_rng(1))
    model = nets.checked(graph).model
    stored = _initialisers(model)
    made = {node.output[0]: node for node in model.graph.node if node.op_type == "DequantizeLinear"}
    for name in ("w", "aa", "ab", "ba", "u"):
        node: Any = graph.nodes[name]
        q = quantization_of(node, name)
        assert q is not None
        assert stored[f"{name}.weight.int8"].dtype == np.int8
        np.testing.assert_array_equal(stored[f"{name}.weight.int8"], q.q)
        attributes = {a.name: a.i for a in made[f"{name}.weight"].attribute}
        assert attributes == ({} if q.axis < 0 else {"axis": q.axis})
        assert stored[f"{name}.weight.scale"].shape == (() if q.axis < 0 else (q.q.shape[q.axis],))
    assert not [n for n, a in stored.items() if a.dtype == np.float32 and a.ndim > 1]
    shown = onnx.ModelProto()
    shown.CopyFrom(model)
    shown.graph.output.extend(
        onnx.helper.make_empty_tensor_value_info(f"{n}.weight") for n in ("aa", "ab", "ba")
    )
    values = nets.session(shown).run(
        ["aa.weight", "ab.weight", "ba.weight"], {"input": np.zeros((1, 1, 8), "f")}
    )
    for name, value in zip(("aa", "ab", "ba"), values, strict=True):
        np.testing.assert_array_equal(value, graph.nodes[name].weight)


@nets.needs_runtime
@pytest.mark.parametrize("axis", [-1, 0])
def test_int8_kernels(axis: int) -> None:
    rng = np.random.default_rng(2)
    graph = nets.convolutional(rng)
    node: Any = graph.nodes["conv1"]
    scale = rng.uniform(0.005, 0.01, 1 if axis < 0 else 4).astype(np.float32)
    q = nets.Quantization(q=rng.integers(-90, 128, node.weight.shape).astype(np.int8), scale=scale, axis=axis)
    node.weight, node.metadata[QUANTIZED] = q.weight(), q.as_metadata()
    model = nets.checked(graph).model
    assert _initialisers(model)["conv1.weight.int8"].dtype == np.int8
    x = nets.spikes(rng, 20, 2, nets.input_size(graph))
    expected = nets.run_reference(graph, x)
    np.testing.assert_array_equal(nets.run_onnx(model, x, graph), expected)
    assert expected.any()


@pytest.mark.parametrize("on_disk", [False, True])
def test_a_matrix_with_delays_is_stored_once(on_disk: bool, tmp_path: Path) -> None:
    graph = nets.with_delays(np.random.default_rng(1))
    if on_disk:
        write_graph(tmp_path / "net.nir", graph)
        graph = read_graph(tmp_path / "net.nir")
        assert "w" not in graph.nodes
    stored = _initialisers(nets.checked(graph).model)
    floats = {name: a.shape for name, a in stored.items() if a.dtype == np.float32 and a.ndim == 2}
    assert floats == {"w.weight": (14, 10), "r.weight": (14, 14), "v.weight": (6, 14)}
    assert stored["w.branch"].dtype == np.uint8


@nets.needs_runtime
def test_int8_weights_with_delays_are_stored_once() -> None:
    rng = np.random.default_rng(4)
    graph = nets.with_delays(rng)
    node: Any = graph.nodes["w"]
    q = nets.Quantization(
        q=rng.integers(-40, 128, (14, 10)).astype(np.int8), scale=np.full(1, 0.05, np.float32), zero_point=2
    )
    node.weight, node.metadata[QUANTIZED] = q.weight(), q.as_metadata()
    model = nets.checked(graph).model
    stored = _initialisers(model)
    np.testing.assert_array_equal(stored["w.weight.int8"], q.q)
    assert "w.weight" not in stored
    x = nets.spikes(rng, 40, 2, 10)
    np.testing.assert_array_equal(nets.run_onnx(model, x, graph), nets.run_reference(graph, x))


@nets.needs_runtime
def test_weights_that_overlap_are_no_branches_of_one_matrix() -> None:
    rng = np.random.default_rng(5)
    graph = lower(nets.with_delays(rng))
    names = [name for name in graph.nodes if name.startswith("w_w")]
    graph.nodes[names[0]].weight[:] = 0.5
    x = nets.spikes(rng, 40, 2, 10)
    found = nets.run_onnx(nets.checked(graph).model, x, graph)
    np.testing.assert_allclose(found, nets.run_reference(graph, x), rtol=0, atol=5e-5)


@nets.needs_runtime
def test_names_of_nodes_never_mix() -> None:
    """Nodes called as the parts that a model is made of."""
    rng = np.random.default_rng(8)
    nodes = nets.ports(input=(4,), output=(4,)) | {
        "w": nets.linear(rng, 4, 4, 2), "w.weight": nir.Scale(rng.uniform(1, 2, 4)),
        "batch": nets.linear(rng, 4, 4, 3),
        "zero": nets.neurons(rng, "LIF", (4,)), "time": nets.neurons(rng, "CubaLIF", (4,)),
    }  # fmt: skip
    q = nets.Quantization(q=rng.integers(-9, 99, (4, 4)).astype(np.int8), scale=np.full(1, 0.05, np.float32))
    node: Any = nodes["w"]
    node.weight, node.metadata[QUANTIZED] = q.weight(), q.as_metadata()
    edges = [
        ("input", "w"), ("w", "w.weight"), ("w.weight", "zero"), ("zero", "batch"), ("batch", "time"),
        ("time", "output"),
    ]  # fmt: skip
    graph = with_semantics(make(nodes, edges), Semantics(dt=1e-3))
    x = nets.spikes(rng, 30, 2, 4)
    found, expected = nets.run_onnx(nets.checked(graph).model, x, graph), nets.run_reference(graph, x)
    assert expected.any()
    np.testing.assert_array_equal(found, expected)
