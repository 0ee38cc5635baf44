"""The size of a step: learning rate over batches and epochs, clip, lift of silent neurons, rate term.

With beta1 = beta2 = 0 and a small eps Adam moves every weight by the learning rate, with a large eps
by the gradient times lr/eps; a batch of all samples makes an epoch one step. The weights of the
example graph are EventProp's own, so no factor stands between them and lr.
"""

from __future__ import annotations

from itertools import pairwise

import nir
import numpy as np
import pytest

from nirbridge.graph import read_metadata, replace_nodes
from nirbridge.network import build
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.stack import stack_of

SIGN = {"beta1": 0.0, "beta2": 0.0, "eps": 1e-30, "lift": 0.0, "batch": 12}
LINEAR = {**SIGN, "eps": 1e6, "lr": 1e6, "ease_in": 1.0}


def steps(arrays):
    """Largest change of a weight in each epoch."""
    return [np.abs(b["weights"] - a["weights"]).max() for a, b in pairwise(arrays)]


def test_a_constant_rate_is_lr(weights_by_epoch, graph, data, tmp_path):
    trainer = EventProp(epochs=3, lr=0.01, ease_in=1.0, **SIGN)
    found = steps(weights_by_epoch(trainer, graph, data, tmp_path / "c.npz"))
    np.testing.assert_allclose(found, [0.01] * 3, rtol=1e-3)


def test_ease_in_grows_from_a_hundredth_to_lr(weights_by_epoch, graph, data, tmp_path):
    trainer = EventProp(epochs=5, lr=0.1, ease_in=4.0, **SIGN)
    found = steps(weights_by_epoch(trainer, graph, data, tmp_path / "c.npz"))
    np.testing.assert_allclose(found, [0.001, 0.004, 0.016, 0.064, 0.1], rtol=2e-3)


def test_an_exponential_schedule_decays_every_epoch(weights_by_epoch, graph, data, tmp_path):
    trainer = EventProp(epochs=4, lr=0.08, ease_in=1.0, schedule="exponential", decay=0.5, **SIGN)
    found = steps(weights_by_epoch(trainer, graph, data, tmp_path / "c.npz"))
    np.testing.assert_allclose(found, [0.08, 0.04, 0.02, 0.01], rtol=1e-3)


def test_a_cosine_schedule_goes_to_zero(weights_by_epoch, graph, data, tmp_path):
    trainer = EventProp(epochs=4, lr=0.05, ease_in=1.0, schedule="cosine", **SIGN)
    found = steps(weights_by_epoch(trainer, graph, data, tmp_path / "c.npz"))
    expected = 0.025 * (1 + np.cos(np.pi * np.arange(4) / 4))
    np.testing.assert_allclose(found, expected, rtol=1e-3)


def test_clip_bounds_the_norm_and_keeps_the_direction(weights_by_epoch, graph, data, tmp_path):
    def first_step(clip):
        trainer = EventProp(epochs=1, clip=clip, **LINEAR)
        before, after = weights_by_epoch(trainer, graph, data, tmp_path / f"{clip}.npz")
        return after["weights"] - before["weights"]

    free = first_step(0.0)
    norm = float(np.linalg.norm(free))
    clipped = first_step(norm / 10)
    assert np.linalg.norm(clipped) == pytest.approx(norm / 10, rel=1e-4)
    assert free @ clipped == pytest.approx(norm * norm / 10, rel=1e-4)
    np.testing.assert_array_equal(first_step(norm * 2), free)


def with_silent(graph, neurons):
    """The graph with input weights so negative that these neurons never spike."""
    weight = graph.nodes["w1"].weight.copy()
    weight[neurons] = -5.0
    return replace_nodes(graph, {"w1": nir.Linear(weight=weight)})


def test_lift_moves_silent_neurons_only(graph, data):
    silent = [3, 17]
    graph = with_silent(graph, silent)
    start = graph.nodes["w1"].weight
    options = {"epochs": 1, "lr": 1e-30, "batch": 5}
    lifted = EventProp(lift=0.25, **options).fit(graph, data, rng=np.random.default_rng(0))
    change = lifted.nodes["w1"].weight - start
    np.testing.assert_allclose(change[silent], 0.25, rtol=1e-6)
    assert not np.delete(change, silent, axis=0).any()
    np.testing.assert_array_equal(lifted.nodes["r1"].weight, graph.nodes["r1"].weight)
    still = EventProp(lift=0.0, **options).fit(graph, data, rng=np.random.default_rng(0))
    np.testing.assert_array_equal(still.nodes["w1"].weight, start)


