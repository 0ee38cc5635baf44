"""Delays per synapse: folded and lowered graphs are one network with one digest."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import digest, make, read_metadata, replace_nodes
from nirbridge.graph.delays import KEY, fold, is_folded, lower, steps_of
from nirbridge.graph.quantization import quantization_of
from nirbridge.io import read_graph, write_graph
from nirbridge.passes import FoldDelays, LowerDelays, Pipeline, QuantizeWeights, RescaleLif, RoundDelays
from nirbridge.validate import validate
from nirbridge_reference import Reference


def folded(seed=0, top=9, bias=False):
    """The example graph with a random delay of 0 … top steps on each synapse of w1 and r1."""
    rng = np.random.default_rng(seed)
    graph = conformance.example_graph(rng)
    changed = {}
    for name in ("w1", "r1"):
        weight = graph.nodes[name].weight
        weight[rng.random(weight.shape) < 0.1] = 0.0
        meta = {KEY: rng.integers(0, top + 1, weight.shape).astype(np.int32)}
        changed[name] = nir.Linear(weight, metadata=meta)
    if bias:
        weight = changed["w1"].weight
        changed["w1"] = nir.Affine(
            weight, rng.normal(0, 0.01, 24).astype(np.float32), metadata=changed["w1"].metadata
        )
    return replace_nodes(graph, changed)


def delays_of(graph, name):
    node = graph.nodes[name]
    return np.where(node.weight != 0, steps_of(node, name), -1)


@pytest.mark.parametrize("bias", [False, True])
def test_lowering_and_folding_are_inverse(bias):
    graph = folded(bias=bias)
    plain = LowerDelays()(graph)
    assert not is_folded(plain)
    assert "w1_d3" in plain.nodes and "w1_w0" in plain.nodes and "w1_d0" not in plain.nodes
    assert plain.nodes["w1_d3"].delay.tolist() == np.full(20, 0.003, np.float32).tolist()
    assert sum(isinstance(node, nir.Affine) for node in plain.nodes.values()) == bias
    assert [f for f in validate(plain) if f.level == "error"] == []
    again = FoldDelays()(plain)
    assert set(again.nodes) == set(graph.nodes)
    for name in ("w1", "r1"):
        np.testing.assert_array_equal(again.nodes[name].weight, graph.nodes[name].weight)
        np.testing.assert_array_equal(delays_of(again, name), delays_of(graph, name))
    assert digest(graph) == digest(plain) == digest(again)
    assert digest(lower(again)) == digest(plain)
    assert digest(fold(again)) == digest(again)


def test_spikes_are_the_same_folded_lowered_and_read_by_definition():
    graph, data = folded(), conformance.example_data(np.random.default_rng(1))
    runs = [
        Reference(arithmetic="float64").compile(g).run(data.spikes, record=["hidden1"])
        for g in (graph, lower(graph), fold(lower(graph)))
    ]
    first = runs[0].spikes["hidden1"]
    assert len(first.times) > 300
    for run in runs[1:]:
        assert run.spikes["hidden1"].units.tolist() == first.units.tolist()
        assert run.spikes["hidden1"].times.tolist() == first.times.tolist()
    without = replace_nodes(graph, {n: nir.Linear(graph.nodes[n].weight) for n in ("w1", "r1")})
    other = Reference().compile(without).run(data.spikes, record=["hidden1"]).spikes["hidden1"]
    assert other.times.tolist() != first.times.tolist()


def test_a_plain_statement_of_the_sum():
    """y_i[t] = Σ_j W_ij x_j[t − D_ij], integrated by I."""
    rng = np.random.default_rng(2)
    weight, delay = rng.normal(size=(4, 5)), rng.integers(0, 7, (4, 5)).astype(np.int32)
    nodes = {
        "input": nir.Input(np.array([5])),
        "w": nir.Linear(weight, metadata={KEY: delay}),
        "sum": nir.I(r=np.ones(4)),
        "output": nir.Output(np.array([4])),
    }
    edges = [("input", "w"), ("w", "sum"), ("sum", "output")]
    graph = conformance.example_graph(rng)
    graph = make(nodes, edges, graph.metadata)
    x = rng.integers(0, 2, (2, 30, 5))
    ours = Reference(arithmetic="float64").compile(graph).run_values(x.astype(float)).output
    y = np.zeros((2, 30, 4))
    for t in range(30):
        for i in range(4):
            for j in range(5):
                if t >= delay[i, j]:
                    y[:, t, i] += weight[i, j] * x[:, t - delay[i, j], j]
    np.testing.assert_allclose(ours, y.cumsum(axis=1), atol=1e-5)


def test_integers_are_kept_and_shared():
    graph = Pipeline((RescaleLif(), QuantizeWeights()))(folded())
    plain = lower(graph)
    assert quantization_of(plain.nodes["w1_w2"], "w1_w2") is not None
    again = fold(plain)
    for name in ("w1", "r1"):
        a, b = (quantization_of(g.nodes[name], name) for g in (graph, again))
        np.testing.assert_array_equal(a.q, b.q)
        assert a.scale.tobytes() == b.scale.tobytes()
    assert digest(Pipeline((RescaleLif(), QuantizeWeights()))(plain)) == digest(plain)


def test_one_delay_a_channel_and_chains_add_up():
    graph = conformance.example_graph(np.random.default_rng(0))
    nodes = {**graph.nodes, "late": nir.Delay(np.arange(20) * 1e-3), "later": nir.Delay(np.full(20, 0.002))}
    edges = [e for e in graph.edges if e != ("input", "w1")]
    edges += [("input", "late"), ("late", "later"), ("later", "w1")]
    chained = make(nodes, edges, graph.metadata)
    after = fold(chained)
    assert not any(isinstance(node, nir.Delay) for node in after.nodes.values())
    np.testing.assert_array_equal(steps_of(after.nodes["w1"], "w1"), np.tile(np.arange(20) + 2, (24, 1)))
    data = conformance.example_data(np.random.default_rng(1)).spikes
    a, b = (Reference(arithmetic="float64").compile(g).run(data).output for g in (chained, after))
    np.testing.assert_allclose(a, b, atol=1e-6)


def test_overlapping_branches_stay_apart_and_other_names_join_under_the_first():
    rng = np.random.default_rng(0)
    graph = conformance.example_graph(rng)
    full = graph.nodes["w1"].weight
    left = np.where(np.arange(20) < 10, full, 0)
    nodes = {
        **graph.nodes,
        "w1": nir.Linear(left),
        "late": nir.Delay(np.full(20, 0.004)),
        "again": nir.Linear(full),
        "right": nir.Linear(full - left),
    }
    edges = [*graph.edges, ("input", "late"), ("late", "again"), ("again", "hidden1"), ("late", "right"),
             ("right", "hidden1")]  # fmt: skip
    after = fold(make(nodes, edges, graph.metadata))
    assert set(after.nodes) == {*graph.nodes, "again", "right"} - {"w1"}
    np.testing.assert_array_equal(np.unique(delays_of(after, "again")), [4])
    np.testing.assert_array_equal(delays_of(after, "right")[0], [0] * 10 + [4] * 10)


def test_what_cannot_be_folded_stays():
    graph = conformance.example_graph(np.random.default_rng(0))
    nodes = {**graph.nodes, "late": nir.Delay(np.full(3, 0.004))}
    edges = [e for e in graph.edges if e != ("out", "output")] + [("out", "late"), ("late", "output")]
    kept = make(nodes, edges, graph.metadata)
    assert digest(fold(kept)) == digest(kept)


def test_rounding_changes_no_spike_and_nothing_twice():
    graph = lower(folded())
    rng = np.random.default_rng(3)
    moved = {
        name: nir.Delay((node.delay + rng.uniform(-0.4e-3, 0.4e-3)).astype(np.float32))
        for name, node in graph.nodes.items()
        if isinstance(node, nir.Delay)
    }
    off = replace_nodes(graph, moved)
    assert digest(off) != digest(graph)
    once = Pipeline((RoundDelays(),))(off)
    assert digest(once) == digest(graph) == digest(RoundDelays()(once))
    assert read_metadata(once).history[-1].pass_ == "round-delays"


def test_files_hold_the_lowered_form(tmp_path):
    graph = folded()
    write_graph(tmp_path / "d.nir", graph)
    read = read_graph(tmp_path / "d.nir")
    assert not is_folded(read)
    assert digest(read) == digest(graph)
    assert "w1_d3" in nir.read(tmp_path / "d.nir").nodes


def test_refusals():
    graph = folded()
    graph.nodes["w1"].metadata[KEY] = np.full((24, 20), -1)
    with pytest.raises(BadInput, match="expected integers from 0") as raised:
        lower(graph)
    assert raised.value.code == "NB401"
    bare = make(folded().nodes, folded().edges)
    with pytest.raises(BadInput, match="says no dt"):
        lower(bare)
    taken = folded()
    taken.nodes["w1_d3"] = taken.nodes.pop("r1")
    edges = [tuple("w1_d3" if end == "r1" else end for end in edge) for edge in taken.edges]
    taken = make(taken.nodes, edges, taken.metadata)
    with pytest.raises(Unsupported, match="name 'w1_d3' is taken"):
        lower(taken)
