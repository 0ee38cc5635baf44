"""Mode `substep`: exact for its own loss, steadier with finer steps, trained to run in mode `step`."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirbridge import conformance
from nirbridge.errors import Unsupported
from nirbridge.graph import read_metadata, replace_nodes
from nirbridge.graph.stack import layered
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.adam import total_gradient
from nirbridge_eventprop.dispatch import StackExecutor
from nirbridge_eventprop.executor import Executor
from nirbridge_eventprop.losses import LOSSES
from nirbridge_eventprop.stack import stack_of


def executor_of(graph, kind="substep"):
    semantics = Semantics(dt=conformance.example.DT, decay="exact", arithmetic="float64")
    stack = stack_of(build(with_semantics(graph, semantics)))
    return stack, Executor(stack, threads=1, shards=1, slope=kind, slope_floor=1e-6)


@pytest.mark.parametrize("layers", [1, 2])
@pytest.mark.parametrize("loss", ["xent-mean", "xent-exp"])
def test_gradient_equals_finite_differences_where_spikes_stay(layers, loss):
    """Every weight of a random set, moved a little; only those that change no spike count are compared."""
    graph = conformance.example_graph(np.random.default_rng(11), layers=layers)
    data = conformance.example_data(np.random.default_rng(12), samples=1)
    stack, executor = executor_of(graph)
    omega = LOSSES[loss].omega(60, 1e-3)
    options = {"omega": omega, "omega_read": omega}
    weights = stack.weights.copy()
    first = executor.run(data.spikes, data.labels, weights, learn=True, **options)
    found = np.zeros_like(weights)
    total_gradient(executor.gradients, stack.gradient_factor, found)
    real = np.flatnonzero(stack.gradient_factor)
    compared = 0
    for at in np.random.default_rng(13).choice(real, 150, replace=False):
        ends = []
        for side in (1e-6, -1e-6):
            moved = weights.copy()
            moved[at] += side
            ends.append(executor.run(data.spikes, data.labels, moved, **options))
        if all(np.array_equal(end.counts, first.counts) for end in ends):
            difference = (ends[0].loss[0] - ends[1].loss[0]) / 2e-6
            assert found[at] == pytest.approx(difference, rel=2e-4, abs=1e-7 * np.abs(found).max() + 1e-9)
            compared += 1
    assert compared > 100
    assert first.counts.sum() > 100


@given(
    seed=st.integers(0, 2**31),
    layers=st.integers(1, 2),
    recurrent=st.booleans(),
    line=st.booleans(),
    equal=st.booleans(),
    loss=st.sampled_from(sorted(LOSSES)),
)
@settings(max_examples=15, deadline=None, derandomize=True)
def test_random_stacks_follow_finite_differences(seed, layers, recurrent, line, equal, loss):
    """Each weight node along random directions, where neurons keep their spikes; some with a delay line."""
    rng = np.random.default_rng(seed)
    graph = layered(
        inputs=6, hidden=[8] * layers, outputs=3, dt=1e-3, rng=rng, recurrent=recurrent, input_mean=0.9,
        input_sd=0.6, hidden_mean=0.5, hidden_sd=0.5, recurrent_sd=0.3, output_sd=0.6,
        delay_line=(3, 2e-3) if line else None, tau_shape=None if equal else 20.0,
    )  # fmt: skip
    stack = stack_of(build(with_semantics(graph, Semantics(dt=1e-3, decay="exact", arithmetic="float64"))))
    trainer = EventProp(mode="substep", loss=loss, slope_floor=1e-9, shards=1, threads=1)
    executor = StackExecutor(stack, trainer)
    spikes = Spikes.from_dense((rng.random((2, 40, 6)) < 0.12).astype(int), 1e-3)
    labels = rng.integers(0, 3, 2)
    first = executor.score(spikes, labels, stack.weights, learn=True)
    assume(8 <= first.counts.sum() <= 600)
    found = np.zeros_like(stack.weights)
    total_gradient(executor.gradients, stack.gradient_factor / 2, found)
    compared = 0
    for place in stack.nodes:
        for _ in range(3):
            way = np.zeros(len(found))
            block = way[place.offset : place.offset + place.rows * place.width]
            block.reshape(place.rows, place.width)[:, : place.columns] = rng.normal(
                size=(place.rows, place.columns)
            )
            ends = {
                h: executor.score(spikes, labels, stack.weights + h * way) for h in (-2e-7, -1e-7, 1e-7, 2e-7)
            }
            if any(not np.array_equal(end.counts, first.counts) for end in ends.values()):
                continue
            near, far = ((ends[h].loss.mean() - ends[-h].loss.mean()) / (2 * h) for h in (1e-7, 2e-7))
            if abs(near - far) > 1e-4 * abs(near) + 1e-7:
                continue  # a spike left its step or its round between them: not smooth here
            assert float(found @ way) == pytest.approx(near, rel=1e-3, abs=1e-6)
            compared += 1
    executor.close()
    assert compared > 0


def test_validation_is_that_of_the_network_that_chips_run():
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=24)
    trainer = EventProp(mode="substep", epochs=8, batch=8, lr=5e-3, ease_in=1.0)
    trained = trainer.fit(graph, data, validation=data, rng=np.random.default_rng(1))
    scores, _ = trainer.forward(trained, data.spikes)
    from nirbridge.evaluate import run
    from nirbridge.plugins import parse

    result = run(trained, parse("targets", "reference"), data)
    assert read_metadata(trained).training["valid_accuracy"] == pytest.approx(result.accuracy)
    assert np.array_equal(scores.argmax(axis=1), result.predictions)
    curve = read_metadata(trained).training["curve"]
    assert curve[-1]["loss"] < 0.7 * curve[0]["loss"]


def test_a_read_out_without_synapse_is_refused_by_name():
    graph = conformance.example_graph(np.random.default_rng(5))
    read_out = nir.LI(tau=np.full(3, 0.02), r=np.ones(3), v_leak=np.zeros(3))
    with pytest.raises(Unsupported, match="'out'") as caught:
        EventProp(mode="substep").fit(
            replace_nodes(graph, {"out": read_out}),
            conformance.example_data(np.random.default_rng(6)),
            rng=np.random.default_rng(0),
        )
    assert caught.value.code == "NB201"
