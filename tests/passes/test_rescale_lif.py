"""`rescale-lif` moves every gain into the weights and leaves V and the spikes as they were."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.graph import copy, digest, equal
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import build
from nirbridge.passes import Pipeline, QuantizeWeights, RescaleLif

Random = Callable[..., nir.NIRGraph]
Run = Callable[[nir.NIRGraph], Any]


@pytest.mark.parametrize("seed", range(20))
def test_every_spike_and_v_stay(random: Random, run: Run, seed: int) -> None:
    graph = random(seed)
    before, after = run(graph), run(RescaleLif()(graph))
    for name in ("a", "b"):
        assert before.spikes[name].counts().sum() > 20
        assert np.array_equal(before.spikes[name].to_dense(1e-3), after.spikes[name].to_dense(1e-3))
    for name in ("a:v", "b:v", "out:v"):
        assert np.allclose(before.traces[name], after.traces[name], rtol=1e-9, atol=1e-9)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(4))
def test_afterwards_every_gain_is_one(random: Random, seed: int, dtype: Any) -> None:
    network = build(RescaleLif()(random(seed, dtype)))
    for p in (network.populations[at] for at in network.neurons):
        assert np.allclose(p.b_m, 1.0, rtol=1e-6, atol=0)
        assert np.allclose(p.b_s, 1.0, rtol=1e-6, atol=0)


@pytest.mark.parametrize("dtype", [np.float64, np.float32])
@pytest.mark.parametrize("seed", range(4))
def test_a_second_run_changes_nothing(random: Random, seed: int, dtype: Any) -> None:
    once = RescaleLif()(random(seed, dtype))
    assert digest(RescaleLif()(once)) == digest(once)
    assert once.nodes["w1"].weight.dtype == dtype


def test_the_input_is_untouched(random: Random) -> None:
    graph = random(0)
    kept = copy(graph)
    assert not equal(RescaleLif()(graph), kept)
    assert equal(graph, kept)


@pytest.mark.parametrize("seed", range(4))
def test_integer_weights_become_floats(random: Random, run: Run, seed: int) -> None:
    graph = random(seed)
    graph.nodes["w1"].weight = np.rint(graph.nodes["w1"].weight).astype(np.int64)
    graph.nodes["w1"].bias = np.rint(5 * graph.nodes["w1"].bias).astype(np.int64)
    before, after = run(graph), run(RescaleLif()(graph))
    assert np.array_equal(before.spikes["a"].to_dense(1e-3), after.spikes["a"].to_dense(1e-3))


def test_it_goes_through_a_pipeline(random: Random) -> None:
    after = Pipeline((RescaleLif(), QuantizeWeights()))(random(1))
    assert "nirbridge_q" in after.nodes["w1"].metadata


def test_integer_weights_keep_their_integers_where_all_neurons_have_one_gain(
    random: Random, run: Run
) -> None:
    graph = random(2)
    for name in ("a", "b", "out"):
        node = graph.nodes[name]
        for field in ("r", "w_in", "tau_mem", "tau_syn", "tau"):
            if hasattr(node, field):
                setattr(node, field, np.full_like(getattr(node, field), abs(getattr(node, field)[0])))
    by_population = QuantizeWeights(bits=4)(graph)
    after = RescaleLif()(by_population)
    before, now = run(by_population), run(after)
    for name in ("a", "b"):
        assert before.spikes[name].counts().sum() > 20
        assert np.array_equal(before.spikes[name].to_dense(1e-3), now.spikes[name].to_dense(1e-3))
    for name in ("w1", "ra", "w2", "rb", "w3"):
        old, new = (quantization_of(g.nodes[name], name) for g in (by_population, after))
        assert old is not None and new is not None
        assert np.array_equal(old.q, new.q) and old.scale[0] != new.scale[0]
    assert np.allclose(build(after).populations[build(after).neurons[0]].b_m, 1.0)


def test_a_scale_for_each_row_takes_any_gain(random: Random, run: Run) -> None:
    graph = random(3)
    for name in ("a", "b", "out"):
        graph.nodes[name].r = np.abs(graph.nodes[name].r)
    rows = QuantizeWeights(granularity="channel")(graph)
    after = RescaleLif()(rows)
    assert np.array_equal(run(rows).spikes["a"].to_dense(1e-3), run(after).spikes["a"].to_dense(1e-3))
    old, new = (quantization_of(g.nodes["w1"], "w1") for g in (rows, after))
    assert old is not None and new is not None
    assert np.array_equal(old.q, new.q)
    assert np.ptp(new.scale / old.scale) > 0.1


def shared(graph: nir.NIRGraph) -> None:
    graph.edges.append(("w2", "a"))


def quantised(graph: nir.NIRGraph) -> None:
    graph.nodes.update(QuantizeWeights()(graph).nodes)


def no_gain(graph: nir.NIRGraph) -> None:
    graph.nodes["a"].r = np.where(np.arange(8) == 2, 0.0, graph.nodes["a"].r)


@pytest.mark.parametrize(
    ("spoil", "code", "words"),
    [
        (shared, "NB202", "weight node 'w2' feeds"),
        (quantised, "NB212", "is quantised already"),
        (no_gain, "NB124", "node 'a' takes no input: r or w_in is 0 at 1 of 8"),
    ],
)
def test_what_has_no_exact_rewriting_is_refused(
    random: Random, spoil: Callable[[nir.NIRGraph], None], code: str, words: str
) -> None:
    graph = random(2)
    spoil(graph)
    with pytest.raises(Unsupported, match=words) as caught:
        RescaleLif()(graph)
    assert caught.value.code == code
    assert [finding.code for finding in caught.value.findings] == [code]


def test_a_source_without_weights_is_refused(random: Random) -> None:
    graph = random(2)
    graph.nodes["s"] = nir.Scale(scale=np.ones(8))
    graph.edges += [("b", "s"), ("s", "a")]
    with pytest.raises(Unsupported, match=r"'a' is fed by 's' \(Scale\)") as caught:
        RescaleLif()(graph)
    assert caught.value.code == "NB202"
