"""Training learns, reports what it did, and writes a graph that says what it is."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.data import ChannelShift
from nirbridge.graph import digest, read_metadata
from nirbridge.graph.quantization import KEY, quantization_of
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.plugins import load
from nirbridge.protocols import options_of
from nirbridge_eventprop import EventProp


@pytest.fixture
def many():
    return conformance.example_data(np.random.default_rng(7), samples=90)


def fit(graph, data, seed=0, **options):
    return EventProp(**options).fit(graph, data, rng=np.random.default_rng(seed))


@pytest.mark.parametrize("loss", ["xent-mean", "xent-exp", "xent-sum"])
@pytest.mark.parametrize("layers", [1, 2])
def test_a_small_task_is_learnt(many, loss, layers):
    graph = conformance.example_graph(np.random.default_rng(5), layers=layers)
    scale = {"xent-mean": 30.0, "xent-exp": 30.0, "xent-sum": 0.5}[loss]
    trained = fit(graph, many, loss=loss, logit_scale=scale, epochs=5, batch=10, lr=1e-2, ease_in=1.0)
    curve = read_metadata(trained).training["curve"]
    assert curve[-1]["accuracy"] > 0.9
    assert curve[-1]["loss"] < curve[0]["loss"]


def test_the_reference_finds_the_trained_accuracy(many):
    """The read-out named in the metadata is the one that was trained: any target classifies alike."""
    graph = conformance.example_graph(np.random.default_rng(5))
    trained = fit(graph, many, loss="xent-exp", logit_scale=30.0, epochs=5, batch=10, lr=1e-2, ease_in=1.0)
    metadata = read_metadata(trained)
    recording = load("targets", "reference")().compile(trained).run(many.spikes)
    found = recording.scores(metadata.readout).argmax(axis=1)
    assert (found == many.labels).mean() > 0.9


@pytest.mark.parametrize(
    ("loss", "readout"), [("xent-mean", "mean"), ("xent-exp", "exp-mean"), ("xent-sum", "sum")]
)
def test_metadata_says_what_was_done(graph, data, loss, readout):
    trainer = EventProp(loss=loss, epochs=3, batch=5)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0), validation=data)
    metadata = read_metadata(trained)
    assert metadata.readout == readout
    assert metadata.classes == list(data.classes)
    assert metadata.digest == digest(trained) != digest(graph)
    training = metadata.training
    assert training["trainer"] == "eventprop"
    assert training["options"] == options_of(trainer)
    assert (training["epochs"], training["samples"], training["duration"]) == (3, 12, data.spikes.duration)
    assert [entry["epoch"] for entry in training["curve"]] == [1, 2, 3]
    last = training["curve"][-1]
    assert {"loss", "accuracy", "valid_accuracy", "spikes_per_neuron", "silent"} <= set(last)
    assert all(
        training[name] == value for name, value in last.items() if name not in ("epoch", "clamped_slopes")
    )


def test_what_the_graph_said_before_stays(graph, data):
    before, after = read_metadata(graph), read_metadata(fit(graph, data, epochs=1))
    assert (after.dt, after.profile, after.semantics) == (before.dt, before.profile, before.semantics)
    assert after.history == before.history


def test_progress_is_told_after_every_batch(graph, data):
    seen = []
    trainer = EventProp(epochs=2, batch=5)
    trainer.fit(graph, data, rng=np.random.default_rng(0), validation=data, on_step=seen.append)
    assert [(s.epoch, s.samples, s.epoch_done) for s in seen] == [
        (epoch, samples, done)
        for epoch in (1, 2)
        for samples, done in ((5, False), (10, False), (12, False), (12, True))
    ]
    assert all(s.epochs == 2 and s.epoch_samples == 12 for s in seen)
    assert [s.valid_accuracy is None for s in seen] == [True] * 3 + [False] * 5


def test_validation_does_not_change_the_training(graph, data, many):
    alone = fit(graph, data, epochs=2, batch=5)
    trainer = EventProp(epochs=2, batch=5)
    watched = trainer.fit(graph, data, rng=np.random.default_rng(0), validation=many)
    assert digest(alone) == digest(watched)


def test_threads_change_no_bit_of_the_result(graph, data):
    found = {digest(fit(graph, data, epochs=2, batch=5, threads=threads)) for threads in (1, 2, 5)}
    assert len(found) == 1


def test_weights_that_changed_are_no_longer_quantised(graph, data):
    quantised = QuantizeWeights(bits=4)(graph)
    assert all(quantization_of(quantised.nodes[n], n) for n in ("w1", "r1", "w_out"))
    trained = fit(quantised, data, epochs=1)
    assert not any(KEY in node.metadata for node in trained.nodes.values())
    assert all(KEY in quantised.nodes[n].metadata for n in ("w1", "r1", "w_out"))


def test_weights_keep_their_type(graph, data):
    trained = fit(graph, data, epochs=1)
    for name in ("w1", "r1", "w_out"):
        assert trained.nodes[name].weight.dtype == graph.nodes[name].weight.dtype
        assert trained.nodes[name].weight.shape == graph.nodes[name].weight.shape


def test_augmentations_vary_the_training_only(graph, data):
    moved = replace(data, augmentations=(ChannelShift(5),))
    assert digest(fit(graph, moved, epochs=1)) != digest(fit(graph, data, epochs=1))
    none = replace(data, augmentations=(ChannelShift(0),))
    trained = EventProp(epochs=1).fit(graph, none, rng=np.random.default_rng(0), validation=none)
    assert read_metadata(trained).training["valid_accuracy"] is not None
