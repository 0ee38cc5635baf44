"""The trainer: resume, host then chip, online mode, silence and ties, what is told of a training."""

from __future__ import annotations

import json
from dataclasses import replace

import numpy as np
import pytest

from nirbridge.data import ChannelShift, Dataset
from nirbridge.errors import BadInput
from nirbridge.graph import digest, read_metadata
from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.io.yin_yang import yin_yang_steps
from nirbridge.plugins import load
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import ChipEventProp, Spinnaker2
from nirbridge_spinnaker2.training.checkpoint import load as load_checkpoint
from nirbridge_spinnaker2.training.loss import earliest, first_spike_loss

CURVE = ("loss", "accuracy", "ties", "silent_outputs", "silent", "spikes_per_neuron", "spikes_input")


def rng(seed=0):
    return np.random.default_rng(seed)


@pytest.fixture
def graph():
    start = spiking_stack(
        inputs=5, hidden=[12], outputs=3, dt=1e-3, rng=np.random.RandomState(3), output_mean=6.0
    )
    return with_semantics(start, Semantics(dt=1e-3, decay="exact", feedforward_delay=1))


@pytest.fixture
def data():
    return yin_yang_steps("train", 47, 27)


def weights(graph):
    return [graph.nodes[name].weight for name in ("w1", "w_out")]


def test_the_registered_trainer_is_this_one():
    assert load("trainers", "spinnaker2") is ChipEventProp


@pytest.mark.parametrize(
    "options",
    [
        {},
        {"format": "s8.23", "rounding": "stochastic", "master": "s8.23", "unscaled": True},
        {"master": "s8.23"},
    ],
    ids=str,
)
def test_epochs_may_be_split_and_moved_to_the_chip(graph, data, tmp_path, options):
    """E epochs off chip and F on it, Adam's state kept, are E + F epochs bit for bit."""
    data = replace(data, augmentations=(ChannelShift(1),))
    whole = ChipEventProp(epochs=5, batch=5, **options).fit(graph, data, rng=rng(), validation=data)
    path = tmp_path / "c.npz"
    ChipEventProp(epochs=2, batch=5, device="host", **options).fit(
        graph, data, rng=rng(), validation=data, checkpoint=path
    )
    assert load_checkpoint(path, load_checkpoint_key(path)).count == 18
    resumed = ChipEventProp(epochs=5, batch=5, **options).fit(
        graph, data, rng=rng(9), validation=data, checkpoint=path
    )
    assert digest(resumed) == digest(whole)
    assert read_metadata(resumed).training == read_metadata(whole).training
    fresh = ChipEventProp(epochs=2, batch=5, **options).fit(graph, data, rng=rng())
    restarted = ChipEventProp(epochs=3, batch=5, **options).fit(fresh, data, rng=rng())
    assert digest(restarted) != digest(whole), "a NIR file would have carried Adam's state"


def load_checkpoint_key(path):
    with np.load(path) as file:
        return json.loads(str(file["state"]))["key"]


def test_a_checkpoint_of_another_training(graph, data, tmp_path):
    path = tmp_path / "c.npz"
    ChipEventProp(epochs=1, batch=5).fit(graph, data, rng=rng(), checkpoint=path)
    kept = path.read_bytes()
    for trainer, other in ((ChipEventProp(batch=5, lr=1e-3), data), (ChipEventProp(batch=5), data.head(30))):
        with pytest.raises(BadInput, match="belongs to another") as caught:
            trainer.fit(graph, other, rng=rng(), checkpoint=path)
        assert caught.value.code == "NB511"
    path.write_bytes(kept[:500])
    with pytest.raises(BadInput, match="not a checkpoint"):
        ChipEventProp(epochs=1, batch=5).fit(graph, data, rng=rng(), checkpoint=path)


