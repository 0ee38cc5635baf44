"""Small graphs and spikes for the tests of the target loihi2."""

from __future__ import annotations

from types import SimpleNamespace

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.passes import Pipeline, QuantizeWeights, RescaleLif
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes

DT = 1e-3


def cubalif(n: int, tau_syn: float = 5e-3, tau_mem: float = 20e-3, **fields: float) -> nir.CubaLIF:
    """n neurons whose weights add to I as they are (w_in = 1/(1−a_s) under exact decay)."""
    values = {"r": 1.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    values |= {"w_in": 1 / (1 - np.exp(-DT / tau_syn)), **fields}
    return nir.CubaLIF(
        tau_syn=np.full(n, tau_syn),
        tau_mem=np.full(n, tau_mem),
        **{k: np.full(n, x) for k, x in values.items()},
    )


def cubali(n: int) -> nir.CubaLI:
    return nir.CubaLI(
        tau_syn=np.full(n, 5e-3),
        tau_mem=np.full(n, 20e-3),
        r=np.ones(n),
        v_leak=np.zeros(n),
        w_in=np.full(n, 1 / (1 - np.exp(-DT / 5e-3))),
    )


def semantics(**fields: object) -> Semantics:
    return Semantics(dt=DT, **{"decay": "exact", **fields})  # type: ignore[arg-type]


def recurrent(
    n_in: int = 20,
    n: int = 32,
    n_out: int = 4,
    *,
    seed: int = 0,
    hidden: nir.NIRNode | None = None,
    readout: nir.NIRNode | None = None,
    affine: bool = False,
    loop: float = 0.5,
    **fields: object,
) -> nir.NIRGraph:
    """Input → Linear → hidden (recurrent) → Linear → read-out → Output with random weights."""
    rng = np.random.default_rng(seed)
    w_in = rng.normal(0.3, 1.0, (n, n_in)) * 4 / np.sqrt(n_in)
    w_out = rng.normal(0.0, 1.0, (n_out, n)) * 4 / np.sqrt(n)
    first: nir.NIRNode = nir.Linear(w_in)
    if affine:
        first = nir.Affine(w_in, rng.normal(0.0, 0.02, n))
    nodes = {
        "input": nir.Input(np.array([n_in])),
        "w_in": first,
        "hidden": hidden or cubalif(n),
        "w_rec": nir.Linear(rng.normal(0.0, 1.0, (n, n)) * loop / np.sqrt(n)),
        "w_out": nir.Linear(w_out),
        "readout": readout or cubali(n_out),
        "output": nir.Output(np.array([n_out])),
    }
    edges = [
        ("input", "w_in"), ("w_in", "hidden"), ("hidden", "w_rec"), ("w_rec", "hidden"),
        ("hidden", "w_out"), ("w_out", "readout"), ("readout", "output"),
    ]  # fmt: skip
    return with_semantics(make(nodes, edges), semantics(**fields))


def quantised(graph: nir.NIRGraph) -> nir.NIRGraph:
    """What the target's own passes make of a graph."""
    return Pipeline((RescaleLif(), QuantizeWeights()))(graph)


def random_spikes(
    n_samples: int = 3, n_in: int = 20, steps: int = 80, rate: float = 0.05, seed: int = 1
) -> Spikes:
    grid = np.random.default_rng(seed).random((n_samples, steps, n_in)) < rate
    return Spikes.from_dense(grid.astype(int), DT)


@pytest.fixture
def build() -> SimpleNamespace:
    """The builders of this file."""
    return SimpleNamespace(
        cubalif=cubalif,
        cubali=cubali,
        semantics=semantics,
        recurrent=recurrent,
        quantised=quantised,
        random_spikes=random_spikes,
        dt=DT,
    )
