"""Profile genn: a channel sends one spike a step, further events move on (SEMANTICS.md §4)."""

from __future__ import annotations

from types import SimpleNamespace

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.graph import make
from nirbridge.graph.quantization import KEY, Quantization
from nirbridge.network import queued
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2
from nirbridge_reference import Reference

GENN = Semantics.of_profile("genn", dt=1.0)
grids = st.lists(st.lists(st.integers(0, 3), min_size=3, max_size=3), min_size=1, max_size=12)


def by_hand(counts: np.ndarray) -> np.ndarray:
    """A queue a channel: what waits is sent one a step."""
    sent, waiting = np.zeros_like(counts), np.zeros(counts.shape[1:], int)
    for t, arriving in enumerate(counts):
        waiting = waiting + arriving
        sent[t] = waiting > 0
        waiting = waiting - sent[t]
    return sent


@given(st.lists(grids, min_size=1, max_size=3))
def test_the_queue(samples: list[list[list[int]]]) -> None:
    steps = max(map(len, samples))
    grid = np.array([[*rows, *[[0] * 3] * (steps - len(rows))] for rows in samples])
    spikes = Spikes.from_dense(grid, 1.0)
    found = queued(spikes, GENN)
    np.testing.assert_array_equal(found.to_dense(1.0), [by_hand(rows) for rows in grid])
    longer = queued(spikes.with_duration(float(steps + grid.sum()))[0], GENN)
    assert len(longer.times) == grid.sum()  # nothing is lost where the duration has room
    assert queued(spikes, Semantics(dt=1.0)) is spikes


def test_graded_spikes_do_not_queue() -> None:
    spikes = Spikes.from_events([0.0, 0.0], [0, 1], [0, 0], n_samples=1, n_units=2, duration=3.0,
                                values=np.array([3, 1], np.int32))  # fmt: skip
    assert queued(spikes, GENN) is spikes


@pytest.mark.parametrize("target", [Reference(), Loihi2()], ids=["reference", "loihi2"])
def test_targets_queue_alike(target: Reference | Loihi2) -> None:
    """Four events in one step act as four steps with one each."""
    q = Quantization(q=np.array([[40, -3]], np.int8), scale=np.ones(1, np.float32))
    full = np.ones(1, np.float32)
    nodes = {
        "input": nir.Input(np.array([2])),
        "w": nir.Linear(q.weight(), metadata={KEY: q.as_metadata()}),
        "n": nir.IF(r=full, v_threshold=60 * full, v_reset=0 * full),
        "output": nir.Output(np.array([1])),
    }
    graph = with_semantics(make(nodes, [("input", "w"), ("w", "n"), ("n", "output")]), GENN)
    together, apart = np.zeros((1, 9, 2), int), np.zeros((1, 9, 2), int)
    together[0, 1], apart[0, 1:5, 0], apart[0, 1:2, 1] = (4, 1), 1, 1
    program = target.compile(graph)
    first, second = (program.run(Spikes.from_dense(g, 1.0), record=["n", "n:v"]) for g in (together, apart))
    np.testing.assert_array_equal(first.traces["n:v"], second.traces["n:v"])
    assert first.spikes["n"].steps(1.0).tolist() == second.spikes["n"].steps(1.0).tolist() == [3, 5]
    assert SimpleNamespace(**first.counts["input"]).spikes.tolist() == [5]
