"""`fold-input-weight`: w_in·(W, b) is one product, so it may stand in the weights (SEMANTICS R1)."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import copy, digest, equal
from nirbridge.passes import FoldInputWeight
from nirbridge.semantics import semantics_of, with_semantics

Random = Callable[..., nir.NIRGraph]
Run = Callable[[nir.NIRGraph], Any]


@pytest.mark.parametrize("seed", range(6))
def test_every_spike_and_v_stay(random: Random, run: Run, seed: int) -> None:
    graph = random(seed)
    before, after = run(graph), run(FoldInputWeight()(graph))
    for name in ("a", "b"):
        assert np.array_equal(before.spikes[name].to_dense(1e-3), after.spikes[name].to_dense(1e-3))
    for name in ("a:v", "b:v", "out:v"):
        assert np.allclose(before.traces[name], after.traces[name], rtol=1e-9, atol=1e-9)


def test_rows_and_biases_are_multiplied_and_w_in_is_one(random: Random) -> None:
    graph = random(0)
    after = FoldInputWeight()(graph)
    w_in = graph.nodes["a"].w_in
    assert np.allclose(after.nodes["w1"].weight, w_in[:, None] * graph.nodes["w1"].weight)
    assert np.allclose(after.nodes["w1"].bias, w_in * graph.nodes["w1"].bias)
    assert np.allclose(after.nodes["ra"].weight, w_in[:, None] * graph.nodes["ra"].weight)
    assert np.all(after.nodes["a"].w_in == 1)
    assert np.all(after.nodes["out"].w_in == 1)
    for name in ("w2", "rb"):  # a LIF has no w_in
        assert np.array_equal(after.nodes[name].weight, graph.nodes[name].weight)


def test_it_needs_no_dt_and_leaves_the_input_alone(random: Random) -> None:
    graph = random(0)
    del graph.metadata["nirbridge"]
    kept = copy(graph)
    once = FoldInputWeight()(graph)
    assert equal(graph, kept)
    assert not equal(once, kept)
    assert digest(FoldInputWeight()(once)) == digest(once)


def test_where_the_semantics_ignore_it_it_stays(random: Random) -> None:
    graph = random(0)
    unit = replace(semantics_of(graph), gain="unit", decay="euler", order="current-first")
    graph = with_semantics(graph, unit)
    assert equal(FoldInputWeight()(graph), graph)
