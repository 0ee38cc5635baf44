"""Checkpoints: a resumed training is the uninterrupted one; the running average of the weights."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest

from nirbridge.data import Blend, ChannelShift, Drop, Jitter, TimeStretch
from nirbridge.errors import BadInput
from nirbridge.graph import digest, read_metadata, write_metadata
from nirbridge.kernels.vectors import WIDE
from nirbridge_eventprop import EventProp

RICH = {
    "batch": 5,
    "ema": 0.8,
    "schedule": "cosine",
    "ease_in": 1.5,
    "rate_target": 3.0,
    "rate_upper": 1e-3,
    "lift": 0.1,
}


def rng(seed=0):
    return np.random.default_rng(seed)


def stop_in(epoch):
    def on_step(stats):
        if stats.epoch == epoch:
            raise KeyboardInterrupt

    return on_step


def test_resumed_is_uninterrupted(graph, data, tmp_path):
    """Weights, curve and summary, with everything on that keeps a state from batch to batch."""
    data = replace(data, augmentations=(ChannelShift(2),))
    trainer, path = EventProp(epochs=5, **RICH), tmp_path / "c.npz"
    whole = trainer.fit(graph, data, rng=rng(), validation=data)
    for epoch in (2, 2, 4):
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(graph, data, rng=rng(), validation=data, checkpoint=path, on_step=stop_in(epoch))
    resumed = trainer.fit(graph, data, rng=rng(8), validation=data, checkpoint=path)
    assert digest(resumed) == digest(whole)
    assert read_metadata(resumed) == read_metadata(whole)


WATCHED = [
    {"optimiser": "sgd", "momentum": 0.7, "schedule": "plateau", "plateau": 1, "freeze": "r1", "lr": 0.1},
    {"patience": 2, "metric": "loss", "ema": 0.5, "lr": 0.3, "ease_in": 1.0},
    {"bits": 4, "mode": "substep", "patience": 9},
]


@pytest.mark.parametrize("options", WATCHED, ids=["sgd", "patience", "bits"])
def test_resumed_is_uninterrupted_with_what_validation_decides(graph, data, tmp_path, options):
    """Momentum, the plateau, the best epoch's weights and rounding go on where they were; blends too."""
    data = replace(data, augmentations=(Blend(0.5), TimeStretch(0.2), Jitter(1.0, 1e-3), Drop(0.1)))
    check = data.select(np.arange(7))
    trainer, path = EventProp(epochs=6, batch=5, **options), tmp_path / "c.npz"
    whole = trainer.fit(graph, data, rng=rng(), validation=check)
    for epoch in (2, 4):
        with pytest.raises(KeyboardInterrupt):
            trainer.fit(graph, data, rng=rng(), validation=check, checkpoint=path, on_step=stop_in(epoch))
    resumed = trainer.fit(graph, data, rng=rng(8), validation=check, checkpoint=path)
    assert digest(resumed) == digest(whole)
    assert read_metadata(resumed) == read_metadata(whole)


def test_other_validation_data_are_another_training_only_where_they_decide(graph, data, tmp_path):
    for patience in (0, 3):
        path = tmp_path / f"{patience}.npz"
        trainer = EventProp(epochs=1, patience=patience)
        trainer.fit(graph, data, rng=rng(), validation=data, checkpoint=path)
        other = data.select(np.arange(6))
        if patience:
            with pytest.raises(BadInput, match="belongs to another"):
                trainer.fit(graph, data, rng=rng(), validation=other, checkpoint=path)
        else:
            trainer.fit(graph, data, rng=rng(), validation=other, checkpoint=path)


def test_more_epochs_go_on_where_fewer_ended(graph, data, tmp_path):
    path = tmp_path / "c.npz"
    EventProp(epochs=2).fit(graph, data, rng=rng(), checkpoint=path)
    longer = EventProp(epochs=4).fit(graph, data, rng=rng(8), checkpoint=path)
    assert digest(longer) == digest(EventProp(epochs=4).fit(graph, data, rng=rng()))


def test_a_finished_training_is_not_repeated(graph, data, tmp_path):
    trainer, path = EventProp(epochs=2), tmp_path / "c.npz"
    first = trainer.fit(graph, data, rng=rng(), checkpoint=path)
    again = trainer.fit(graph, data, rng=rng(8), checkpoint=path, on_step=stop_in(1))
    assert digest(again) == digest(first)