def test_unscaled_trains_the_same_weights(graph, data):
    """Without τ_s and 1/B in the gradient, with κ on weight decay and eps; eps made to matter."""
    options = {"epochs": 2, "batch": 5, "format": "float64", "eps": 1e-5, "weight_decay": 1e-4}
    plain, unscaled = (
        ChipEventProp(unscaled=flag, **options).fit(graph, data, rng=rng()) for flag in (False, True)
    )
    for a, b, before in zip(weights(plain), weights(unscaled), weights(graph), strict=True):
        np.testing.assert_allclose(a, b, rtol=1e-6)
        assert np.abs(a - before).max() > 1e-4


def test_results_do_not_depend_on_threads(graph, data, monkeypatch):
    monkeypatch.setattr("nirbridge_spinnaker2.training.executor.WORTH_THREADS", 0)
    one, two = (
        ChipEventProp(epochs=2, batch=9, threads=threads).fit(graph, data, rng=rng()) for threads in (1, 3)
    )
    assert digest(one) == digest(two)


def test_online_is_one_pass_in_order_with_a_rate_per_step(graph, data):
    """One sample a step, lr·γ^((k−1)/n): the same as that many trainings of one step each, by hand."""
    seen = []
    online = ChipEventProp(mode="online", lr=0.01, gamma=0.4, epochs=9, batch=7)
    trained = online.fit(graph, data, rng=rng(5), on_step=seen.append)
    assert [stats.samples for stats in seen[:-1]] == list(range(1, 48))
    assert read_metadata(trained).training["updates"] == 47
    again = online.fit(graph, data, rng=rng(6))
    assert digest(trained) == digest(again), "the order of a stream is its own, not the generator's"
    other = online.fit(graph, data.select(np.arange(47)[::-1]), rng=rng(5))
    assert digest(other) != digest(trained)
    first = ChipEventProp(mode="online", lr=0.01, gamma=0.4).fit(graph, data.head(1), rng=rng())
    both = ChipEventProp(mode="online", lr=0.01, gamma=1.0).fit(graph, data.head(1), rng=rng())
    assert digest(first) == digest(both), "the first step takes lr itself"


def test_what_is_told_of_a_training(graph, data):
    seen = []
    trained = ChipEventProp(epochs=2, batch=22).fit(
        graph, data, rng=rng(), validation=data, on_step=seen.append
    )
    metadata = read_metadata(trained)
    assert metadata.readout == "first-spike"
    assert metadata.digest == digest(trained)
    training = metadata.training
    assert training["updates"] == 4
    assert len(training["curve"]) == 2
    entry = training["curve"][-1]
    assert all(name in entry for name in (*CURVE, "valid_accuracy", "spikes_hidden1", "spikes_out"))
    assert entry["spikes_input"] == 5.0
    first = ChipEventProp().first_spikes(trained, data.spikes)
    assert entry["valid_accuracy"] == float((first.argmin(axis=1) == data.labels).mean())
    chip = training["chip"]
    assert (chip["pes"], chip["ticks"], chip["update_ms"]) == (89, 61, 61.0)
    assert chip["spike_packets_per_sample"] == pytest.approx(
        5 + 2 * entry["spikes_hidden1"] + entry["spikes_out"]
    )
    assert chip["weight_packets_per_sample"] == 2 * (15 + 9)
    assert chip["training_s"] == pytest.approx(4 * 61e-3)
    assert seen[-1].epoch_done
    assert (seen[-1].epoch, seen[-1].valid_accuracy) == (2, entry["valid_accuracy"])
    assert seen[-1].samples == 44, "the last 3 samples fill no batch"
    off = ChipEventProp(epochs=1, batch=22, device="host").fit(graph, data, rng=rng())
    assert "chip" not in read_metadata(off).training


def test_the_trained_graph_runs_on_targets(graph, data):
    """The reference sees the trainer's first spikes; SpiNNaker2 takes the file as it is."""
    trained = ChipEventProp(epochs=2, batch=5).fit(graph, data, rng=rng())
    first = ChipEventProp().first_spikes(trained, data.spikes)
    recording = load("targets", "reference")().compile(trained).run(data.spikes)
    np.testing.assert_array_equal(-recording.scores("first-spike"), first)
    program = Spinnaker2(rounding="nearest").compile(trained)
    assert program.run(data.spikes).output.n_samples == len(data)
    weight = np.abs(trained.nodes["w_out"].weight).max()
    layer = next(layer for layer in program.lowered.layers if layer.name == "out")
    assert layer.theta[0] == pytest.approx(127 / weight / (1 - np.exp(-1e-3 / 20e-3)), rel=1e-5)


