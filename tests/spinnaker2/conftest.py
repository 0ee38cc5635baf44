"""Small graphs for the tests of SpiNNaker2."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes

DT = 1e-3


def cuba(n: int, **fields: Any) -> nir.CubaLIF:
    values = {
        "tau_mem": 0.02,
        "tau_syn": 0.005,
        "r": 1.0,
        "w_in": 5.5,
        "v_leak": 0.0,
        "v_threshold": 1.0,
        "v_reset": 0.0,
    }
    arrays = {k: np.broadcast_to(np.asarray(v, float), (n,)).copy() for k, v in (values | fields).items()}
    return nir.CubaLIF(**arrays)


def lif(n: int, **fields: Any) -> nir.LIF:
    values = {"tau": 0.01, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    arrays = {k: np.broadcast_to(np.asarray(v, float), (n,)).copy() for k, v in (values | fields).items()}
    return nir.LIF(**arrays)


def cubali(n: int) -> nir.CubaLI:
    one = np.ones(n)
    return nir.CubaLI(tau_mem=0.02 * one, tau_syn=0.005 * one, r=one, v_leak=0 * one, w_in=one)


def graph_of(nodes: dict[str, nir.NIRNode], edges: list[tuple[str, str]], **semantics: Any) -> nir.NIRGraph:
    return with_semantics(make(nodes, edges), Semantics(**{"dt": DT, "decay": "exact", **semantics}))


def ports(n_in: int, n_out: int) -> dict[str, nir.NIRNode]:
    return {
        "input": nir.Input(input_type={"input": np.array([n_in])}),
        "output": nir.Output(output_type={"output": np.array([n_out])}),
    }


@pytest.fixture
def recurrent() -> Callable[..., nir.NIRGraph]:
    """Input → CubaLIF ⇄ → read-out (CubaLI) or a second CubaLIF."""

    def build(
        n_in: int = 12, hidden: int = 40, n_out: int = 5, spiking: bool = False, **semantics: Any
    ) -> nir.NIRGraph:
        rng = np.random.default_rng(7)

        def weight(post: int, pre: int, mean: float) -> nir.Linear:
            return nir.Linear(weight=rng.normal(mean, 1.0, (post, pre)).astype(np.float32) / np.sqrt(pre))

        nodes = ports(n_in, n_out) | {
            "w_in": weight(hidden, n_in, 0.5),
            "h": cuba(hidden),
            "w_rec": weight(hidden, hidden, 0.0),
            "w_out": weight(n_out, hidden, 0.3),
            "o": cuba(n_out) if spiking else cubali(n_out),
        }
        edges = [
            ("input", "w_in"),
            ("w_in", "h"),
            ("h", "w_rec"),
            ("w_rec", "h"),
            ("h", "w_out"),
            ("w_out", "o"),
        ]
        return graph_of(nodes, [*edges, ("o", "output")], **semantics)

    return build


@pytest.fixture
def noise() -> Callable[..., Spikes]:
    """Random spikes, several per channel and step possible."""

    def build(n_samples: int = 5, steps: int = 60, n_units: int = 12, rate: float = 0.2) -> Spikes:
        rng = np.random.default_rng(3)
        return Spikes.from_dense(rng.poisson(rate, (n_samples, steps, n_units)), DT)

    return build


@pytest.fixture
def build() -> Any:
    """The builders above, for tests that wire their own graph."""

    class Build:
        cuba = staticmethod(cuba)
        lif = staticmethod(lif)
        cubali = staticmethod(cubali)
        graph = staticmethod(graph_of)
        ports = staticmethod(ports)

    return Build
