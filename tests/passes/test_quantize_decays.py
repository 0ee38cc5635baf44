"""Decays become whole parts of 2^bits under the graph's own semantics, gains stay."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.errors import UsageError
from nirbridge.graph import digest, read_metadata, replace_nodes
from nirbridge.network import build
from nirbridge.passes import Pipeline, QuantizeDecays, QuantizeWeights, RescaleLif
from nirbridge.semantics import Semantics, semantics_of, with_semantics


def mixed(**fields):
    """The example graph with time constants that differ between the neurons of the hidden layer."""
    graph = conformance.example_graph(np.random.default_rng(0))
    node = graph.nodes["hidden1"]
    node.tau_mem = np.linspace(3e-3, 90e-3, 24).astype(np.float32)
    node.tau_syn = np.linspace(40e-3, 2e-3, 24).astype(np.float32)
    node.v_leak = np.linspace(0.0, 0.2, 24).astype(np.float32)
    return with_semantics(graph, Semantics(dt=1e-3, **fields))


CASES = [
    {"decay": "exact"},
    {"decay": "euler"},
    {"decay": "exact", "decay_syn": "euler"},
    {"decay": "euler", "time_unit": 1.0, "gain": "euler"},
    {"decay": "exact", "order": "exact", "gain": "dirac"},
]


@pytest.mark.parametrize("bits", [8, 12])
@pytest.mark.parametrize("fields", CASES)
def test_the_decay_is_a_whole_part_and_gains_stay(fields, bits):
    before = mixed(**fields)
    old, new = build(before), build(QuantizeDecays(bits=bits)(before))
    for name in ("hidden1", "out"):
        p, q = (n.populations[n.index(name)] for n in (old, new))
        for a, b in ((p.a_m, q.a_m), (p.a_s, q.a_s)):
            parts = 2**bits * (1 - b)
            np.testing.assert_allclose(parts, np.rint(2**bits * (1 - a)), atol=2**bits * 1e-6)
            assert np.abs(a - b).max() <= 0.5 / 2**bits + 1e-6
        np.testing.assert_allclose(p.b_m, q.b_m, rtol=1e-6)
        np.testing.assert_allclose(p.b_s, q.b_s, rtol=1e-6)
        assert q.node.v_leak.tolist() == p.node.v_leak.tolist()


@pytest.mark.parametrize("fields", CASES)
def test_applying_it_again_changes_nothing(fields):
    once = QuantizeDecays()(mixed(**fields))
    assert digest(QuantizeDecays()(once)) == digest(once)


def test_every_leaky_kind_and_time_unit():
    ones = np.ones(3)
    nodes = {
        "out": nir.LIF(tau=ones * 7.3, r=ones * 2, v_leak=ones * 0.1, v_threshold=ones, v_reset=0 * ones),
    }
    graph = conformance.example_graph(np.random.default_rng(0))
    for node in (nodes["out"], nir.LI(tau=ones * 7.3, r=ones, v_leak=0 * ones), nir.I(r=ones)):
        unit = with_semantics(
            replace_nodes(graph, {"out": node}), Semantics(dt=1e-3, decay="exact", time_unit=1e-3)
        )
        unit.nodes["hidden1"].tau_mem *= 1000
        unit.nodes["hidden1"].tau_syn *= 1000
        after = build(QuantizeDecays()(unit))
        p = after.populations[after.index("out")]
        if not isinstance(node, nir.I):
            assert p.a_m[0] == pytest.approx(1 - round(4096 * (1 - np.exp(-1 / 7.3))) / 4096, abs=1e-7)


def test_ends_of_the_range():
    graph = mixed(decay="exact")
    node = graph.nodes["hidden1"]
    node.tau_mem = np.full(24, 30.0, np.float32)  # 30 000 steps: rounds to no decay
    node.tau_syn = np.full(24, 1e-4, np.float32)  # a tenth of a step
    after = QuantizeDecays()(graph)
    np.testing.assert_array_equal(after.nodes["hidden1"].tau_mem, node.tau_mem)
    assert np.all(build(after).populations[build(after).index("hidden1")].a_s == 0.0)
    euler = mixed(decay="euler")
    euler.nodes["hidden1"].tau_syn = np.full(24, 1.0001e-3, np.float32)
    assert np.all(Pipeline((QuantizeDecays(),))(euler).nodes["hidden1"].tau_syn > 1e-3)


def test_history_names_and_options():
    graph = conformance.example_graph(np.random.default_rng(0))
    after = Pipeline((RescaleLif(), QuantizeWeights(), QuantizeDecays()))(graph)
    history = read_metadata(after).history
    assert [(h.pass_, h.options) for h in history][-1] == ("quantize-decays", {"bits": 12})
    assert list(after.nodes) == list(graph.nodes)
    assert semantics_of(after) == semantics_of(graph)
    with pytest.raises(UsageError, match="expected 2 to 16"):
        QuantizeDecays(bits=1)
