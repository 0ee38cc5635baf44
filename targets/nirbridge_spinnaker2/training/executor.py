"""Runs batches of a stack: places of a batch over threads, each with its own gradient."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.training.batch import run_samples
from nirbridge_spinnaker2.training.formats import Format
from nirbridge_spinnaker2.training.forward import TRACES
from nirbridge_spinnaker2.training.structure import Stack

WORTH_THREADS = 2_000_000  # neuron steps of a batch below which one thread is faster


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Input events of a data set by sample: offsets (n+1,), steps and units (events,), T steps."""

    offsets: NDArray[np.int64]
    steps: NDArray[np.int64]
    units: NDArray[np.int32]
    n_steps: int


@dataclass(slots=True, eq=False)
class BatchResult:
    """loss (batch, 2) with its cross-entropy part, first (batch, outputs) [steps], counts (batch, states).

    clamped: fixed-point results that did not fit 32 bits. spikes (batch, T, states) and trace
    (batch, 6, T, states) where they were asked for.
    """

    loss: NDArray[np.float64]
    first: NDArray[np.int64]
    counts: NDArray[np.int32]
    clamped: int
    spikes: NDArray[np.uint8]
    trace: NDArray[Any]

    @property
    def predictions(self) -> NDArray[np.int64]:
        """argmin t, the first on a tie: class 0 where no output spikes."""
        return np.asarray(self.first.argmin(axis=1), np.int64)


class Executor:
    """One stack in one format, and its threads. ``gradients`` (batch, weights) are of the last batch."""

    def __init__(
        self,
        stack: Stack,
        form: Format,
        *,
        xi: float,
        alpha_r: float,
        beta_r: float,
        unscaled: bool = False,
        threads: int = 1,
    ) -> None:
        self.stack, self.form, self.unscaled = stack, form, unscaled
        self.options = np.array([xi, alpha_r, beta_r])
        coef = stack.coef.copy()
        if unscaled:
            coef[:, 5] = 1.0
        self.coef = form.numbers(coef)
        self.threads = threads or os.cpu_count() or 1
        self.worth_threads = WORTH_THREADS
        self.pool = ThreadPoolExecutor(self.threads)
        self.gradients = np.zeros((0, len(stack.weights)), form.dtype)

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()

    def run(
        self,
        events: Events,
        samples: NDArray[np.int64],
        labels: NDArray[np.int64],
        weights: NDArray[np.floating],
        *,
        learn: bool = False,
        key: int = 0,
        spikes: bool = False,
        trace: bool = False,
    ) -> BatchResult:
        """Run the samples; with ``learn`` their gradients are left in ``gradients``.

        labels (data,), −1 where unknown. weights (flat,): the master weights, rounded to the format. key: of
        stochastic rounding.
        """
        stack, n = self.stack, len(samples)
        states, n_steps = stack.states, events.n_steps
        if learn and len(self.gradients) != n:
            self.gradients = np.zeros((n, len(stack.weights)), self.form.dtype)
        loss = np.zeros((n, 2))
        first = np.zeros((n, stack.sizes[-1]), np.int64)
        counts = np.zeros((n, states), np.int32)
        clamped = np.zeros(n, np.int64)
        grid = np.zeros((n, n_steps, states) if spikes else (0, 0, 0), np.uint8)
        traces = np.zeros((n, TRACES, n_steps, states) if trace else (0, 0, 0, 0), self.form.dtype)
        numbers = self.form.numbers(weights)
        share = 1.0 if self.unscaled else 1.0 / max(n, 1)
        rule = self.form.rule

        def part(begin: int, end: int) -> None:
            run_samples(
                begin, end, samples, events.offsets, events.steps, events.units, labels, n_steps,
                stack.sizes[0], stack.layers, self.coef, numbers, self.options, share, learn, rule,
                np.uint64(key), self.gradients, loss, first, counts, clamped, grid, traces,
            )  # fmt: skip

        parts = min(self.threads, n) if n * n_steps * states > self.worth_threads else 1
        if parts > 1:
            list(self.pool.map(lambda k: part(n * k // parts, n * (k + 1) // parts), range(parts)))
        else:
            part(0, n)
        return BatchResult(loss, first, counts, int(clamped.sum()), grid, traces)


def events_of(spikes: Spikes, stack: Stack) -> Events:
    """The events of a data set; raises `BadInput` (NB501) where it does not fit the stack's input."""
    if spikes.n_units > stack.sizes[0]:
        raise BadInput(
            f"the data have {spikes.n_units} units, the graph's input has {stack.sizes[0]}",
            code="NB501",
            fix="use a graph with as many inputs as the data have units",
        )
    if spikes.values is not None:
        raise BadInput(
            "graded input spikes are not supported by trainer 'spinnaker2'",
            code="NB501",
            fix="use data without values",
        )
    dt = stack.network.semantics.dt
    n_steps = spikes.n_steps(dt)
    if n_steps < 3:
        raise BadInput(
            f"the samples last {n_steps} steps, first-spike training needs 3 at least",
            code="NB501",
            fix="use a smaller dt or longer samples",
        )
    return Events(spikes.offsets, spikes.steps(dt), spikes.units, n_steps)
