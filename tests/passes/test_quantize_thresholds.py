"""Thresholds become whole steps of the weights that arrive."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph import digest, read_metadata
from nirbridge.graph.quantization import KEY, quantization_of
from nirbridge.network import build
from nirbridge.passes import Pipeline, QuantizeThresholds, QuantizeWeights, RescaleLif


def quantised(*passes, layers=1):
    graph = conformance.example_graph(np.random.default_rng(0), layers=layers)
    return Pipeline((*passes, QuantizeWeights()))(graph)


@pytest.mark.parametrize("passes", [(), (RescaleLif(),)], ids=["gains-in-the-neuron", "rescaled"])
def test_thresholds_are_whole_steps_of_what_a_weight_adds(passes):
    before = quantised(*passes)
    before.nodes["hidden1"].v_threshold = np.linspace(0.5, 2, 24).astype(np.float32)
    after = QuantizeThresholds()(before)
    network = build(after)
    p = network.populations[network.index("hidden1")]
    step = float(quantization_of(after.nodes["w1"], "w1").scale[0]) * p.b_m * p.b_s
    old = before.nodes["hidden1"].v_threshold
    np.testing.assert_allclose(p.threshold / step, np.rint(old / step), rtol=1e-6)
    assert np.all(np.abs(p.threshold - old) <= 0.5 * step * (1 + 1e-5))
    assert digest(QuantizeThresholds()(after)) == digest(after)
    assert set(after.nodes) == set(before.nodes)
    for name in ("w1", "r1", "w_out", "out"):
        assert after.nodes[name] is not before.nodes[name]
    assert read_metadata(Pipeline((QuantizeThresholds(),))(before)).history[-1].pass_ == "quantize-thresholds"


def test_weights_must_be_integers_first():
    graph = conformance.example_graph(np.random.default_rng(0))
    with pytest.raises(Unsupported, match="no integer weights") as raised:
        QuantizeThresholds()(graph)
    assert raised.value.code == "NB212"
    assert "quantize-weights" in raised.value.fix


def test_scales_must_agree():
    graph = quantised()
    node = graph.nodes["r1"]
    node.metadata[KEY]["scale"] = node.metadata[KEY]["scale"] * 2
    node.weight = node.weight * 2
    with pytest.raises(Unsupported, match="expected one for the population"):
        QuantizeThresholds()(graph)


@pytest.mark.parametrize(
    ("threshold", "fix"), [(1e-9, "more bits"), (2e3, "bits less"), (1e9, "of one order")]
)
def test_out_of_range_names_neurons_and_fix(threshold, fix):
    graph = quantised()
    graph.nodes["hidden1"].v_threshold[3:8] = threshold
    with pytest.raises(Unsupported, match="at 5 of 24 neurons, expected 1 to 131071") as raised:
        QuantizeThresholds()(graph)
    assert raised.value.code == "NB212"
    assert fix in raised.value.fix
    with pytest.raises(UsageError, match="expected 2 to 24"):
        QuantizeThresholds(bits=30)
