"""What decides over a training: optimiser, plateau, patience, freezing, the memory forecast."""

from __future__ import annotations

import json
import tracemalloc
from itertools import pairwise
from types import SimpleNamespace

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import digest, read_metadata
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.schedule import halvings, is_best, is_over, rate
from nirbridge_eventprop.sgd import sgd_step


def fit(graph, data, seed=0, validation=None, **options):
    return EventProp(**options).fit(graph, data, rng=np.random.default_rng(seed), validation=validation)


def test_sgd_is_momentum_descent_in_eventprops_own_weights(weights_by_epoch, graph, data, tmp_path):
    """One batch an epoch: u ← μu + g, w ← w − lr·u/s², as w_EventProp = s·w moves by lr·g_EventProp."""
    options = {"optimiser": "sgd", "lr": 0.05, "ease_in": 1.0, "batch": 12, "lift": 0.0, "clip": 0.0}
    plain = weights_by_epoch(EventProp(epochs=3, momentum=0.0, **options), graph, data, tmp_path / "a.npz")
    heavy = weights_by_epoch(EventProp(epochs=3, momentum=0.9, **options), graph, data, tmp_path / "b.npz")
    steps = [b["weights"].astype(float) - a["weights"] for a, b in pairwise(plain)]
    pushed = [b["weights"].astype(float) - a["weights"] for a, b in pairwise(heavy)]
    assert np.abs(steps[0]).max() > 0
    np.testing.assert_allclose(pushed[0], steps[0], atol=1e-7)
    small = {**options, "lr": 0.005}
    slower = weights_by_epoch(EventProp(epochs=1, momentum=0.0, **small), graph, data, tmp_path / "c.npz")
    np.testing.assert_allclose(10 * (slower[1]["weights"] - slower[0]["weights"]), steps[0], atol=1e-5)
    weights, velocity = np.array([1.0, 2.0]), np.array([0.5, 0.0])
    sgd_step(weights, np.array([1.0, -2.0]), velocity, np.array([0.1, 0.0]), 0.9, 0.5)
    np.testing.assert_allclose(velocity, [0.95, -1.0])
    np.testing.assert_allclose(weights, [1.0 - 0.095, 2.0])


def test_sgd_learns(graph):
    many = conformance.example_data(np.random.default_rng(7), samples=90)
    options = {"optimiser": "sgd", "lr": 0.5, "logit_scale": 30.0, "epochs": 6, "batch": 10, "ease_in": 1.0}
    curve = read_metadata(fit(graph, many, **options)).training["curve"]
    assert curve[-1]["accuracy"] > 0.85


@pytest.mark.parametrize(
    ("values", "wait", "expected"),
    [
        ([], 1, 0),
        ([0.5], 1, 0),
        ([0.5, 0.5], 1, 1),
        ([0.5, 0.6, 0.6, 0.5, 0.7], 2, 1),
        ([0.5, 0.4, 0.4, 0.4, 0.4], 2, 2),
        ([0.5, 0.4, 0.6, 0.4, 0.6], 3, 0),
    ],
)
def test_the_rate_halves_after_waiting_for_something_better(values, wait, expected):
    assert halvings(values, wait) == expected
    trainer = SimpleNamespace(
        lr=0.8, schedule="plateau", plateau=wait, metric="accuracy", ease_in=1.0, epochs=9, decay=1.0
    )
    curve = [{"valid_accuracy": value} for value in values]
    assert rate(trainer, curve, 1, 1) == 0.8 * 0.5**expected


def test_best_and_over():
    assert [is_best(v) for v in ([1.0], [1.0, 1.0], [1.0, 2.0], [2.0, 1.0])] == [True, False, True, False]
    assert not is_over([], 1) and not is_over([1.0, 0.5, 0.5], 0)
    assert [is_over([1.0, *[0.5] * n], 2) for n in range(4)] == [False, False, True, True]


