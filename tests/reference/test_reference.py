"""The reference against plain NumPy statements of the step, and its refusals."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import make
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
