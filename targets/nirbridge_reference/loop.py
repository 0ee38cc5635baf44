"""Runs samples of a lowered graph through the compiled loop, spread over threads."""

from __future__ import annotations

import os
import time
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge_reference.finite import refuse_lost
from nirbridge_reference.gather import AHEAD
from nirbridge_reference.inputs import Events
from nirbridge_reference.kernels import run_sample
from nirbridge_reference.lower import Lowered
from nirbridge_reference.schedule import schedule

TAPE = 4096  # rows that a sample's tape starts with


class Loop:
    """A schedule and the threads that run it; results do not depend on ``threads`` (0: every core)."""

    def __init__(self, low: Lowered, threads: int) -> None:
        self.lowered = low
        self.schedule = schedule(low)
        self.threads = threads or os.cpu_count() or 1
        inputs = int(np.sum(low.pops[:, 0] == 0))
        nothing = {
            "recorded": np.zeros(len(low.pops), np.bool_),
            "traced": np.zeros((0, 3), np.int64),
            "columns": 0,
        }
        # compiles, so that a run's time is its own
        self.run(Events.empty(inputs, low.dtype), 0, nothing, 0)

    def run(
        self,
        events: Events,
        n_steps: int,
        plan: dict[str, Any],
        outputs: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[Any, ...]]:
        """(tape rows, tape, trace, output, counts, seconds) of every sample.

        plan: recorded (populations,) bool, traced (m, 3), columns: the width of a trace; outputs: units of
        the Output nodes. tape (rows, 4) int32: step, population, unit, value; trace (n_steps, columns);
        output (n_steps, outputs); counts (populations, 4) int64: spikes, synops, updates,
        `beyond` of `refuse_lost`.
        """
        low, n = self.lowered, events.n_samples
        traces = np.empty((n, n_steps, plan["columns"]), low.dtype)
        received = np.empty((n, n_steps, outputs), low.dtype)
        counts = np.zeros((n, len(low.pops), 4), np.int64)

        def job(b: int) -> tuple[Any, ...]:
            entered = time.perf_counter()
            tape = self._one(events, b, n_steps, plan, traces[b], received[b], counts[b])
            return len(tape), tape, traces[b], received[b], counts[b], time.perf_counter() - entered

        results: list[tuple[Any, ...]] = []
        if self.threads == 1 or n < 2:
            for b in range(n):
                results.append(job(b))
                if progress is not None:
                    progress(b + 1)
            return results
        with ThreadPoolExecutor(min(self.threads, n)) as pool:
            for result in pool.map(job, range(n)):
                results.append(result)
                if progress is not None:
                    progress(len(results))
        return results

    def _one(
        self,
        events: Events,
        b: int,
        n_steps: int,
        plan: dict[str, Any],
        trace: Any,
        output: Any,
        counts: Any,
    ) -> NDArray[np.int32]:
        """Run sample b; returns its tape, which grows where it might not hold the next step.

        Raises `BadInput` (NB510) where numbers are lost.
        """
        low, order = self.lowered, self.schedule
        states = low.parameters.shape[1]
        recorded = plan["recorded"]
        widest = int(low.pops[recorded, 2].sum())  # an input may give more: events of one unit in a step
        tape = np.empty((max(TAPE, 2 * widest) if widest else 0, 4), np.int32)
        state = (
            np.zeros((2, len(low.pops)), np.int64),
            np.zeros(len(order.ops), np.bool_),
            low.parameters[7].copy(),
            low.parameters[8].copy(),
            np.zeros(order.bias.shape[1], low.dtype),
            np.zeros(2 * states, np.int64),
            np.zeros(2 * states, low.dtype),
            np.empty(order.work_size, np.int64),
            np.empty(AHEAD * order.work_size, low.dtype),
            np.empty(order.ahead_size, low.dtype),
            np.zeros(low.ring_size, low.dtype),
        )
        step, rows = -1, 0
        while step < n_steps:
            if step >= 0:
                tape = np.concatenate([tape, np.empty_like(tape)])
            step, rows = run_sample(
                max(step, 0),
                n_steps,
                events.start[b],
                events.unit,
                events.value,
                events.ones,
                order.ops,
                order.pops,
                low.weights,
                low.sparse_start,
                low.sparse_target,
                order.bias,
                order.zero,
                order.alike,
                low.network.semantics.dt,
                low.parameters,
                low.delay,
                low.flags,
                plan["traced"],
                trace,
                output,
                recorded,
                tape,
                rows,
                counts,
                *state,
            )
        refuse_lost(low.network, state[2], state[3], counts[:, 3], b)
        return tape[:rows]
