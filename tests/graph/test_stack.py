"""A generated stack of layers: valid, seeded, with the coefficients of EventProp's step."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import equal
from nirbridge.graph.stack import layered
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.validate import validate

DT = 1e-3


def stack(seed: int = 0, **options: Any) -> nir.NIRGraph:
    given: dict[str, Any] = {"inputs": 5, "hidden": [7, 6], "outputs": 3, "dt": DT} | options
    return layered(rng=np.random.default_rng(seed), **given)


@pytest.mark.parametrize("recurrent", [False, True])
def test_the_layers_are_those_asked_for(recurrent: bool) -> None:
    graph = stack(recurrent=recurrent)
    loops = {"r1", "r2"} if recurrent else set()
    assert set(graph.nodes) == {
        "input", "w1", "hidden1", "w2", "hidden2", "w_out", "out", "output", *loops
    }  # fmt: skip
    shapes = {name: node.weight.shape for name, node in graph.nodes.items() if isinstance(node, nir.Linear)}
    assert {name: shapes[name] for name in ("w1", "w2", "w_out")} == {
        "w1": (7, 5),
        "w2": (6, 7),
        "w_out": (3, 6),
    }
    findings = validate(with_semantics(graph, Semantics(dt=DT, decay="exact")), running=True)
    assert [str(f) for f in findings if f.level != "info"] == []


def test_the_seed_decides_the_weights() -> None:
    assert equal(stack(1), stack(1))
    assert not equal(stack(1), stack(2))
    zero = stack(input_sd=0.0, input_mean=0.25)
    assert np.all(zero.nodes["w1"].weight == np.float32(0.25))


@pytest.mark.parametrize(("tau_mem", "tau_syn"), [(0.02, 0.005), (0.01, 0.01)])
def test_a_weight_is_the_jump_of_i_and_i_drives_v_as_in_continuous_time(
    tau_mem: float, tau_syn: float
) -> None:
    graph = stack(tau_mem=tau_mem, tau_syn=tau_syn)
    network = build(graph, Semantics(dt=DT, decay="exact"))
    for p in (network.populations[at] for at in network.neurons):
        assert np.allclose(p.b_s, 1.0, rtol=1e-6)
        assert np.allclose(p.a_m, np.exp(-DT / tau_mem), rtol=1e-6)
        alpha, beta = np.exp(-DT / tau_mem), np.exp(-DT / tau_syn)
        if tau_mem == tau_syn:
            kappa = DT / tau_mem * alpha
        else:
            kappa = tau_syn / (tau_mem - tau_syn) * (alpha - beta)
        assert np.allclose(p.b_m, kappa, rtol=1e-6)
