"""Sparse weights in memory, and the two ways a step is summed: by rows of what is given, or as a whole."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.graph import make
from nirbridge.network import SparseWeight, build, synapses
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_reference import Reference
from nirbridge_reference.lower import lower

INPUTS, HIDDEN, STEPS = 13, 37, 30


def sparse(rng, n_pre, n_post, each):
    start = np.arange(n_pre + 1) * each
    targets = rng.integers(0, n_post, n_pre * each).astype(np.int32)
    return SparseWeight(start, targets, rng.normal(0, 0.4, n_pre * each), n_post)


def graph(weight, recurrent, arithmetic="float64"):
    nodes = {
        "input": nir.Input(np.array([INPUTS])),
        "w": nir.Linear(weight),
        "h": nir.LIF(
            tau=np.full(HIDDEN, 0.01),
            r=np.full(HIDDEN, 4.0),
            v_leak=np.zeros(HIDDEN),
            v_threshold=np.full(HIDDEN, 0.5),
            v_reset=np.zeros(HIDDEN),
        ),
        "r": nir.Linear(recurrent),
        "output": nir.Output(np.array([HIDDEN])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "r"), ("r", "h"), ("h", "output")]
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, arithmetic=arithmetic))


@pytest.mark.parametrize("seed", range(3))
def test_a_sparse_weight_is_its_dense_matrix(seed):
    rng = np.random.default_rng(seed)
    weight, recurrent = sparse(rng, INPUTS, HIDDEN, 5), sparse(rng, HIDDEN, HIDDEN, 4)
    x = (rng.random((2, STEPS, INPUTS)) < 0.4) * rng.integers(1, 3, (2, STEPS, INPUTS))
    few = Reference(threads=1).compile(graph(weight, recurrent)).run_values(x, record=["h", "h:v"])
    full = Reference(threads=1).compile(graph(np.asarray(weight), np.asarray(recurrent)))
    expected = full.run_values(x, record=["h", "h:v"])
    assert expected.spikes["h"].times.size > 20
    np.testing.assert_array_equal(few.spikes["h"].units, expected.spikes["h"].units)
    np.testing.assert_array_equal(few.spikes["h"].times, expected.spikes["h"].times)
    np.testing.assert_allclose(few.traces["h:v"], expected.traces["h:v"], atol=1e-12)
    assert few.counts["h"]["synops"].sum() < expected.counts["h"]["synops"].sum()


@pytest.mark.parametrize("share", [0.0, 0.2, 0.5, 0.8, 1.0])
def test_dense_and_sparse_inputs_give_the_float32_sum_in_the_order_of_sources(share):
    rng = np.random.default_rng(7)
    weight = rng.normal(0, 0.4, (HIDDEN, INPUTS)).astype(np.float32)
    nodes = {
        "input": nir.Input(np.array([INPUTS])),
        "w": nir.Affine(weight, rng.normal(0, 0.1, HIDDEN).astype(np.float32)),
        "h": nir.I(np.ones(HIDDEN)),
        "output": nir.Output(np.array([HIDDEN])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "output")]
    x = (rng.random((1, STEPS, INPUTS)) < share) * rng.normal(0, 1, (1, STEPS, INPUTS))
    x = x.astype(np.float32)
    program = Reference(threads=1).compile(with_semantics(make(nodes, edges), Semantics(dt=1e-3)))
    recording = program.run_values(x, record=["h:x"])
    for t in range(STEPS):
        total = nodes["w"].bias.copy()
        for j in range(INPUTS):
            total = total + x[0, t, j] * weight[:, j]
        np.testing.assert_array_equal(recording.traces["h:x"][0, t], total, err_msg=f"step {t}")


def few(rng, n_post, n_pre, share):
    return rng.normal(0, 2, (n_post, n_pre)) * (rng.random((n_post, n_pre)) < share)


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
@pytest.mark.parametrize("seed", range(3))
def test_a_dense_matrix_of_few_weights_is_read_as_a_sparse_one_to_the_same_bits(
    seed, arithmetic, monkeypatch
):
    """Spikes, graded input, numbers from an LI, a bias, a loop; the counts are those of the dense matrix."""
    rng = np.random.default_rng(seed)
    loop = graph(few(rng, HIDDEN, INPUTS, 0.2), few(rng, HIDDEN, HIDDEN, 0.05), arithmetic)
    nodes = {
        **loop.nodes,
        "u": nir.Affine(few(rng, 11, HIDDEN, 0.3), rng.normal(0, 0.1, 11)),
        "li": nir.LI(np.full(11, 0.02), np.ones(11), np.full(11, 0.1)),
        "on": nir.Linear(few(rng, 3, 11, 0.5)),
        "sum": nir.I(np.ones(3)),
        "output": nir.Output(np.array([3])),
    }
    edges = [edge for edge in loop.edges if edge[1] != "output"]
    edges += [("h", "u"), ("u", "li"), ("li", "on"), ("on", "sum"), ("sum", "output")]
    net = make(nodes, edges, loop.metadata)
    x = (rng.random((2, STEPS, INPUTS)) < 0.5) * rng.choice([1, 1, 2], (2, STEPS, INPUTS))
    traces = ["h:v", "h:x", "li:v", "sum:x"]

    def run(rule):
        monkeypatch.setattr("nirbridge_reference.lower.FEW_FROM", rule)
        program = Reference(threads=1).compile(net)
        return np.unique(program.lowered.ops[:, 4]), program.run_values(x, record=["h", *traces])

    kinds, dense = run(((1 << 62, 0.0),))
    assert set(kinds) == {0, 1}
    kinds, sparse = run(((0, 0.6),))
    assert set(kinds) == {0, 4}
    assert dense.spikes["h"].times.size > 20
    for name in traces:
        np.testing.assert_array_equal(sparse.traces[name], dense.traces[name])
    np.testing.assert_array_equal(sparse.output, dense.output)
    for node, counts in dense.counts.items():
        for key, expected in counts.items():
            np.testing.assert_array_equal(sparse.counts[node][key], expected, err_msg=f"{node} {key}")


def test_only_large_matrices_of_few_weights_are_read_as_sparse_ones():
    rng = np.random.default_rng(0)
    n = 1024
    for size, share, kind in (
        (n, 0.04, 4),
        (n, 0.06, 1),
        (n // 2, 0.01, 1),
        (2 * n, 0.09, 4),
        (2 * n, 0.12, 1),
    ):
        nodes = {
            "input": nir.Input(np.array([size])),
            "w": nir.Linear((rng.random((size, size)) < share).astype(np.float32)),
            "h": nir.I(np.ones(size)),
            "output": nir.Output(np.array([size])),
        }
        edges = [("input", "w"), ("w", "h"), ("h", "output")]
        low = lower(build(make(nodes, edges), Semantics(dt=1e-3)))
        assert (low.ops[:, 4] == kind).any(), (size, share)
        assert (low.ops[:, 4] == 4).any() == (len(low.weights) < size * size)


def test_a_sparse_weight_that_does_not_fit_together_is_refused():
    with pytest.raises(BadInput, match="do not fit together"):
        SparseWeight(np.array([0, 2]), np.array([0, 5], np.int32), np.ones(2), 5)
    with pytest.raises(BadInput, match="do not fit together"):
        SparseWeight(np.array([0, 3]), np.array([0, 1], np.int32), np.ones(2), 5)


def test_a_matrix_too_large_for_an_array_is_refused():
    weight = SparseWeight(np.zeros(30_001, np.int64), np.zeros(0, np.int32), np.zeros(0, np.float32), 30_000)
    with pytest.raises(BadInput, match="GiB"):
        np.asarray(weight)


def through(node, n_in, n_out):
    """Input → node → IF, and what it counts with one spike of every input."""
    nodes = {
        "input": nir.Input(np.array(n_in)),
        "w": node,
        "h": nir.IF(r=np.ones(n_out), v_threshold=np.full(n_out, 1e6)),
        "output": nir.Output(np.array(n_out)),
    }
    graph = with_semantics(make(nodes, [("input", "w"), ("w", "h"), ("h", "output")]), Semantics(dt=1e-3))
    x = np.ones((1, 1, int(np.prod(n_in))))
    return Reference(threads=1).compile(graph).run_values(x, record=["h:v"])


def test_a_scale_is_one_synapse_a_unit():
    scale = np.array([2.0, 3.0, -1.0, 0.5, 7.0])
    recording = through(nir.Scale(scale), (5,), (5,))
    np.testing.assert_array_equal(recording.traces["h:v"][0, 0], scale)
    assert recording.counts["h"]["synops"].tolist() == [5]


@pytest.mark.parametrize("axes", [1, 2])
def test_blocks_of_weights_reach_their_own_outputs_alone(axes):
    rng = np.random.default_rng(5)
    lead = (2, 3)[:axes]
    weight = rng.normal(0, 1, (*lead, 4, 5)).astype(np.float32)
    bias = rng.normal(0, 1, (*lead, 4)).astype(np.float32)
    recording = through(nir.Affine(weight, bias), (*lead, 5), (*lead, 4))
    expected = (weight.sum(axis=-1) + bias).reshape(-1)
    np.testing.assert_allclose(recording.traces["h:v"][0, 0], expected, rtol=1e-5)
    assert recording.counts["h"]["synops"].tolist() == [weight.size]


def test_a_scale_that_is_too_large_as_a_matrix_is_refused_by_node():
    n = 12_000
    nodes = {
        "input": nir.Input(np.array([n])),
        "w": nir.Scale(np.ones(n)),
        "h": nir.IF(r=np.ones(n), v_threshold=np.ones(n)),
        "output": nir.Output(np.array([n])),
    }
    network = build(make(nodes, [("input", "w"), ("w", "h"), ("h", "output")]), Semantics(dt=1e-3))
    found = (
        r"node 'w' \(Scale\): a matrix of shape \(12000, 12000\) takes 1.1 GiB as a dense array of float64"
    )
    with pytest.raises(BadInput, match=found) as caught:
        synapses(network, network.index("h"))
    assert caught.value.code == "NB128"
