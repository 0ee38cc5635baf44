"""Mode `exact`: from a NIR graph to a NIR graph, in continuous time."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import inline, read_metadata, replace_nodes, write_metadata
from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.io.yin_yang import yin_yang
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.dispatch import plan_or_stack
from nirbridge_eventprop.exact.executor import ExactExecutor


def first_spike_graph(rng):
    graph = spiking_stack(
        inputs=5, hidden=[30], outputs=3, dt=1e-3, rng=rng, input_mean=3.4, input_sd=1.7,
        output_mean=8.0, output_sd=1.0,
    )  # fmt: skip
    return with_semantics(graph, Semantics(dt=1e-3, decay="exact"))


@pytest.mark.parametrize("options", [{}, {"train_tau": 1e-2, "train_threshold": 1e-2}])
@pytest.mark.parametrize("kind", ["membrane", "first spike"])
def test_the_gradient_of_every_parameter_is_that_of_finite_differences(kind, options):
    """In the graph's own units, logarithms of time constants included."""
    rng = np.random.default_rng(1)
    if kind == "membrane":
        graph, data = conformance.example_graph(rng), conformance.example_data(rng, samples=2)
        trainer = EventProp(mode="exact", loss="xent-exp", shards=1, **options)
    else:
        graph, data = first_spike_graph(rng), yin_yang("train", 2, duration_s=0.06)
        trainer = EventProp(mode="exact", loss="ttfs-xent", ttfs_tau0=5e-3, shards=1, **options)
    plan = plan_or_stack(trainer, inline(graph))
    executor = ExactExecutor(plan, trainer)
    flat = np.asarray(plan.weights, np.float64)
    first = executor.score(data.spikes, data.labels, flat, learn=True)
    gradient = executor.gradients[0] / 2
    compared = 0
    for at in rng.choice(len(flat), 60, replace=False):
        ends = []
        for side in (1e-6, -1e-6):
            moved = flat.copy()
            moved[at] += side
            ends.append(executor.score(data.spikes, data.labels, moved))
        if all(np.array_equal(end.counts, first.counts) for end in ends):
            slope = (ends[0].loss.mean() - ends[1].loss.mean()) / 2e-6
            assert gradient[at] == pytest.approx(slope, rel=1e-3, abs=1e-6 * np.abs(gradient).max() + 1e-8)
            compared += 1
    executor.close()
    assert compared > 40 and first.counts.sum() > 10 and np.abs(gradient).max() > 0


def test_training_on_first_spikes_learns_and_is_recorded():
    data = yin_yang("train", 200, duration_s=0.06)
    trainer = EventProp(mode="exact", loss="ttfs-xent", epochs=6, lr=5e-3, ease_in=1.0, shards=2)
    trained = trainer.fit(
        first_spike_graph(np.random.default_rng(0)), data, validation=data, rng=np.random.default_rng(0)
    )
    metadata = read_metadata(trained)
    curve = metadata.training["curve"]
    assert metadata.readout == "first-spike" and metadata.training["options"]["mode"] == "exact"
    assert curve[-1]["valid_accuracy"] > max(0.6, curve[0]["accuracy"])


@pytest.mark.parametrize("loss", ["xent-timestep", "mse-trace"])
def test_losses_at_every_moment_predict_by_the_mean(loss):
    """They have no read-out of their own: the scores are those of the mean of V, and they learn."""
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=12)
    trainer = EventProp(mode="exact", loss=loss, epochs=4, lr=5e-3, ease_in=1.0, shards=1)
    plan = plan_or_stack(trainer, inline(graph))
    mean = EventProp(mode="exact", loss="xent-mean", shards=1)
    scores = [ExactExecutor(plan, t).score(data.spikes, None, plan.weights).scores for t in (trainer, mean)]
    np.testing.assert_allclose(*scores, rtol=1e-9, atol=1e-12)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0))
    curve = read_metadata(trained).training["curve"]
    assert read_metadata(trained).readout == "mean" and curve[-1]["loss"] < 0.95 * curve[0]["loss"]


def test_the_forward_pass_is_that_of_continuous_time():
    """The spikes and scores that training counts, by node name."""
    rng = np.random.default_rng(1)
    graph, data = first_spike_graph(rng), yin_yang("train", 6, duration_s=0.06)
    trainer = EventProp(mode="exact", loss="ttfs-xent")
    marked = write_metadata(graph, read_metadata(graph).model_copy(update={"readout": "first-spike"}))
    scores, sent = trainer.forward(marked, data.spikes)
    plan = plan_or_stack(trainer, inline(graph))
    found = ExactExecutor(plan, trainer).score(data.spikes, None, plan.weights)
    np.testing.assert_array_equal(scores, found.scores)
    assert sum(len(spikes.times) for spikes in sent.values()) == found.counts.sum() > 20
    first = sent["out"].select([0])
    for unit in range(3):
        own = first.times[first.units == unit]
        assert -scores[0, unit] == (own[0] if len(own) else 0.06)
    with pytest.raises(BadInput, match="read-out 'count' has no form in continuous time"):
        counting = read_metadata(graph).model_copy(update={"readout": "count"})
        trainer.forward(write_metadata(graph, counting), data.spikes)


def test_a_resumed_training_gives_the_same_bits(tmp_path):
    data = conformance.example_data(np.random.default_rng(6))
    graph = conformance.example_graph(np.random.default_rng(5))
    options = {"mode": "exact", "lr": 1e-3, "batch": 4}
    whole = EventProp(epochs=3, **options).fit(graph, data, rng=np.random.default_rng(0))
    path = tmp_path / "state.npz"
    EventProp(epochs=1, **options).fit(graph, data, rng=np.random.default_rng(0), checkpoint=path)
    resumed = EventProp(epochs=3, **options).fit(graph, data, rng=np.random.default_rng(0), checkpoint=path)
    before = graph.nodes["w_out"].weight
    for name in ("w_out",):
        np.testing.assert_array_equal(whole.nodes[name].weight, resumed.nodes[name].weight)
        assert not np.array_equal(whole.nodes[name].weight, before)


def test_what_has_no_continuous_time_is_refused_by_name():
    data = conformance.example_data(np.random.default_rng(6))
    graph = conformance.example_graph(np.random.default_rng(5))
    weight = graph.nodes["w_out"].weight
    biased = replace_nodes(graph, {"w_out": nir.Affine(weight=weight, bias=np.full(len(weight), 0.1))})
    with pytest.raises(Unsupported, match="'w_out' \\(Affine\\) has a bias"):
        EventProp(mode="exact").fit(biased, data, rng=np.random.default_rng(0))
