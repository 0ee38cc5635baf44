"""Delay lines behind the Input: the reference's network, the exact gradient, the same file afterwards."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import Unsupported
from nirbridge.graph import GraphMetadata, make, read_metadata, write_metadata
from nirbridge.graph.stack import layered
from nirbridge.network import build
from nirbridge.plugins import load
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.arrivals import add_line
from nirbridge_eventprop.stack import stack_of

DT = 1e-3


def line_graph(seed: int = 5, *, recurrent: bool = True, copies: int = 5, inputs: int = 20) -> nir.NIRGraph:
    graph = layered(
        inputs=inputs,
        hidden=[24],
        outputs=3,
        dt=DT,
        rng=np.random.default_rng(seed),
        recurrent=recurrent,
        input_mean=1.2,
        input_sd=1.5,
        recurrent_sd=0.2,
        output_sd=0.3,
        delay_line=(copies, 3e-3),
    )
    return write_metadata(graph, GraphMetadata(dt=DT, semantics={"decay": "exact"}, readout="mean"))


def renamed(graph: nir.NIRGraph, old: str, new: str) -> nir.NIRGraph:
    nodes = {new if name == old else name: node for name, node in graph.nodes.items()}
    edges = [tuple(new if end == old else end for end in edge) for edge in graph.edges]
    return make(nodes, edges, graph.metadata)


@pytest.mark.parametrize("mode", ["step", "substep"])
@pytest.mark.parametrize("recurrent", [True, False])
@pytest.mark.parametrize("loop", ["r1", "w1_w10", "z"])
def test_before_and_after_training_the_reference_sends_the_same_spikes(mode, recurrent, loop):
    """In float32, where the order of the sums shows: branches by name, the recurrent node among them."""
    graph = line_graph(recurrent=recurrent)
    graph = renamed(graph, "r1", loop) if recurrent else graph
    data = conformance.example_data(np.random.default_rng(6), samples=23)
    reference = load("targets", "reference")()
    trainer = EventProp(mode=mode, epochs=2, batch=5, lr=1e-2, ease_in=1.0)
    conformance.check_forward_equals_reference(trainer, reference, graph, data)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0))
    conformance.check_forward_equals_reference(trainer, reference, trained, data)
    conformance.check_keeps_structure(trainer, graph, data)
    for name in ("w1_w0", "w1_w3", "w1_w12", "w_out"):
        assert not np.array_equal(trained.nodes[name].weight, graph.nodes[name].weight), name


def test_the_stack_of_a_line(make_spikes):
    stack = stack_of(build(line_graph(copies=4)))
    assert stack.n_inputs == 20
    assert sorted(stack.line.tolist()) == [0, 3, 6, 9]
    assert [node.name for node in stack.nodes[:4]] == ["w1_w0", "w1_w3", "w1_w6", "w1_w9"]


def line_stack(rng, recurrent=True):
    graph = layered(
        inputs=8,
        hidden=[10],
        outputs=3,
        dt=DT,
        rng=rng,
        recurrent=recurrent,
        input_mean=2.5,
        input_sd=1.8,
        recurrent_sd=0.3,
        output_sd=0.6,
        delay_line=(3, 2e-3),
    )
    return stack_of(build(with_semantics(graph, Semantics(dt=DT, decay="exact", arithmetic="float64"))))


@pytest.mark.parametrize("seed", range(3))
def test_gradient_against_finite_differences(run_batch, make_spikes, seed):
    """Mode substep is exact for its own forward pass wherever the spikes stay the same."""
    rng = np.random.default_rng(seed)
    stack, spikes = line_stack(rng), make_spikes(rng)
    labels = [0, 1, 2]
    result, gradient = run_batch(stack, spikes, labels, slope="substep")
    assert result.counts[:, : int(stack.sizes[0, 2])].sum() > 30
    checked = 0
    for place in stack.nodes[:3]:
        rows = rng.integers(0, place.rows, 12)
        for row, column in zip(rows, rng.integers(0, place.columns, 12), strict=True):
            at = place.offset + row * place.width + column
            step, found = 1e-6, []
            for sign in (1, -1):
                moved = stack.weights.copy()
                moved[at] += sign * step
                found.append(run_batch(stack, spikes, labels, weights=moved, slope="substep", learn=False)[0])
            if not all(np.array_equal(r.counts, result.counts) for r in found):
                continue
            expected = (found[0].loss.mean() - found[1].loss.mean()) / (2 * step)
            assert gradient[at] == pytest.approx(expected, rel=1e-4, abs=1e-8)
            checked += abs(expected) > 1e-8
    assert checked > 10


@pytest.mark.parametrize("slope", ["start", "crossing", "substep"])
def test_a_line_is_its_branches_as_units_of_a_longer_input(run_batch, make_spikes, slope):
    """The network with (copies·inputs) units, fed with moved copies of the events, has the same gradient."""
    rng = np.random.default_rng(4)
    stack, spikes = line_stack(rng), make_spikes(rng)
    result, gradient = run_batch(stack, spikes, [0, 1, 2], slope=slope)
    wide, events = widened(stack, spikes)
    other, expected = run_batch(wide, events, [0, 1, 2], slope=slope)
    np.testing.assert_array_equal(result.counts, other.counts)
    np.testing.assert_allclose(gradient, expected, rtol=1e-9, atol=1e-12)


def widened(stack, spikes):
    from dataclasses import replace

    from nirbridge.spikes import Spikes

    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    steps, parts = spikes.steps(DT), []
    n_steps = spikes.n_steps(DT)
    for c, late in enumerate(stack.line):
        keep = steps + late < n_steps
        parts.append(((steps + late)[keep], (spikes.units + 8 * c)[keep], sample[keep]))
    step, unit, of = (np.concatenate(column) for column in zip(*parts, strict=True))
    moved = Spikes.from_events(
        step * DT, unit, of, n_samples=spikes.n_samples, n_units=8 * len(stack.line), duration=spikes.duration
    )
    return replace(stack, line=np.zeros(1, np.int64)), moved


def test_silent_neurons_are_lifted_by_a_share_for_each_copy():
    """A neuron that no input reaches gets lift/copies on every branch."""
    graph = line_graph(copies=4)
    for name in ("w1_w0", "w1_w3", "w1_w6", "w1_w9"):
        graph.nodes[name].weight[0] = 0.0
    graph.nodes["r1"].weight[0] = 0.0
    data = conformance.example_data(np.random.default_rng(6))
    trainer = EventProp(epochs=1, batch=12, lr=1e-12, ease_in=1.0, lift=0.4)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0))
    for name in ("w1_w0", "w1_w9"):
        np.testing.assert_allclose(trained.nodes[name].weight[0], 0.1, rtol=1e-3)
    assert read_metadata(trained).training["silent"] > 0


def test_late_injection_on_loihi2_and_a_refusal_by_spinnaker2():
    from nirbridge.evaluate import compare
    from nirbridge.passes import Pipeline
    from nirbridge.plugins import parse

    graph = line_graph(copies=4)
    data = conformance.example_data(np.random.default_rng(6))
    report = compare(graph, [(name, parse("targets", name)) for name in ("reference", "loihi2")], data)
    assert report.results[1].accuracy is not None
    chip = load("targets", "spinnaker2")()
    with pytest.raises(Unsupported, match="Delay"):
        chip.compile(Pipeline(tuple(chip.passes(graph)))(graph))


@pytest.mark.parametrize(("loop", "before"), [("r1", 0), ("w1_w10", 1), ("z", 5)])
def test_branches_and_recurrence_are_ranked_by_name(loop, before):
    assert stack_of(build(renamed(line_graph(), "r1", loop))).loop_at == before


@pytest.mark.parametrize("loop_at", [-1, 0, 1, 3])
def test_sums_are_added_branch_after_branch(loop_at):
    """Bit for bit in float32: each branch by itself, what recurs at its rank."""
    rng = np.random.default_rng(0)
    line, n, width = np.array([0, 2, 1]), 6, 16
    weights = rng.normal(size=(3, n, width)).astype(np.float32)
    loop = rng.normal(size=width).astype(np.float32)
    start, units = np.array([0, 2, 5, 6]), np.array([1, 4, 0, 2, 5, 3])
    expected = np.zeros(width, np.float32)
    for c, late in enumerate(line):
        if c == loop_at:
            expected += loop
        part = np.zeros(width, np.float32)
        for unit in units[start[2 - late] : start[3 - late]]:
            part += weights[c, unit]
        expected += part
    if loop_at == 3:
        expected += loop
    x = np.zeros(width, np.float32)
    add_line(x, weights.reshape(-1), 0, width, n, line, 2, start, units, loop, loop_at)
    assert x.tobytes() == expected.tobytes()
