"""Layer by layer: what the network's feedback adds is told apart from what a layer's own arithmetic does."""

from __future__ import annotations

import json
from dataclasses import replace

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.analysis import agreement
from nirbridge.evaluate import diagnose
from nirbridge.graph import make, replace_nodes
from nirbridge.graph.delays import KEY, lower
from nirbridge.passes import Pipeline
from nirbridge.semantics import Semantics, semantics_of, with_semantics
from nirbridge_loihi2 import Loihi2
from nirbridge_reference import Reference


def lowered(graph, target):
    return Pipeline(tuple(target.passes(graph)))(graph)


def with_delays(graph):
    rng = np.random.default_rng(2)
    nodes = {}
    for name in ("w1", "r1"):
        weight = graph.nodes[name].weight
        nodes[name] = nir.Linear(weight, metadata={KEY: rng.integers(0, 9, weight.shape).astype(np.int32)})
    return lower(replace_nodes(graph, nodes))


@pytest.mark.parametrize("change", [lambda g: g, with_delays], ids=["plain", "delays"])
@pytest.mark.parametrize("every_arc", [0, 1])
def test_each_layer_alone_reproduces_the_reference_on_the_reference(change, every_arc):
    graph = change(conformance.example_graph(np.random.default_rng(5)))
    graph = with_semantics(graph, replace(semantics_of(graph), feedforward_delay=every_arc))
    data = conformance.example_data(np.random.default_rng(6))
    hidden, out = diagnose(graph, Reference(arithmetic="float64"), data)
    assert (hidden.node, hidden.type, hidden.neurons) == ("hidden1", "CubaLIF", 24)
    assert hidden.agree > 0.999 and hidden.alone > 0.999
    assert hidden.reference_rate > 1
    assert out.agree is None and out.rate is None
    assert out.v_error < 1e-4


@pytest.mark.parametrize("change", [lambda g: g, with_delays], ids=["plain", "delays"])
def test_a_target_that_truncates(change):
    graph = lowered(change(conformance.example_graph(np.random.default_rng(0))), Loihi2())
    data = conformance.example_data(np.random.default_rng(6))
    hidden, out = diagnose(graph, Loihi2(), data)
    runs = [t.compile(graph).run(data.spikes, record=["hidden1"]) for t in (Reference(), Loihi2())]
    found = agreement("hidden1", *(r.aligned("hidden1") for r in runs), runs[0].dt)
    assert hidden.agree == found.share
    assert 0.97 < hidden.alone < 1
    assert 0.93 < hidden.agree < 1
    assert hidden.first is not None and hidden.first.node == "hidden1"
    assert out.v_error < 0.01
    assert hidden.counts["saturated"] == 0 and hidden.counts["loihi2_u_wraps"] == 0
    json.dumps([layer.as_dict() for layer in (hidden, out)])


def test_saturation_and_wraps_are_counted_where_they_happen():
    graph = conformance.example_graph(np.random.default_rng(5), layers=2, recurrent=False)
    graph.nodes["w1"].weight = np.ones((24, 20), np.float32)
    graph.nodes["hidden1"].tau_mem = np.full(24, 0.1, np.float32)
    graph = lowered(graph, Loihi2())
    scale = float(graph.nodes["w1"].metadata["nirbridge_q"]["scale"][0])
    graph.nodes["hidden1"].v_threshold = np.full(24, 131071 * scale, np.float32)
    data = conformance.example_data(np.random.default_rng(6), spikes_per_sample=900)
    first, second, _ = diagnose(graph, Loihi2(), data)
    assert first.rate > 0
    assert first.counts["saturated"] > 0
    assert second.counts["saturated"] == 0


def test_layers_come_in_execution_order_where_every_arc_costs_a_step():
    """By name layer10 would stand before layer2."""
    names = [f"layer{k}" for k in range(1, 12)]
    nodes = {"input": nir.Input(np.array([2])), "output": nir.Output(np.array([2]))}
    edges = [("input", "w1"), (names[-1], "output")]
    for k, name in enumerate(names, start=1):
        one = np.full(2, 1.0, np.float32)
        nodes[f"w{k}"] = nir.Linear(np.eye(2, dtype=np.float32) * 40)
        nodes[name] = nir.LIF(tau=one * 10e-3, r=one, v_leak=one * 0, v_threshold=one, v_reset=one * 0)
        edges += [(f"w{k}", name), *([] if k == 1 else [(names[k - 2], f"w{k}")])]
    graph = with_semantics(make(nodes, edges), Semantics(dt=1e-3, feedforward_delay=1))
    data = conformance.example_data(np.random.default_rng(6), samples=2)
    narrow = data.spikes.__class__.from_events(
        [1e-3], [0], [0], n_samples=2, n_units=2, duration=data.spikes.duration
    )
    found = diagnose(graph, Reference(), data.with_spikes(narrow))
    assert [layer.node for layer in found] == names
    assert all(layer.rate > 0 for layer in found)