def test_lift_is_in_eventprop_s_own_weights(graph, data):
    """With half the input weight w_in a file's weight counts half, so the lift in the file doubles."""
    graph = with_silent(graph, [4])
    hidden = graph.nodes["hidden1"]
    fields = {n: getattr(hidden, n) for n in ("tau_mem", "tau_syn", "r", "v_leak", "v_threshold", "v_reset")}
    halved = nir.CubaLIF(w_in=hidden.w_in / 2, **fields)
    weights = {n: nir.Linear(weight=graph.nodes[n].weight * 2) for n in ("w1", "r1")}
    same = replace_nodes(graph, {"hidden1": halved, **weights})
    trained = EventProp(lift=0.25, epochs=1, lr=1e-30).fit(same, data, rng=np.random.default_rng(0))
    change = trained.nodes["w1"].weight - weights["w1"].weight
    np.testing.assert_allclose(change[4], 0.5, rtol=1e-6)
    assert not np.delete(change, 4, axis=0).any()


def test_a_neuron_that_spikes_in_one_sample_is_not_silent(graph, data):
    """One channel is kept in the first sample only, and neuron 0 hears nothing else."""
    s = data.spikes
    channel = s.units[0]
    keep = (s.units != channel) | (np.arange(len(s.units)) < s.offsets[1])
    offsets = np.concatenate([[0], np.cumsum(keep)])[s.offsets]
    data = data.with_spikes(Spikes(s.times[keep], s.units[keep], offsets, s.n_units, s.duration))
    weight = np.full((24, 20), -5.0, np.float32)
    weight[0] = 0.0
    weight[0, channel] = 60.0
    graph = replace_nodes(graph, {"w1": nir.Linear(weight=weight)})
    trained = EventProp(lift=0.25, epochs=1, lr=1e-30).fit(graph, data, rng=np.random.default_rng(0))
    np.testing.assert_allclose(trained.nodes["w1"].weight[0], weight[0], atol=1e-20)
    np.testing.assert_allclose(trained.nodes["w1"].weight[1:] - weight[1:], 0.25, rtol=1e-6)


@pytest.mark.parametrize(("target", "side"), [(2.0, "above"), (12.0, "below")])
def test_the_rate_term_pushes_the_rate_to_its_target(graph, data, target, side):
    """The loss has next to no say: its logits are scaled away."""
    trainer = EventProp(
        epochs=80,
        batch=4,
        lr=1e-2,
        ease_in=1.0,
        logit_scale=1e-6,
        clip=0.0,
        lift=0.0,
        rate_target=target,
        rate_upper=1e-3,
        rate_lower=1e-3,
    )
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0))
    rates = [entry["spikes_per_neuron"] for entry in read_metadata(trained).training["curve"]]
    assert (rates[0] > target) == (side == "above")
    assert abs(rates[-1] - target) < 0.3 * abs(rates[0] - target)


def test_no_rate_term_acts_in_the_first_batch(weights_by_epoch, graph, data, tmp_path):
    """It reads the counts of the batch before, and there is none."""
    plain = weights_by_epoch(EventProp(epochs=2, **LINEAR), graph, data, tmp_path / "plain.npz")
    strong = EventProp(epochs=2, rate_target=1.0, rate_upper=1.0, **LINEAR)
    rated = weights_by_epoch(strong, graph, data, tmp_path / "rated.npz")
    np.testing.assert_array_equal(rated[1]["weights"], plain[1]["weights"])
    np.testing.assert_array_equal(rated[1]["mean_counts"], plain[1]["mean_counts"])
    assert not np.array_equal(rated[2]["weights"], plain[2]["weights"])


def test_the_example_s_weights_are_eventprop_s_own(graph):
    """What the tests above rest on."""
    factor = stack_of(build(graph)).rate_factor
    np.testing.assert_allclose(factor[factor != 0], 1.0, rtol=1e-5)
