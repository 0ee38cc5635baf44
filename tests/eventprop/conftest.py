"""Small stacks, data and gradients for the tests of the trainer."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.data import Dataset
from nirbridge.graph import make
from nirbridge.graph.stack import layered
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop.adam import total_gradient
from nirbridge_eventprop.executor import BatchResult, Executor
from nirbridge_eventprop.losses import LOSSES
from nirbridge_eventprop.stack import Stack, stack_of

DT = 1e-3
STEPS = 40
INPUTS, HIDDEN, OUTPUTS = 8, 10, 3


def with_li(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with an LI in place of its CubaLI read-out: spikes jump V directly."""
    size = len(graph.nodes["out"].tau_mem)
    nodes = dict(graph.nodes)
    nodes["out"] = nir.LI(tau=np.full(size, 0.02), r=np.full(size, 3.0), v_leak=np.full(size, 0.1))
    return make(nodes, graph.edges, graph.metadata)


@pytest.fixture
def make_stack() -> Callable[..., Stack]:
    """make_stack(rng, read_out, hidden, recurrent, arithmetic): a random stack that spikes."""

    def build_stack(
        rng: np.random.Generator,
        *,
        read_out: str = "cubali",
        hidden: tuple[int, ...] = (HIDDEN,),
        recurrent: bool = True,
        arithmetic: Any = "float64",
    ) -> Stack:
        graph = layered(
            inputs=INPUTS,
            hidden=hidden,
            outputs=OUTPUTS,
            dt=DT,
            rng=rng,
            recurrent=recurrent,
            input_mean=0.9,
            input_sd=0.6,
            hidden_mean=0.4,
            hidden_sd=0.5,
            recurrent_sd=0.3,
            output_sd=0.6,
        )
        if read_out == "li":
            graph = with_li(graph)
        return stack_of(build(with_semantics(graph, Semantics(dt=DT, decay="exact", arithmetic=arithmetic))))

    return build_stack


@pytest.fixture
def make_spikes() -> Callable[..., Spikes]:
    """make_spikes(rng, samples): random input of 40 steps."""

    def spikes(rng: np.random.Generator, samples: int = 3) -> Spikes:
        grid = rng.random((samples, STEPS, INPUTS)) < 0.12
        return Spikes.from_dense(grid.astype(int), DT)

    return spikes


@pytest.fixture
def run_batch() -> Callable[..., tuple[BatchResult, np.ndarray]]:
    """run_batch(stack, spikes, labels, …): result of a batch and its mean gradient, flat like the weights."""

    def run(
        stack: Stack,
        spikes: Spikes,
        labels: Any,
        *,
        loss: str = "xent-mean",
        weights: np.ndarray | None = None,
        slope: str = "crossing",
        threads: int = 1,
        shards: int = 1,
        capacity: int | None = None,
        learn: bool = True,
    ) -> tuple[BatchResult, np.ndarray]:
        executor = Executor(stack, threads=threads, shards=shards, slope=slope, slope_floor=0.01)
        if capacity is not None:
            executor._capacity = capacity
        omega = LOSSES[loss].omega(spikes.n_steps(DT), DT)
        result = executor.run(
            spikes,
            np.asarray(labels, np.int64),
            stack.weights if weights is None else weights,
            omega=omega,
            omega_read=omega,
            learn=learn,
        )
        gradient = np.zeros_like(stack.weights)
        factor = stack.gradient_factor / stack.gradient_factor.dtype.type(spikes.n_samples)
        total_gradient(executor.gradients, factor, gradient)
        executor.close()
        return result, gradient

    return run


@pytest.fixture
def graph() -> nir.NIRGraph:
    """20 inputs, 24 recurrent CubaLIF, 3 CubaLI."""
    return conformance.example_graph(np.random.default_rng(5))


@pytest.fixture
def data() -> Dataset:
    """12 samples of 3 classes."""
    return conformance.example_data(np.random.default_rng(6))


@pytest.fixture
def weights_by_epoch() -> Callable[..., list[dict[str, np.ndarray]]]:
    """weights_by_epoch(trainer, graph, data, path): checkpoints before and after each epoch."""

    def train(trainer: Any, graph: nir.NIRGraph, data: Dataset, path: Any) -> list[dict[str, np.ndarray]]:
        seen: list[dict[str, np.ndarray]] = []

        def look(stats: Any) -> None:
            if len(seen) < stats.epoch:
                seen.append(arrays())

        def arrays() -> dict[str, np.ndarray]:
            with np.load(path) as file:
                return {name: file[name] for name in ("weights", "average", "mean_counts")}

        trainer.fit(graph, data, rng=np.random.default_rng(0), checkpoint=path, on_step=look)
        return [*seen, arrays()]

    return train