def test_threads_may_change_on_a_resume(graph, data, tmp_path):
    path = tmp_path / "c.npz"
    EventProp(epochs=1, threads=1).fit(graph, data, rng=rng(), checkpoint=path)
    resumed = EventProp(epochs=2, threads=2).fit(graph, data, rng=rng(), checkpoint=path)
    assert digest(resumed) == digest(EventProp(epochs=2).fit(graph, data, rng=rng()))


def other_options(graph, data):
    return EventProp(epochs=2, lr=1e-3), graph, data, rng()


def other_weights(graph, data):
    return EventProp(epochs=2), EventProp(epochs=1).fit(graph, data, rng=rng()), data, rng()


def other_dt(graph, data):
    metadata = read_metadata(graph).model_copy(update={"dt": 2e-3})
    return EventProp(epochs=2), write_metadata(graph, metadata), data, rng()


def other_labels(graph, data):
    return EventProp(epochs=2), graph, replace(data, labels=(data.labels + 1) % 3), rng()


def other_samples(graph, data):
    return EventProp(epochs=2), graph, data.select(np.arange(12)[::-1]), rng()


def other_generator(graph, data):
    return EventProp(epochs=2), graph, data, np.random.Generator(np.random.MT19937(0))


@pytest.mark.parametrize(
    "change", [other_options, other_weights, other_dt, other_labels, other_samples, other_generator]
)
def test_a_checkpoint_of_another_training(graph, data, tmp_path, change):
    path = tmp_path / "c.npz"
    EventProp(epochs=1).fit(graph, data, rng=rng(), checkpoint=path)
    kept = path.read_bytes()
    trainer, other_graph, other_data, generator = change(graph, data)
    with pytest.raises(BadInput, match=r"c\.npz: the checkpoint belongs to another") as caught:
        trainer.fit(other_graph, other_data, rng=generator, checkpoint=path)
    assert caught.value.code == "NB511"
    assert path.read_bytes() == kept


@pytest.mark.parametrize("content", [b"", b"no checkpoint", None], ids=["empty", "text", "cut off"])
def test_a_file_that_is_no_checkpoint(graph, data, tmp_path, content):
    path = tmp_path / "c.npz"
    EventProp(epochs=1).fit(graph, data, rng=rng(), checkpoint=path)
    path.write_bytes(path.read_bytes()[:700] if content is None else content)
    with pytest.raises(BadInput, match="not a checkpoint") as caught:
        EventProp(epochs=1).fit(graph, data, rng=rng(), checkpoint=path)
    assert caught.value.code == "NB511"


def test_ema_returns_the_running_average(weights_by_epoch, graph, data, tmp_path):
    """a ← a + (1 − k)(w − a) after each batch, k = min(ema, n/(n + 10)) after n batches."""
    trainer = EventProp(epochs=6, batch=12, ema=0.3, lr=0.05, ease_in=1.0, lift=0.0)
    arrays = weights_by_epoch(trainer, graph, data, tmp_path / "c.npz")
    average = arrays[0]["weights"].astype(np.float64)
    for n, found in enumerate(arrays[1:], start=1):
        keep = min(0.3, n / (n + 10))
        average += (1 - keep) * (found["weights"] - average)
        np.testing.assert_allclose(found["average"], average, rtol=1e-5, atol=1e-6)


@pytest.mark.parametrize("ema", [0.0, 0.9])
def test_ema_decides_what_is_returned_not_what_is_trained(weights_by_epoch, graph, data, tmp_path, ema):
    options = {"epochs": 3, "batch": 4, "lr": 0.02, "ease_in": 1.0}
    plain = weights_by_epoch(EventProp(**options), graph, data, tmp_path / "plain.npz")
    path = tmp_path / "c.npz"
    trained = EventProp(ema=ema, **options).fit(graph, data, rng=rng(), checkpoint=path)
    with np.load(path) as file:
        np.testing.assert_array_equal(file["weights"], plain[-1]["weights"])
        returned = file["average"] if ema else file["weights"]
    found = trained.nodes["w1"].weight.T
    flat = returned[: found.shape[0] * WIDE].reshape(found.shape[0], WIDE)[:, : found.shape[1]]
    np.testing.assert_array_equal(found, flat)
    assert np.array_equal(returned, plain[-1]["weights"]) == (ema == 0)
