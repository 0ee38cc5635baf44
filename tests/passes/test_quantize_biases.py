"""Biases become whole steps of the weights that arrive, on the membrane."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph import digest, make
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import build
from nirbridge.passes import Pipeline, QuantizeBiases, QuantizeDecays, QuantizeWeights, RescaleLif
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_loihi2.netx_lower import to_network
from nirbridge_reference import Reference

DT = 1e-3


def neuron(kind: str, n: int, v_leak: float) -> nir.NIRNode:
    full = np.ones(n)
    fields: dict[str, Any] = {"r": full, "v_leak": np.linspace(-v_leak, v_leak, n), "v_threshold": full,
                              "v_reset": 0 * full}  # fmt: skip
    if kind == "cubalif":
        return nir.CubaLIF(tau_syn=5e-3 * full, tau_mem=20e-3 * full, w_in=full, **fields)
    return nir.LIF(tau=20e-3 * full, **fields)


def graph(kind: str, *, v_leak: float = 0.3, bias: float = 0.5, seed: int = 0) -> nir.NIRGraph:
    """Input → Affine → neurons (recurrent, with a bias of its own) → Linear → LI, weights quantised."""
    rng = np.random.default_rng(seed)
    nodes = {
        "input": nir.Input(np.array([6])),
        "w": nir.Affine(rng.normal(0.5, 2, (8, 6)), bias * rng.normal(0, 1, 8)),
        "h": neuron(kind, 8, v_leak),
        "loop": nir.Affine(rng.normal(0, 1, (8, 8)), bias * rng.normal(0, 1, 8)),
        "w_out": nir.Affine(rng.normal(0, 1, (3, 8)), np.zeros(3)),
        "out": nir.LI(tau=np.full(3, 20e-3), r=np.ones(3), v_leak=np.zeros(3)),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "loop"), ("loop", "h"), ("h", "w_out"), ("w_out", "out"),
             ("out", "output")]  # fmt: skip
    semantics = Semantics(dt=DT, decay="exact", arithmetic="float64")
    return Pipeline((RescaleLif(), QuantizeWeights(), QuantizeDecays()))(
        with_semantics(make(nodes, edges), semantics)
    )


def drive(found: nir.NIRGraph) -> tuple[np.ndarray, float]:
    """Steady bias of V a step in weight steps, (8,), and one weight step in units of V."""
    network = build(found)
    p = network.populations[network.index("h")]
    q = quantization_of(found.nodes["w"], "w")
    assert q is not None
    quantum = float(q.scale[0]) * float((p.b_s * p.b_m)[0])
    own = sum(np.asarray(found.nodes[name].bias, np.float64) for name in ("w", "loop"))
    gain = p.b_m * p.b_s / (1 - p.a_s) if p.cuba else p.b_m
    return (p.leak + gain * own) / quantum, quantum


@pytest.mark.parametrize("kind", ["lif", "cubalif"])
@pytest.mark.parametrize("exponent", [0, 5, 6, 7])
def test_biases_are_whole_steps_of_the_exponent(kind: str, exponent: int) -> None:
    before = graph(kind)
    after = QuantizeBiases(exponent=exponent)(before)
    old, quantum = drive(before)
    new, same = drive(after)
    assert quantum == same
    needed = int(np.ceil(np.log2(64 * np.abs(old).max() / 4095)))  # for mantissas of 13 bits
    unit = 2.0 ** (max(exponent, needed) - 6)
    np.testing.assert_allclose(new / unit, np.rint(new / unit), atol=1e-4)
    terms = 1 if kind == "cubalif" else 3  # a leak and two biases, each rounded by itself
    assert np.all(np.abs(new - old) <= terms * unit / 2 * (1 + 1e-5))
    assert digest(QuantizeBiases(exponent=exponent)(after)) == digest(after)
    for name in ("input", "w_out", "out"):
        assert digest(make({"n": after.nodes[name]}, [])) == digest(make({"n": before.nodes[name]}, []))
    assert np.any(after.nodes["w"].bias) != (kind == "cubalif")


@pytest.mark.parametrize("kind", ["lif", "cubalif"])
def test_whole_biases_behind_no_synapse_change_no_spike(kind: str) -> None:
    """A second pass finds nothing; without rounding and without a synapse the network is the same."""
    once = QuantizeBiases()(graph(kind))
    again = QuantizeBiases()(once)
    grid = (np.random.default_rng(1).random((2, 200, 6)) < 0.2).astype(float)
    first, second = (Reference().compile(g).run_values(grid, record=["h"]) for g in (once, again))
    assert np.array_equal(first.spikes["h"].times, second.spikes["h"].times)
    assert len(first.spikes["h"].times) > 20


def test_a_moved_bias_keeps_the_steady_state_of_the_membrane() -> None:
    """Without a spike V settles where it did, within what rounding to 1/64 weight steps allows."""
    before = graph("cubalif", v_leak=0.1, bias=0.02)
    before.nodes["h"].v_threshold = np.full(8, 50.0)
    after = QuantizeBiases(exponent=0)(before)
    quiet = np.zeros((1, 600, 6))
    runs = [Reference().compile(g).run_values(quiet, record=["h:v"]) for g in (before, after)]
    a, b = (found.traces["h:v"][0] for found in runs)
    _, quantum = drive(before)
    network = build(before)
    p = network.populations[network.index("h")]
    assert np.abs(a[-1]).max() > 10 * np.abs(a[-1] - b[-1]).max()
    np.testing.assert_allclose(a[-1], b[-1], atol=quantum / 128 / (1 - p.a_m[0]) * 1.001)
    assert np.abs(a[3] - b[3]).max() > np.abs(a[-1] - b[-1]).max()  # what is lost: the onset


@pytest.mark.parametrize("kind", ["lif", "cubalif"])
def test_the_chips_own_file_holds_what_is_left(kind: str) -> None:
    """What NB207 refuses before, a `.net` file holds after it."""
    from nirbridge.passes import QuantizeThresholds

    legal = QuantizeThresholds()(graph(kind))
    with pytest.raises(Unsupported) as raised:
        to_network(legal)
    assert raised.value.code == "NB207"
    after = QuantizeBiases()(legal)
    network = to_network(after)
    np.testing.assert_array_equal(network.layers[0].bias >> 6, np.rint(drive(after)[0]).astype(int))
    assert np.any(network.layers[0].bias)


def test_too_large_biases_take_the_next_exponent_or_are_refused() -> None:
    steps = 1 / drive(graph("lif", bias=0.0))[1]
    large = graph("lif", bias=0.0, v_leak=5000 / steps / (1 - np.exp(-DT / 20e-3)))
    found = drive(QuantizeBiases()(large))[0]
    np.testing.assert_allclose(found / 2, np.rint(found / 2), atol=1e-3)
    beyond = graph("lif", bias=0.0, v_leak=9000 / steps / (1 - np.exp(-DT / 20e-3)))
    with pytest.raises(Unsupported, match="expected at most 8190") as raised:
        QuantizeBiases()(beyond)
    assert raised.value.code == "NB212"


def test_weights_must_be_integers_first() -> None:
    found = graph("lif")
    found.nodes["w"].metadata.clear()
    with pytest.raises(Unsupported, match="no integer weights") as raised:
        QuantizeBiases()(found)
    assert raised.value.code == "NB212"


def test_one_bias_for_a_synapse_and_a_membrane_is_refused() -> None:
    found = graph("cubalif")
    nodes = {**found.nodes, "h2": neuron("lif", 8, 0.1)}
    edges = [*found.edges, ("w", "h2"), ("h2", "w_out")]
    with pytest.raises(Unsupported, match="of which one has a synapse") as raised:
        QuantizeBiases()(make(nodes, edges, found.metadata))
    assert raised.value.code == "NB202"


@pytest.mark.parametrize("exponent", [-1, 8])
def test_options(exponent: int) -> None:
    with pytest.raises(UsageError, match="expected 0 to 7"):
        QuantizeBiases(exponent=exponent)
