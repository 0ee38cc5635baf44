"""Laws of a trainer."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.graph import digest, read_metadata
from nirbridge.network import build
from nirbridge.protocols import Target, Trainer, TrainStats


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def check_same_seed_same_weights(trainer: Trainer, graph: nir.NIRGraph, data: Dataset) -> None:
    """Two trainings with one seed give the same digest; another seed gives another one."""
    found = [digest(trainer.fit(graph, data, rng=np.random.default_rng(seed))) for seed in (1, 1, 2)]
    _require(found[0] == found[1], "the same seed gave other weights")
    _require(found[0] != found[2], "another seed gave the same weights")


def check_keeps_structure(trainer: Trainer, graph: nir.NIRGraph, data: Dataset) -> None:
    """Node names, types and edges stay, weights change, the caller's graph does not."""
    before = digest(graph)
    trained = trainer.fit(graph, data, rng=np.random.default_rng(0))
    _require(digest(graph) == before, "the caller's graph was changed")
    _require(digest(trained) != before, "training changed nothing")
    _require(set(trained.nodes) == set(graph.nodes), "nodes were added or removed")
    _require(sorted(map(tuple, trained.edges)) == sorted(map(tuple, graph.edges)), "edges were changed")
    for name, node in graph.nodes.items():
        _require(type(trained.nodes[name]) is type(node), f"'{name}' became another type")


def check_forward_equals_reference(
    trainer: Any, reference: Target, graph: nir.NIRGraph, data: Dataset
) -> None:
    """The trainer's own forward pass sends the reference's spikes, in the same steps, and scores alike.

    Scores are those of the graph's read-out, ``mean`` where it names none.
    """
    scores, spikes = trainer.forward(graph, data.spikes)
    recording = reference.compile(graph).run(data.spikes, record=list(spikes))
    for name, found in spikes.items():
        other = recording.spikes[name]
        _require(len(found.times) > 0, f"'{name}' never spikes: this check says nothing")
        same = np.array_equal(found.units, other.units) and np.array_equal(
            found.steps(recording.dt), other.steps(recording.dt)
        )
        _require(same, f"'{name}' spikes otherwise than in the reference")
    metadata = read_metadata(graph)
    expected = recording.scores((metadata.readout if metadata else None) or "mean")
    _require(
        bool(np.allclose(scores, expected, rtol=1e-5, atol=1e-6 * np.abs(expected).max())),
        "the scores differ from the reference's",
    )
    _require(bool(build(graph).neurons), "the graph has no neurons")


def check_resume(
    make: Callable[[int], Trainer], graph: nir.NIRGraph, data: Dataset, folder: Path, *, epochs: int = 4
) -> None:
    """A training killed after half its epochs and resumed gives the bits of an uninterrupted one.

    make: number of epochs -> the trainer with that many.
    """
    whole = make(epochs).fit(graph, data, rng=np.random.default_rng(3))
    path = folder / "checkpoint.npz"

    def kill(stats: TrainStats) -> None:
        if stats.epoch == epochs // 2 + 1:
            raise KeyboardInterrupt

    try:
        make(epochs).fit(graph, data, rng=np.random.default_rng(3), checkpoint=path, on_step=kill)
    except KeyboardInterrupt:
        pass
    else:
        raise AssertionError("the training was not interrupted: on_step is not called")
    _require(path.exists(), "no checkpoint was left")
    resumed = make(epochs).fit(graph, data, rng=np.random.default_rng(99), checkpoint=path)
    _require(digest(whole) == digest(resumed), "the resumed training gave other weights")
