"""int8 weights: one scale per population, truncation, integers of the graph kept as they are."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from nirbridge.graph import equal
from nirbridge.graph.quantization import quantization_of
from nirbridge.passes import Pipeline
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import Spinnaker2
from nirbridge_spinnaker2.quantise import Incoming, quantise


def test_one_scale_over_all_arrays() -> None:
    a, b = np.array([[0.5, -1.0]]), np.array([[0.3, 2.0]])
    result = quantise([Incoming(weight=a), Incoming(weight=b)], rounding="truncate", scale_weights=True)
    assert result.w_scale == 63.5
    assert [q.tolist() for q in result.q] == [[[31, -63]], [[19, 127]]]
    nearest = quantise([Incoming(weight=a), Incoming(weight=b)], rounding="nearest", scale_weights=True)
    assert [q.tolist() for q in nearest.q] == [[[32, -64]], [[19, 127]]]


def test_product_is_taken_in_float64() -> None:
    weight = np.array([[0.1, 0.7, 0.35]], np.float32)
    result = quantise([Incoming(weight=weight)], rounding="truncate", scale_weights=True)
    expected = np.trunc(weight.astype(np.float64) * (127.0 / float(np.float64(weight).max())))
    np.testing.assert_array_equal(result.q[0], expected)


def test_without_scaling_and_of_zeros() -> None:
    weight = [Incoming(weight=np.array([[0.9, -3.7]]))]
    result = quantise(weight, rounding="truncate", scale_weights=False)
    assert (result.w_scale, result.q[0].tolist()) == (1.0, [[0, -3]])
    zeros = quantise([Incoming(weight=np.zeros((2, 2)))], rounding="truncate", scale_weights=True)
    assert zeros.w_scale == 1.0


def test_pass_then_import_keeps_every_integer(recurrent: Any) -> None:
    target = Spinnaker2()
    graph = recurrent()
    lowered = Pipeline(target.passes(graph))(graph)
    program = target.compile(lowered)
    for layer in program.lowered.layers:
        assert layer.kept
        for projection in layer.projections:
            stored = quantization_of(lowered.nodes[projection.name], projection.name)
            assert stored is not None
            np.testing.assert_array_equal(projection.q, stored.q)
    assert equal(program.graph, lowered)
    assert equal(Pipeline(target.passes(lowered))(lowered), lowered)


def test_integers_of_two_scales_are_truncated_again_and_said(recurrent: Any) -> None:
    from nirbridge.passes import QuantizeWeights

    graph = QuantizeWeights(granularity="tensor")(recurrent())
    findings = Spinnaker2().check(graph)
    assert [(f.code, f.level, f.node) for f in findings] == [("NB212", "warning", "h")]
    assert "granularity=population" in str(findings[0].fix)
    layers = {layer.name: layer for layer in Spinnaker2().compile(graph).lowered.layers}
    assert not layers["h"].kept
    assert layers["o"].kept


def test_pools_and_conv_as_rows(build: Any) -> None:
    """A Conv2d behind an AvgPool2d equals its definition, with the pool's 1/k² inside the weights."""
    rng = np.random.default_rng(1)
    kernel = rng.normal(size=(3, 2, 2, 2)).astype(np.float32)
    two, ports = np.array([2, 2]), build.ports(1, 3)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([2, 7, 7])}),
        "pool": nir.AvgPool2d(kernel_size=two, stride=two, padding=np.array([0, 0])),
        "conv": nir.Conv2d(
            input_shape=(3, 3), weight=kernel, stride=1, padding=1, dilation=1, groups=1, bias=np.zeros(3)
        ),
        "h": build.lif(48),
        "flat": nir.Flatten(input_type={"input": np.array([3, 4, 4])}, start_dim=0, end_dim=-1),
        "w": nir.Linear(weight=rng.normal(size=(3, 48)).astype(np.float32)),
        "o": build.lif(3),
        "output": ports["output"],
    }
    nodes["h"] = nir.LIF(
        **{
            key: np.full((3, 4, 4), value)
            for key, value in (
                ("tau", 0.01),
                ("r", 1.0),
                ("v_leak", 0.0),
                ("v_threshold", 9.0),
                ("v_reset", 0.0),
            )
        }
    )
    chain = ["input", "pool", "conv", "h", "flat", "w", "o", "output"]
    program = Spinnaker2().compile(build.graph(nodes, list(pairwise(chain))))
    layer = program.lowered.layers[0]
    q = layer.projections[0].q
    assert layer.w_scale == 127.0 / (float(np.abs(np.float64(kernel)).max()) / 4)
    grid = rng.poisson(0.3, (2, 5, 98))
    recording = program.run(Spikes.from_dense(grid, 1e-3), record=["h:x"])
    pooled = grid.reshape(2, 5, 2, 7, 7)[..., :6, :6].reshape(2, 5, 2, 3, 2, 3, 2).sum(axis=(4, 6))
    padded = np.pad(pooled, ((0, 0), (0, 0), (0, 0), (1, 1), (1, 1)))
    windows = np.lib.stride_tricks.sliding_window_view(padded, (2, 2), axis=(3, 4))
    expected = np.einsum("btchwij,ocij->btohw", windows, q).reshape(2, 5, 48)
    found = np.rint(recording.traces["h:x"][:, 1:6] * layer.w_scale)
    np.testing.assert_array_equal(found, expected)


def test_sum_pool_straight_into_neurons(build: Any) -> None:
    """Alone it has weights 1 and w_scale 1; the fifth column and row of the input are left out."""
    two = np.array([2, 2])
    square = {
        key: np.full((1, 2, 2), value)
        for key, value in (("tau", 0.01), ("r", 1.0), ("v_leak", 0.0), ("v_threshold", 9.0), ("v_reset", 0.0))
    }
    nodes = {
        "input": nir.Input(input_type={"input": np.array([1, 5, 5])}),
        "pool": nir.SumPool2d(kernel_size=two, stride=two, padding=np.array([0, 0])),
        "h": nir.LIF(**square),
        "output": nir.Output(output_type={"output": np.array([1, 2, 2])}),
    }
    program = Spinnaker2().compile(build.graph(nodes, list(pairwise(nodes))))
    (layer,) = program.lowered.layers
    assert layer.w_scale == 1.0
    grid = np.ones((1, 1, 25))
    recording = program.run(Spikes.from_dense(grid, 1e-3), record=["h:x"])
    assert recording.traces["h:x"][0].tolist() == [[0, 0, 0, 0], [4, 4, 4, 4]]
    assert recording.counts["h"]["synops"].tolist() == [16]
