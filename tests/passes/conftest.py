"""Random networks whose neurons all have other gains, and their spikes on the reference."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest
from numpy.random import Generator

from nirbridge.graph import make
from nirbridge.recording import Recording
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes

INPUTS, HIDDEN, CLASSES = 6, 8, 3
Random = Callable[[int], nir.NIRGraph]
Run = Callable[[nir.NIRGraph], Recording]


def random_semantics(rng: Generator) -> Semantics:
    decay = str(rng.choice(["euler", "exact"]))
    exact = decay == "exact" and rng.random() < 0.3
    options: dict[str, Any] = {
        "decay": decay,
        "gain": "dirac" if exact else str(rng.choice(["matched", "euler"])),
        "order": "exact" if exact else str(rng.choice(["current-first", "voltage-first"])),
        "reset": str(rng.choice(["value", "subtract"])),
        "compare": str(rng.choice([">", ">="])),
        "feedforward_delay": int(rng.integers(2)),
        "arithmetic": "float64",
    }
    return Semantics(dt=1e-3, **options)


def random_graph(seed: int, dtype: Any = np.float64) -> nir.NIRGraph:
    """Two recurrent layers (CubaLIF, LIF) and a CubaLI read-out; every parameter differs by neuron."""
    rng = np.random.default_rng(seed)

    def parameters(n: int, cuba: bool, spiking: bool) -> dict[str, Any]:
        values = {"v_leak": rng.normal(0, 0.05, n), "r": rng.uniform(0.5, 2, n) * rng.choice([-1, 1, 1], n)}
        if cuba:
            values |= {"tau_mem": rng.uniform(0.005, 0.03, n), "tau_syn": rng.uniform(0.002, 0.01, n)}
            values["w_in"] = rng.uniform(2, 8, n)
        else:
            values["tau"] = rng.uniform(0.005, 0.03, n)
        if spiking:
            values |= {"v_threshold": rng.uniform(0.5, 1.5, n), "v_reset": rng.normal(0, 0.1, n)}
        return {name: value.astype(dtype) for name, value in values.items()}

    def weight(post: int, pre: int, sd: float) -> np.ndarray:
        return rng.normal(sd / 3, sd, (post, pre)).astype(dtype)

    def affine(post: int, pre: int, sd: float) -> nir.Affine:
        return nir.Affine(weight=weight(post, pre, sd), bias=rng.normal(0, 0.1, post).astype(dtype))

    graph = make(
        {
            "input": nir.Input(input_type={"input": np.array([INPUTS])}),
            "w1": affine(HIDDEN, INPUTS, 12.0),
            "a": nir.CubaLIF(**parameters(HIDDEN, True, True)),
            "ra": nir.Linear(weight=weight(HIDDEN, HIDDEN, 2.0)),
            "w2": affine(HIDDEN, HIDDEN, 20.0),
            "b": nir.LIF(**parameters(HIDDEN, False, True)),
            "rb": nir.Linear(weight=weight(HIDDEN, HIDDEN, 2.0)),
            "w3": nir.Linear(weight=weight(CLASSES, HIDDEN, 3.0)),
            "out": nir.CubaLI(**parameters(CLASSES, True, False)),
            "output": nir.Output(output_type={"output": np.array([CLASSES])}),
        },
        [
            ("input", "w1"), ("w1", "a"), ("a", "ra"), ("ra", "a"), ("a", "w2"), ("w2", "b"),
            ("b", "rb"), ("rb", "b"), ("b", "w3"), ("w3", "out"), ("out", "output"),
        ],
    )  # fmt: skip
    return with_semantics(graph, random_semantics(rng))


def run_reference(graph: nir.NIRGraph) -> Recording:
    """Five random samples of 60 steps."""
    from nirbridge_reference import Reference

    rng = np.random.default_rng(0)
    spikes = Spikes.from_dense(rng.random((5, 60, INPUTS)) < 0.2, 1e-3)
    program = Reference(threads=1).compile(graph)
    return program.run(spikes, record=["a", "b", "a:v", "b:v", "out:v"])


@pytest.fixture(scope="session")
def random() -> Callable[..., nir.NIRGraph]:
    return random_graph


@pytest.fixture(scope="session")
def run() -> Run:
    return run_reference