def test_silent_outputs_are_class_0_and_send_nothing_back(graph, data):
    """All t = T: p is uniform, the first class is predicted, no gradient comes back (but weight decay)."""
    for name in ("w1", "w_out"):
        graph.nodes[name].weight = np.full_like(graph.nodes[name].weight, 1e-3)
    trainer = ChipEventProp(epochs=1, batch=5, weight_decay=0.0)
    trained = trainer.fit(graph, data, rng=rng())
    assert np.all(trainer.first_spikes(graph, data.spikes) == 27)
    for before, after in zip(weights(graph), weights(trained), strict=True):
        np.testing.assert_array_equal(before, after)
    entry = read_metadata(trained).training["curve"][-1]
    assert (entry["silent_outputs"], entry["ties"], entry["silent"]) == (1.0, 1.0, 1.0)
    assert entry["accuracy"] == pytest.approx((data.labels[: len(data)] == 0).mean(), abs=0.05)
    late = 0.01 * (np.exp(27 / 100) - 1)
    assert entry["loss"] == pytest.approx(np.log(3) + late)


def test_the_first_class_wins_a_tie():
    assert earliest(np.array([5, 3, 3])) == 1
    assert earliest(np.array([27, 27, 27])) == 0


def test_the_loss_is_the_stated_one_and_g_its_derivative():
    """Against −ln softmax(−t/ξ)_y + α_r·(e^(t_y/β_r) − 1) in differences of t, which the formula allows."""

    def loss(t, label):
        p = np.exp(-t / 1.5) / np.exp(-t / 1.5).sum()
        return -np.log(p[label]) + 0.2 * (np.exp(t[label] / 30.0) - 1)

    t, g = np.array([9.0, 4.0, 13.0]), np.zeros(3)
    for label in range(3):
        value, entropy = first_spike_loss(t, label, 1.5, 0.2, 30.0, g)
        assert value == pytest.approx(loss(t, label))
        assert entropy == pytest.approx(value - 0.2 * (np.exp(t[label] / 30.0) - 1))
        for k in range(3):
            step = 1e-5 * np.eye(3)[k]
            assert g[k] == pytest.approx((loss(t + step, label) - loss(t - step, label)) / 2e-5, rel=1e-5)


def test_only_a_first_spike_before_the_last_step_is_taught(graph):
    """t_k = T − 1 carries no G: the same sample teaches in T steps and not in t + 1 of them."""
    spikes = Spikes(np.zeros(5), np.arange(5), np.array([0, 5]), 5, 27e-3)
    trainer = ChipEventProp(epochs=1, batch=1, weight_decay=0.0)
    first = int(trainer.first_spikes(graph, spikes).min())
    assert first < 20
    for length, moves in ((27, True), (first + 2, True), (first + 1, False)):
        short = Dataset(spikes.with_duration(length * 1e-3)[0], np.array([0]), ("a", "b", "c"))
        trained = trainer.fit(graph, short, rng=rng())
        changed = any(not np.array_equal(a, b) for a, b in zip(weights(graph), weights(trained), strict=True))
        assert changed == moves, f"{length} steps, first spike at {first}"


def test_a_loss_that_is_not_finite_names_its_batch(graph, data):
    with pytest.raises(BadInput, match=r"epoch 1, batch 1: .* not finite") as caught:
        ChipEventProp(epochs=1, batch=5, beta_r=0.01).fit(graph, data, rng=rng())
    assert caught.value.code == "NB510"


def test_weights_that_stop_being_finite_name_their_batch(graph, data):
    with pytest.raises(BadInput, match=r"epoch 1, batch \d+: .* finite") as caught:
        ChipEventProp(epochs=1, batch=5, lr=1e38).fit(graph, data, rng=rng())
    assert caught.value.code == "NB510"