@pytest.mark.parametrize("metric", ["accuracy", "loss"])
def test_patience_ends_the_training_and_returns_the_best_epoch(graph, data, metric):
    """The weights are those of a training that is cut off at the best epoch."""
    options = {"batch": 4, "lr": 0.3, "ease_in": 1.0, "metric": metric, "ema": 0.3}
    stopped = fit(graph, data, validation=data, epochs=40, patience=3, **options)
    training = read_metadata(stopped).training
    values = [e["valid_accuracy"] if metric == "accuracy" else -e["valid_loss"] for e in training["curve"]]
    best = int(np.argmax(values)) + 1
    assert len(values) == best + 3 < 40
    assert training["best_epoch"] == best
    assert training["valid_accuracy"] == training["curve"][best - 1]["valid_accuracy"]
    cut = fit(graph, data, validation=data, epochs=best, **options)
    assert digest(cut) == digest(stopped)


@pytest.mark.parametrize("options", [{"patience": 2}, {"schedule": "plateau"}])
def test_what_watches_needs_validation_data(graph, data, options):
    with pytest.raises(UsageError, match="need validation data") as caught:
        fit(graph, data, **options)
    assert caught.value.code == "NB701"


def test_frozen_nodes_keep_every_bit(graph, data):
    """Also where silent neurons are lifted and where weights are averaged."""
    graph.nodes["w1"].weight[3] = -9.0
    options = {"epochs": 2, "batch": 5, "lift": 0.3, "ema": 0.5}
    trained = fit(graph, data, freeze="w1 r*", **options)
    for name in ("w1", "r1"):
        assert trained.nodes[name].weight.tobytes() == graph.nodes[name].weight.tobytes()
    assert not np.array_equal(trained.nodes["w_out"].weight, graph.nodes["w_out"].weight)
    free = fit(graph, data, **options)
    assert free.nodes["w1"].weight[3].max() > -8.9


@pytest.mark.parametrize(("freeze", "says"), [("w9", "'w9'.*no weight node"), ("*", "nothing to train")])
def test_freezing_what_is_not_there_or_everything(graph, data, freeze, says):
    with pytest.raises(UsageError, match=says):
        fit(graph, data, freeze=freeze)


def test_the_forecast_is_what_a_training_takes():
    """Within a half, of the arrays that Python sees (work space of the kernels is beyond it)."""
    from nirbridge.graph import GraphMetadata, write_metadata
    from nirbridge.graph.stack import layered

    graph = layered(
        inputs=400, hidden=[300], outputs=4, dt=1e-3, rng=np.random.default_rng(0), recurrent=True
    )
    graph = write_metadata(graph, GraphMetadata(dt=1e-3, semantics={"decay": "exact"}))
    data = conformance.example_data(np.random.default_rng(6), samples=40)
    data = data.with_spikes(data.spikes.with_units(400))
    trainer = EventProp(epochs=1, batch=20, threads=1, ema=0.9)
    trainer.fit(graph, data, rng=np.random.default_rng(0))  # compiles
    tracemalloc.start()
    before = tracemalloc.get_traced_memory()[0]
    trainer.fit(graph, data, rng=np.random.default_rng(0))
    peak = tracemalloc.get_traced_memory()[1] - before
    tracemalloc.stop()
    assert 0.67 * peak < trainer.memory(graph, data) < 1.5 * peak, (peak, trainer.memory(graph, data))


def test_a_training_over_its_memory_limit_is_refused(graph, data, tmp_path):
    with pytest.raises(BadInput, match="GiB of memory") as caught:
        fit(graph, data, memory_limit=1e-5)
    assert caught.value.code == "NB514"
    assert digest(fit(graph, data, epochs=1, memory_limit=0.0)) == digest(fit(graph, data, epochs=1))


def test_the_returned_weights_are_what_was_validated(graph, data):
    """valid_accuracy and valid_loss of the last epoch belong to the graph that comes back."""
    trainer = EventProp(epochs=3, batch=5, ema=0.5, logit_scale=5.0)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0), validation=data)
    scores, _ = trainer.forward(trained, data.spikes)
    last = read_metadata(trained).training["curve"][-1]
    assert (scores.argmax(axis=1) == data.labels).mean() == last["valid_accuracy"]
    assert last["valid_loss"] > 0 and json.dumps(last)
