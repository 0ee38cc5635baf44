"""The coefficients of one step against the formulas of SEMANTICS §3, for every kind of neuron."""

from __future__ import annotations

from itertools import product
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.network import Population, build
from nirbridge.semantics import Semantics

N = 4
RNG = np.random.default_rng(0)
TAU_M, TAU_S = RNG.uniform(5, 50, N), RNG.uniform(2, 20, N)
R, W_IN, LEAK = RNG.uniform(0.5, 2, N), RNG.uniform(0.5, 2, N), RNG.normal(size=N)
THETA, RESET = RNG.uniform(0.5, 2, N), RNG.normal(size=N) / 9

SPIKE: dict[str, Any] = {"v_threshold": THETA, "v_reset": RESET}
LEAKY: dict[str, Any] = {"tau": TAU_M, "r": R, "v_leak": LEAK}
CUBA: dict[str, Any] = {"tau_mem": TAU_M, "tau_syn": TAU_S, "r": R, "v_leak": LEAK, "w_in": W_IN}
NODES: dict[str, nir.NIRNode] = {
    "i": nir.I(r=R),
    "if": nir.IF(r=R, **SPIKE),
    "li": nir.LI(**LEAKY),
    "lif": nir.LIF(**LEAKY, **SPIKE),
    "cubali": nir.CubaLI(**CUBA),
    "cubalif": nir.CubaLIF(**CUBA, **SPIKE),
}
DT = 0.5e-3
DECAYS = [("euler", None), ("exact", None), ("exact", "euler"), ("euler", "exact")]
GAINS = ["matched", "euler", "unit", "dirac"]
ORDERS = ["current-first", "voltage-first", "exact"]


def population(node: nir.NIRNode, **semantics: Any) -> Population:
    ports = {
        "input": nir.Input(input_type={"input": np.array([N])}),
        "output": nir.Output(output_type={"output": np.array([N])}),
    }
    graph = make({**ports, "n": node}, [("input", "n"), ("n", "output")])
    net = build(graph, Semantics(**({"dt": DT, "time_unit": 1e-3} | semantics)))
    return net.populations[net.index("n")]


def factors(tau: np.ndarray, decay: str) -> np.ndarray:
    return 1 - DT / (tau * 1e-3) if decay == "euler" else np.exp(-DT / (tau * 1e-3))


def close(a: np.ndarray, b: np.ndarray | float) -> bool:
    return bool(np.allclose(a, b, rtol=1e-12, atol=0)) and a.shape == (N,)


@pytest.mark.parametrize("kind", NODES)
def test_threshold_reset_and_start(kind: str) -> None:
    p = population(NODES[kind])
    assert (p.kind, p.size, p.is_neuron) == (kind, N, True)
    assert p.spiking == (kind in {"if", "lif", "cubalif"})
    assert p.cuba == (kind in {"cubali", "cubalif"})
    assert close(p.threshold, THETA if p.spiking else np.inf)
    assert close(p.v_reset, RESET if p.spiking else np.zeros(N))
    assert not p.v_start.any()
    assert not p.i_start.any()
    if kind not in {"i", "if"}:
        assert close(population(NODES[kind], v_init="leak").v_start, LEAK)


@pytest.mark.parametrize(("gain", "integrate"), list(product(GAINS, ["step", "time"])))
@pytest.mark.parametrize("kind", ["i", "if"])
def test_integrators_add_per_step_or_per_time(kind: str, gain: str, integrate: str) -> None:
    p = population(NODES[kind], gain=gain, integrate=integrate)
    per = 1.0 if integrate == "step" else DT / 1e-3
    assert close(p.a_m, 1.0)
    assert close(p.b_m, per * (np.ones(N) if gain == "unit" else R))
    assert not p.leak.any()


@pytest.mark.parametrize(("decay", "gain"), list(product(["euler", "exact"], GAINS)))
@pytest.mark.parametrize("kind", ["li", "lif"])
def test_leaky_neurons(kind: str, decay: str, gain: str) -> None:
    p = population(NODES[kind], decay=decay, gain=gain)
    a_m = factors(TAU_M, decay)
    g_m = {"matched": 1 - a_m, "euler": DT / (TAU_M * 1e-3), "unit": 1 / R, "dirac": 1 / TAU_M}[gain]
    assert close(p.a_m, a_m)
    assert close(p.leak, (1 - a_m) * LEAK)
    assert close(p.b_m, g_m * R)


@pytest.mark.parametrize(("decays", "gain", "order"), list(product(DECAYS, GAINS, ORDERS)))
@pytest.mark.parametrize("kind", ["cubali", "cubalif"])
def test_current_based_neurons(kind: str, decays: tuple[str, str | None], gain: str, order: str) -> None:
    decay, decay_syn = decays
    p = population(NODES[kind], decay=decay, decay_syn=decay_syn, gain=gain, order=order)
    a_m, a_s = factors(TAU_M, decay), factors(TAU_S, decay_syn or decay)
    t_m, t_s = TAU_M * 1e-3, TAU_S * 1e-3
    g_s = {"matched": 1 - a_s, "euler": DT / t_s, "unit": 1 / W_IN, "dirac": 1 / TAU_S}[gain]
    assert close(p.a_m, a_m)
    assert close(p.a_s, a_s)
    assert close(p.leak, (1 - a_m) * LEAK)
    assert close(p.b_s, g_s * W_IN)
    r = np.ones(N) if gain == "unit" else R
    if order != "exact":
        g_m = {"matched": 1 - a_m, "euler": DT / t_m, "unit": 1.0, "dirac": 1 - a_m}[gain]
        assert close(p.b_m, g_m * r)
    elif decays == ("exact", None):
        assert np.allclose(p.b_m, r * t_s / (t_m - t_s) * (a_m - a_s), rtol=1e-10)


@pytest.mark.parametrize("apart", [0.0, 1e-13, 1e-9, 1e-5])
def test_the_exact_coupling_has_no_jump_where_time_constants_meet(apart: float) -> None:
    tau = np.full(N, 10.0)
    node = nir.CubaLIF(**(CUBA | {"tau_mem": tau, "tau_syn": tau * (1 + apart), "r": np.ones(N)}), **SPIKE)
    p = population(node, decay="exact", gain="dirac", order="exact")
    limit = DT / 1e-2 * np.exp(-DT / 1e-2)
    assert np.allclose(p.b_m, limit, rtol=apart + 1e-12)


@pytest.mark.parametrize(
    ("delay", "steps"), [(0.0, 0), (0.24, 0), (0.25, 1), (0.5, 1), (0.74, 1), (0.75, 2), (30.0, 60)]
)
def test_a_delay_is_rounded_to_steps(delay: float, steps: int) -> None:
    assert population(nir.Delay(delay=np.full(N, delay))).delay_steps.tolist() == [steps] * N


def test_parameters_of_one_value_hold_for_all_neurons() -> None:
    node = nir.LIF(**LEAKY, v_threshold=THETA, v_reset=RESET)
    node.r, node.v_reset = np.array(2.0), None
    p = population(node)
    assert close(p.b_m, 2.0 * (1 - p.a_m))
    assert close(p.v_reset, np.zeros(N))
