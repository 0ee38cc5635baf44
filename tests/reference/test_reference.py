"""The reference against plain NumPy statements of the step, and its refusals."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, Unsupported, UsageError
from nirbridge.graph import make
from nirbridge.network import SparseWeight
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

STEPS, INPUTS, HIDDEN = 50, 6, 8


def network(rng, semantics):
    """Input → Affine → CubaLIF ⇄ Linear, → Linear → LI, with heterogeneous parameters."""

    def between(low, high):
        return rng.uniform(low, high, HIDDEN)

    nodes = {
        "input": nir.Input(np.array([INPUTS])),
        "w": nir.Affine(rng.normal(0.5, 1, (HIDDEN, INPUTS)), rng.normal(0, 0.05, HIDDEN)),
        "h": nir.CubaLIF(
            tau_syn=between(0.003, 0.01),
            tau_mem=between(0.01, 0.03),
            r=between(2, 6),
            v_leak=between(-0.1, 0.1),
            v_threshold=between(0.5, 1),
            v_reset=between(-0.3, 0),
            w_in=between(1, 3),
        ),
        "r": nir.Linear(rng.normal(0, 0.5, (HIDDEN, HIDDEN))),
        "u": nir.Linear(rng.normal(0, 1, (2, HIDDEN))),
        "out": nir.LI(tau=np.full(2, 0.02), r=np.ones(2), v_leak=np.zeros(2)),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "r"), ("r", "h"), ("h", "u"), ("u", "out"), ("out", "output")]
    return with_semantics(make(nodes, edges), semantics)


def statement(graph, semantics, x):
    """SEMANTICS.md §3, line by line."""
    h, out = graph.nodes["h"], graph.nodes["out"]
    dt = semantics.dt

    def factor(tau):
        return 1 - dt / tau if semantics.decay == "euler" else np.exp(-dt / tau)

    a_m, a_s, a_o = factor(h.tau_mem), factor(h.tau_syn), factor(out.tau)
    v, i, z, vo = np.zeros(HIDDEN), np.zeros(HIDDEN), np.zeros(HIDDEN), np.zeros(2)
    spikes, trace = [], []
    for row in x:
        drive = graph.nodes["w"].weight @ row + graph.nodes["w"].bias + graph.nodes["r"].weight @ z
        old = i
        i = a_s * i + (1 - a_s) * h.w_in * drive
        used = old if semantics.order == "voltage-first" else i
        v = a_m * v + (1 - a_m) * h.v_leak + (1 - a_m) * h.r * used
        z = (v >= h.v_threshold if semantics.compare == ">=" else v > h.v_threshold).astype(float)
        v = np.where(z > 0, h.v_reset, v) if semantics.reset == "value" else v - z * h.v_threshold
        vo = a_o * vo + (1 - a_o) * (graph.nodes["u"].weight @ z)
        spikes.append(z)
        trace.append(vo)
    return np.array(spikes), np.array(trace)


@pytest.mark.parametrize("seed", range(4))
@pytest.mark.parametrize("order", ["current-first", "voltage-first"])
@pytest.mark.parametrize("reset", ["value", "subtract"])
@pytest.mark.parametrize("decay", ["euler", "exact"])
def test_equals_a_plain_statement(seed, decay, reset, order):
    semantics = Semantics(dt=1e-3, decay=decay, reset=reset, order=order, arithmetic="float64")
    rng = np.random.default_rng(seed)
    graph = network(rng, semantics)
    x = (rng.random((STEPS, INPUTS)) < 0.3).astype(float) * rng.integers(1, 3, (STEPS, INPUTS))
    expected, trace = statement(graph, semantics, x)
    recording = Reference().compile(graph).run(Spikes.from_dense(x[None], 1e-3), record=["h", "h:v"])
    assert expected.sum() > 20
    assert np.array_equal(recording.spikes["h"].to_dense(1e-3)[0], expected)
    np.testing.assert_allclose(recording.output[0], trace, atol=1e-6)


def test_numbers_and_spike_counts_are_the_same_input():
    semantics = Semantics(dt=1e-3, arithmetic="float64")
    rng = np.random.default_rng(3)
    program = Reference().compile(network(rng, semantics))
    x = rng.integers(0, 3, (2, STEPS, INPUTS))
    a = program.run(Spikes.from_dense(x, 1e-3))
    b = program.run_values(x.astype(float))
    assert np.array_equal(a.output, b.output)


def test_graded_spikes_count_their_value():
    semantics = Semantics(dt=1e-3)
    program = Reference().compile(network(np.random.default_rng(3), semantics))
    graded = Spikes(np.array([0.002]), np.array([1]), np.array([0, 1]), INPUTS, 0.05, np.array([3]))
    plain = Spikes(np.array([0.002] * 3), np.array([1] * 3), np.array([0, 3]), INPUTS, 0.05)
    np.testing.assert_allclose(program.run(graded).output, program.run(plain).output, rtol=1e-6)


def test_the_tape_grows_with_the_spikes():
    semantics = Semantics(dt=1e-3)
    nodes = {
        "input": nir.Input(np.array([64])),
        "w": nir.Linear(np.eye(64) * 10),
        "h": nir.IF(r=np.ones(64), v_threshold=np.ones(64)),
        "output": nir.Output(np.array([64])),
    }
    graph = with_semantics(make(nodes, [("input", "w"), ("w", "h"), ("h", "output")]), semantics)
    x = np.ones((1, 200, 64), dtype=int)
    recording = Reference().compile(graph).run(Spikes.from_dense(x, 1e-3), record=["h"])
    assert len(recording.spikes["h"].times) == 64 * 200 > 4096
    assert isinstance(recording.output, Spikes)
    assert recording.counts["h"]["spikes"][0] == 64 * 200
    assert recording.counts["h"]["synops"][0] == 64 * 200 * 64


def test_refusals():
    semantics = Semantics(dt=1e-3)
    graph = network(np.random.default_rng(0), semantics)
    program = Reference().compile(graph)
    spikes = Spikes.from_dense(np.zeros((1, 5, INPUTS), int), 1e-3)
    for record, words in (
        (["nobody"], "no node"),
        (["out"], "does not spike"),
        (["h:q"], "names no quantity"),
    ):
        with pytest.raises(BadInput, match=words) as caught:
            program.run(spikes, record=record)
        assert caught.value.code == "NB504"
    with pytest.raises(BadInput) as caught:
        program.run_values(np.zeros((1, 5, INPUTS + 1)))
    assert caught.value.code == "NB501"
    nodes = {**graph.nodes, "w": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))}
    pooled = make({**nodes, "input": nir.Input(np.array([1, 4, 4]))}, graph.edges, graph.metadata)
    assert Reference().check(pooled)[0].level == "error"


def test_parameters_without_a_shape_behind_several_values_are_refused():
    """Some exporters write a layer's parameters as plain numbers: no neuron is known then."""
    numbers = {name: np.array(1.0) for name in ("tau", "r", "v_leak", "v_threshold", "v_reset")}
    nodes = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(np.ones((2, 3))),
        "h": nir.LIF(**numbers),
        "output": nir.Output(np.array([2])),
    }
    graph = make(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    with pytest.raises(Unsupported, match=r"'h' has shape \(\), its input has shape \(2,\)") as caught:
        Reference().compile(with_semantics(graph, Semantics(dt=1e-3)))
    assert caught.value.code == "NB109"
    del nodes["w"]
    nodes |= {"input": nir.Input(np.array([])), "output": nir.Output(np.array([]))}
    nodes["h"].v_threshold, nodes["h"].tau = np.array(0.5), np.array(2e-3)
    alone = make(nodes, [("input", "h"), ("h", "output")])
    program = Reference().compile(with_semantics(alone, Semantics(dt=1e-3)))
    assert program.run_values(np.full((1, 4, 1), 2.0)).output.to_dense(1e-3).sum() > 0


@pytest.mark.parametrize(
    ("option", "words"),
    [
        ({"threads": -1}, "option threads is -1, expected at least 0"),
        ({"device": "jetson-orin-nano", "batch": 0}, "option batch is 0, expected at least 1"),
        ({"batch": -5}, "option batch is -5, expected at least 1"),
        ({"device": "gpu"}, "option device is 'gpu', expected one of host, jetson-orin-nano"),
        ({"arithmetic": "int8"}, "option arithmetic is 'int8', expected one of float32"),
    ],
)
def test_options_out_of_range_are_refused(option, words):
    with pytest.raises(UsageError, match=words) as caught:
        Reference(**option)
    assert caught.value.code == "NB701"


def test_a_sample_goes_on_where_its_tape_ended(monkeypatch):
    rng = np.random.default_rng(3)
    graph = network(rng, Semantics(dt=1e-3))
    x = (rng.random((2, STEPS, INPUTS)) < 0.5) * 1.0
    names = ["input", "h", "h:v", "out:v"]
    whole = Reference(threads=1).compile(graph).run_values(x, record=names)
    monkeypatch.setattr("nirbridge_reference.loop.TAPE", 1)
    parts = Reference(threads=1).compile(graph).run_values(x, record=names)
    assert whole.counts["h"]["spikes"].sum() > 10 * 2 * HIDDEN  # many more rows than the first tape has
    for node in ("input", "h"):
        np.testing.assert_array_equal(parts.spikes[node].times, whole.spikes[node].times)
        np.testing.assert_array_equal(parts.spikes[node].units, whole.spikes[node].units)
    for name in ("h:v", "out:v"):
        np.testing.assert_array_equal(parts.traces[name], whole.traces[name])
    np.testing.assert_array_equal(parts.output, whole.output)
    for count in ("spikes", "synops", "updates"):
        np.testing.assert_array_equal(parts.counts["h"][count], whole.counts["h"][count])


@pytest.mark.parametrize("size", [1, 63, 64, 65, 127, 128, 200])
@pytest.mark.parametrize("compare", [">", ">="])
def test_spikes_are_found_in_populations_of_every_size(size, compare):
    rng = np.random.default_rng(size)
    theta = rng.integers(1, 3, size).astype(float)
    nodes = {
        "input": nir.Input(np.array([size])),
        "h": nir.IF(np.ones(size), v_threshold=theta, v_reset=np.zeros(size)),
        "output": nir.Output(np.array([size])),
    }
    semantics = Semantics(dt=1e-3, compare=compare)
    graph = with_semantics(make(nodes, [("input", "h"), ("h", "output")]), semantics)
    x = rng.integers(-1, 3, (1, STEPS, size)).astype(float)  # sums often meet the threshold exactly
    v, expected = np.zeros(size), []
    for t in range(STEPS):
        v = v + x[0, t]
        z = v >= theta if compare == ">=" else v > theta
        v[z] = 0
        expected += [(t, i) for i in np.flatnonzero(z)]
    spikes = Reference(threads=1).compile(graph).run_values(x, record=["h"]).spikes["h"]
    found = [(round(t / 1e-3), i) for t, i in zip(spikes.times, spikes.units, strict=True)]
    assert found == expected and len(expected) > 3 * size


def test_targets_beyond_sixteen_bits():
    size = 2**16 + 3
    wide = SparseWeight(np.arange(3), np.array([size - 1, 1], np.int32), np.array([3.0, 5.0]), size)
    nodes = {
        "input": nir.Input(np.array([2])),
        "w": nir.Linear(wide),
        "h": nir.I(np.ones(size)),
        "output": nir.Output(np.array([size])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "output")]
    program = Reference(threads=1).compile(with_semantics(make(nodes, edges), Semantics(dt=1.0)))
    output = program.run_values(np.ones((1, 1, 2))).output[0, 0]
    assert np.flatnonzero(output).tolist() == [1, size - 1]
    assert output[[1, size - 1]].tolist() == [5.0, 3.0]


@pytest.mark.parametrize("quantity", ["v", "i"])
def test_numbers_that_stop_being_finite_are_refused_by_node(quantity):
    """Of a neuron that spikes in each step: V is reset, I stays."""
    n, huge = 2, np.array([1.0, 3e38])
    nodes = {
        "input": nir.Input(np.array([n])),
        "w": nir.Scale(huge),
        "h": nir.CubaLIF(
            tau_syn=np.full(n, 0.5), tau_mem=np.full(n, 0.01), r=np.ones(n), v_leak=np.zeros(n),
            v_threshold=np.full(n, 1e3 if quantity == "i" else np.inf),
        ),
        "output": nir.Output(np.array([n])),
    }  # fmt: skip
    graph = make(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    program = Reference(threads=1).compile(with_semantics(graph, Semantics(dt=1e-3, gain="dirac")))
    with pytest.raises(
        BadInput, match="sample 0: V or I of 1 of 2 neurons of node 'h' is not finite"
    ) as caught:
        program.run_values(np.full((1, 20, n), 10.0))
    assert caught.value.code == "NB510"
