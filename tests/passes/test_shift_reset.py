"""`shift-reset`: exact where V starts at v_reset, and it says where it does not."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import FindingWarning, Unsupported
from nirbridge.graph import make
from nirbridge.passes import ShiftReset
from nirbridge.semantics import Semantics, semantics_of, with_semantics

Random = Callable[..., nir.NIRGraph]
Run = Callable[[nir.NIRGraph], Any]


def under(graph: nir.NIRGraph, **fields: Any) -> nir.NIRGraph:
    return with_semantics(graph, replace(semantics_of(graph), **fields))


@pytest.mark.parametrize("seed", range(6))
def test_from_the_leak_every_spike_stays(random: Random, run: Run, seed: int) -> None:
    graph = under(random(seed), reset="value", v_init="leak")
    with warnings.catch_warnings():
        warnings.simplefilter("error", FindingWarning)
        after = ShiftReset()(graph)
    c = graph.nodes["a"].v_reset
    np.testing.assert_array_equal(after.nodes["a"].v_reset, 0 * c)
    np.testing.assert_allclose(after.nodes["a"].v_threshold, graph.nodes["a"].v_threshold - c)
    np.testing.assert_allclose(after.nodes["a"].v_leak, graph.nodes["a"].v_leak - c)
    before, shifted = run(graph), run(after)
    for name in ("a", "b"):
        assert before.spikes[name].counts().sum() > 20
        assert np.array_equal(before.spikes[name].to_dense(1e-3), shifted.spikes[name].to_dense(1e-3))
    moved = before.traces["a:v"] - shifted.traces["a:v"]
    np.testing.assert_allclose(moved, np.broadcast_to(c, moved.shape), atol=1e-5)


def one_neuron(**fields: Any) -> nir.NIRGraph:
    one = np.ones(1)
    values = {"tau": 0.02 * one, "r": 20 * one, "v_leak": 0 * one, "v_threshold": one, "v_reset": -0.5 * one}
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "n": nir.LIF(**(values | fields)),
        "output": nir.Output({"output": np.array([1])}),
    }
    return make(nodes, [("input", "n"), ("n", "output")])


def spikes_and_v(graph: nir.NIRGraph, x: list[float]) -> tuple[list[int], np.ndarray]:
    from nirbridge_reference import Reference

    semantics = Semantics(dt=1e-3, arithmetic="float64")
    program = Reference(threads=1).compile(with_semantics(graph, semantics))
    done = program.run_values(np.array(x).reshape(1, -1, 1), record=["n", "n:v"])
    return done.spikes["n"].to_dense(1e-3)[0, :, 0].astype(int).tolist(), done.traces["n:v"][0, :, 0]


def test_from_zero_the_difference_lasts_until_the_first_reset() -> None:
    graph = one_neuron()
    with pytest.warns(FindingWarning, match="V of 'n' starts at 0, which was v_reset") as caught:
        after = ShiftReset()(graph)
    finding = next(w.message.finding for w in caught if isinstance(w.message, FindingWarning))
    assert (finding.code, finding.level, finding.node) == ("NB204", "warning", "n")
    decay = 1 - 1e-3 / 0.02
    quiet = [0.0] * 10
    (_, v), (_, w) = spikes_and_v(graph, quiet), spikes_and_v(after, quiet)
    np.testing.assert_allclose(v + 0.5 - w, 0.5 * decay ** np.arange(1, 11), rtol=1e-6)
    rng = np.random.default_rng(0)
    busy = [9.0, *rng.uniform(0, 1.5, 40).tolist()]  # both reset in the first step
    (z, v), (y, w) = spikes_and_v(graph, busy), spikes_and_v(after, busy)
    assert z[0] == y[0] == 1 and 3 < sum(z) < 40
    assert z == y
    np.testing.assert_allclose(v + 0.5, w, atol=1e-6)


def test_subtraction_ignores_v_reset_and_the_profile_genn_does_not() -> None:
    graph = with_semantics(one_neuron(), Semantics(dt=1e-3, reset="subtract"))
    node = ShiftReset()(graph).nodes["n"]
    assert (node.v_reset[0], node.v_threshold[0], node.v_leak[0]) == (0.0, 1.0, 0.0)
    genn = Semantics.of_profile("genn", dt=1e-3, reset="subtract")
    with pytest.warns(FindingWarning):
        node = ShiftReset()(with_semantics(graph, genn)).nodes["n"]
    assert (node.v_reset[0], node.v_threshold[0], node.v_leak[0]) == (0.0, 1.5, 0.5)


@pytest.mark.parametrize("field", [{"multi_spike": True}, {"floor": "zero"}])
def test_rules_that_a_shift_would_break_are_refused(field: dict[str, Any]) -> None:
    graph = with_semantics(one_neuron(), Semantics(dt=1e-3, **field))
    with pytest.raises(Unsupported, match="membrane shifted by v_reset spikes otherwise") as caught:
        ShiftReset()(graph)
    assert caught.value.code == "NB210"
