"""Graphs beyond a stack are trained by the general engine; on a plain stack both engines agree."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph import make, read_metadata, replace_nodes
from nirbridge.graph.delays import KEY, fold, lower
from nirbridge.graph.stack import layered
from nirbridge.io.yin_yang import yin_yang
from nirbridge.network import build
from nirbridge.plugins import parse
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.adam import total_gradient
from nirbridge_eventprop.dispatch import StackExecutor, plan_or_stack
from nirbridge_eventprop.grid.executor import GridExecutor
from nirbridge_eventprop.grid.parts import Rates
from nirbridge_eventprop.grid.plan import Plan, plan_of
from nirbridge_eventprop.stack import Stack, stack_of

DERIVED = {"input_type", "output_type", "metadata"}
EXACT = Semantics(dt=conformance.example.DT, decay="exact", arithmetic="float64")


def stacked(seed=11, layers=1):
    return with_semantics(conformance.example_graph(np.random.default_rng(seed), layers=layers), EXACT)


def wired(graph, nodes, add=(), drop=()):
    edges = [edge for edge in map(tuple, graph.edges) if edge not in drop]
    return make({**graph.nodes, **nodes}, [*edges, *add], graph.metadata)


def delayed(graph, rng, most=9, name="w1"):
    """The graph with a delay on every synapse of a weight node, folded."""
    weight = np.asarray(graph.nodes[name].weight)
    steps = rng.integers(0, most, weight.shape).astype(np.int32)
    return replace_nodes(graph, {name: nir.Linear(weight=weight.copy(), metadata={KEY: steps})})


def with_delay_nodes(graph, rng):
    """Delay nodes in the loop of the hidden layer."""
    return lower(delayed(graph, rng, most=4, name="r1"))


def with_feedback(graph, rng):
    """A second layer that feeds back to the first, next to the recurrence inside each."""
    back = nir.Linear(weight=rng.normal(0, 0.2, (24, 24)).astype(np.float32))
    return wired(graph, {"back": back}, add=[("hidden2", "back"), ("back", "hidden1")])


def with_skip(graph, rng):
    skip = nir.Linear(weight=rng.normal(0, 0.3, (3, 24)).astype(np.float32))
    return wired(graph, {"skip": skip}, add=[("hidden1", "skip"), ("skip", "out")])


def with_bias(graph, rng):
    weight = graph.nodes["w1"].weight
    return replace_nodes(graph, {"w1": nir.Affine(weight=weight, bias=rng.normal(0.02, 0.01, 24))})


def spiking(graph, rng):
    out = graph.nodes["out"]
    shared = {k: np.asarray(v) for k, v in vars(out).items() if k not in DERIVED}
    node = nir.CubaLIF(**shared, v_threshold=np.full(3, 0.3), v_reset=np.zeros(3))
    louder = nir.Linear(weight=np.abs(graph.nodes["w_out"].weight))
    return replace_nodes(graph, {"out": node, "w_out": louder})


GENERAL = {
    "folded": (lambda rng: delayed(stacked(), rng), {}),
    "delay-nodes": (lambda rng: with_delay_nodes(stacked(), rng), {}),
    "feedback": (lambda rng: with_feedback(stacked(layers=2), rng), {}),
    "skip": (lambda rng: with_skip(stacked(layers=2), rng), {}),
    "bias": (lambda rng: with_bias(stacked(), rng), {}),
    "spiking": (lambda rng: spiking(stacked(), rng), {"loss": "ttfs-xent", "ttfs_tau0": 5e-3}),
}


@pytest.mark.parametrize("mode", ["step", "substep"])
@pytest.mark.parametrize("slope", ["start", "crossing"])
@pytest.mark.parametrize("loss", ["xent-exp", "xent-sigmoid"])
def test_both_engines_agree_on_a_stack(mode, slope, loss):
    graph = stacked(layers=2)
    data = conformance.example_data(np.random.default_rng(12), samples=5)
    trainer = EventProp(mode=mode, slope=slope, loss=loss, logit_scale=2.0, slope_floor=1e-9)
    stack = stack_of(build(graph))
    plan = plan_of(build(graph, keep_delays=True), Rates())
    fast, general = StackExecutor(stack, trainer), GridExecutor(plan, trainer)
    rate = np.linspace(0, 1e-3, stack.par.shape[1])
    rows = [slice(int(row[0]), int(row[0] + row[2])) for row in stack.sizes]
    regular = np.concatenate([rate[row] for row in rows])
    regular[plan.hidden_neurons :] = 0
    rate[rows[-1]] = 0
    one = fast.score(data.spikes, data.labels, stack.weights, regular=rate, learn=True)
    two = general.score(data.spikes, data.labels, plan.weights, regular=regular, learn=True)
    np.testing.assert_allclose(two.loss, one.loss, rtol=1e-9)
    np.testing.assert_allclose(two.logits, one.logits, rtol=1e-9, atol=1e-12)
    np.testing.assert_allclose(two.scores, one.scores, rtol=1e-9, atol=1e-12)
    np.testing.assert_array_equal(two.counts, np.concatenate([one.counts[:, row] for row in rows], axis=1))
    assert one.counts.sum() > 100
    found, expected = np.zeros_like(plan.weights), np.zeros_like(stack.weights)
    total_gradient(general.gradients, plan.gradient_factor, found)
    total_gradient(fast.gradients, stack.gradient_factor, expected)
    places = {place.name: place for place in stack.nodes}
    for place in plan.nodes:
        other = places[place.name]
        wanted = expected[other.offset : other.offset + other.rows * other.width]
        wanted = wanted.reshape(other.rows, other.width)[:, : other.columns]
        block = found[place.offset : place.offset + place.rows * place.width].reshape(wanted.shape)
        assert np.linalg.norm(block - wanted) <= 1e-9 * np.linalg.norm(wanted)
    for executor in (fast, general):
        executor.close()


@pytest.mark.parametrize("name", GENERAL)
def test_the_forward_pass_is_that_of_the_reference(name):
    build_graph, options = GENERAL[name]
    graph = build_graph(np.random.default_rng(1))
    assert isinstance(plan_or_stack(EventProp(**options), graph), Plan)
    reference = parse("targets", "reference")
    data = conformance.example_data(np.random.default_rng(6))
    conformance.check_forward_equals_reference(EventProp(**options), reference, graph, data)


@pytest.mark.parametrize("name", GENERAL)
def test_training_lowers_the_loss_and_keeps_the_graph(name):
    build_graph, options = GENERAL[name]
    graph = build_graph(np.random.default_rng(1))
    data = conformance.example_data(np.random.default_rng(6), samples=24)
    trainer = EventProp(mode="substep", epochs=6, batch=8, lr=5e-3, ease_in=1.0, **options)
    conformance.check_keeps_structure(trainer, graph, data)
    trained = trainer.fit(graph, data, validation=data, rng=np.random.default_rng(1))
    curve = read_metadata(trained).training["curve"]
    assert curve[-1]["loss"] < 0.9 * curve[0]["loss"]
    from nirbridge.evaluate import run

    result = run(trained, parse("targets", "reference"), data)
    assert read_metadata(trained).training["valid_accuracy"] == pytest.approx(result.accuracy)


@pytest.mark.parametrize("mode", ["step", "substep"])
def test_a_first_spike_training_wakes_silent_outputs(mode):
    """From a start in which no output ever fires; without ``wake`` there is no gradient at all."""
    data = yin_yang("train", 200, duration_s=0.06)
    graph = layered(
        inputs=5, hidden=[40], outputs=3, dt=1e-3, rng=np.random.default_rng(0), input_mean=1.5,
        input_sd=0.78, output_mean=0.1, output_sd=0.05, spiking=True,
    )  # fmt: skip
    graph = with_semantics(graph, Semantics(dt=1e-3, decay="exact"))
    options = {"slope": "crossing", "loss": "ttfs-xent", "epochs": 8, "lr": 2e-2, "ease_in": 1.0, "lift": 0.0}
    woken, left = (
        EventProp(mode=mode, wake=wake, **options).fit(graph, data, rng=np.random.default_rng(0))
        for wake in (20.0, 0.0)
    )
    first, last = (read_metadata(woken).training["curve"][at] for at in (0, -1))
    assert last["loss"] < 0.2 * first["loss"] and last["accuracy"] > 0.4
    np.testing.assert_array_equal(left.nodes["w1"].weight, graph.nodes["w1"].weight)
    np.testing.assert_array_equal(left.nodes["w_out"].weight, graph.nodes["w_out"].weight)


def test_a_killed_training_goes_on_with_the_same_bits(tmp_path):
    graph = delayed(stacked(), np.random.default_rng(1))
    data = conformance.example_data(np.random.default_rng(6))
    conformance.check_resume(
        lambda epochs: EventProp(epochs=epochs, batch=6, train_delay=0.5, train_tau=0.01),
        graph,
        data,
        tmp_path,
    )


def test_everything_else_is_trained_at_its_own_rate():
    graph = with_bias(delayed(stacked(), np.random.default_rng(1)), np.random.default_rng(2))
    node = graph.nodes["w1"]
    node.metadata[KEY] = np.random.default_rng(3).integers(0, 30, node.weight.shape).astype(np.int32)
    data = conformance.example_data(np.random.default_rng(6), samples=24)
    options = {"train_tau": 0.02, "train_threshold": 0.01, "train_bias": 1e-3, "train_delay": 1.0}
    trainer = EventProp(mode="substep", epochs=4, batch=8, ease_in=1.0, max_delay=0.02, **options)
    trained = trainer.fit(graph, data, validation=data, rng=np.random.default_rng(1))
    before, after = graph.nodes["hidden1"], trained.nodes["hidden1"]
    assert not np.allclose(before.tau_mem, after.tau_mem) and not np.allclose(before.tau_syn, after.tau_syn)
    assert not np.allclose(before.v_threshold, after.v_threshold)
    assert not np.allclose(node.bias, trained.nodes["w1"].bias)
    steps = trained.nodes["w1"].metadata[KEY]
    assert steps.dtype == np.int32 and steps.min() >= 0 and steps.max() <= 20
    assert (steps != np.minimum(node.metadata[KEY], 20)).any()
    curve = read_metadata(trained).training["curve"]
    assert curve[-1]["loss"] < curve[0]["loss"]
    # the graph that comes back is the network that was trained: rescaled weights, rounded delays
    from nirbridge.evaluate import run

    result = run(trained, parse("targets", "reference"), data)
    assert read_metadata(trained).training["valid_accuracy"] == pytest.approx(result.accuracy)
    scores, _ = trainer.forward(trained, data.spikes)
    assert np.array_equal(scores.argmax(axis=1), result.predictions)


def test_delay_nodes_are_folded_where_delays_are_trained():
    graph = with_delay_nodes(stacked(), np.random.default_rng(1))
    data = conformance.example_data(np.random.default_rng(6))
    trainer = EventProp(epochs=1, batch=6, train_delay=1.0, ease_in=1.0)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(1))
    assert not any(isinstance(node, nir.Delay) for node in trained.nodes.values())
    old = fold(graph).nodes["r1"].metadata[KEY]
    assert (trained.nodes["r1"].metadata[KEY] != old).any()


@pytest.mark.parametrize(
    ("options", "change", "error"),
    [
        ({"train_bias": 1e-3}, None, UsageError),
        ({"train_delay": 0.1}, None, UsageError),
        ({"loss": "ttfs-xent"}, None, UsageError),
        ({"loss": "xent-max"}, spiking, UsageError),
        ({}, spiking, Unsupported),
        ({"train_tau": 0.01, "bits": 8}, None, UsageError),
    ],
    ids=str,
)
def test_options_that_the_graph_cannot_follow(options, change, error):
    graph = stacked()
    graph = change(graph, np.random.default_rng(0)) if change else graph
    data = conformance.example_data(np.random.default_rng(6))
    with pytest.raises(error):
        EventProp(epochs=1, **options).fit(graph, data, rng=np.random.default_rng(0))


def test_a_plain_stack_stays_with_the_fast_kernels():
    found = plan_or_stack(EventProp(), stacked())
    assert isinstance(found, Stack) and not isinstance(found, Plan)
    for options in (
        {"train_tau": 0.01},
        {"rescue": 0.1},
        {"loss": "xent-max"},
        {"mode": "substep", "inside": True},
    ):
        assert isinstance(plan_or_stack(EventProp(**options), stacked()), Plan)
    assert not isinstance(plan_or_stack(EventProp(mode="step", inside=True), stacked()), Plan)


def test_input_times_inside_a_step_count_where_asked_for():
    """The same spikes at 0, 0.3, 0.6 of their steps: other losses in `substep`, the same in `step`."""
    plan = plan_of(build(stacked(), keep_delays=True), Rates())
    data = conformance.example_data(np.random.default_rng(12), samples=3)
    spikes = data.spikes
    losses = {}
    for mode in ("step", "substep"):
        executor = GridExecutor(plan, EventProp(mode=mode, inside=True, loss="xent-exp"))
        for share in (0.0, 0.3, 0.6):
            times = spikes.times + share * conformance.example.DT
            late = replace(spikes, times=times)
            losses[mode, share] = executor.score(late, data.labels, plan.weights).loss
        executor.close()
    assert np.array_equal(losses["step", 0.0], losses["step", 0.6])
    assert not np.allclose(losses["substep", 0.0], losses["substep", 0.3], rtol=1e-6)
    assert not np.allclose(losses["substep", 0.3], losses["substep", 0.6], rtol=1e-6)
