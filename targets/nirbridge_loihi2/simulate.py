"""Run a batch of samples through an integer network, samples spread over threads."""

from __future__ import annotations

import os
from collections.abc import Callable, Mapping, Sequence
from concurrent.futures import ThreadPoolExecutor, as_completed
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.spikes import Spikes
from nirbridge_loihi2.kernels import N_COUNTS, Tables, run_sample

State = Literal["v", "u", "a"]
STATES: tuple[State, ...] = ("v", "u", "a")
Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False)
class Events:
    """Input messages by sample and step, one per channel and step.

    at: (n_samples, n_steps+1); unit, value: (n_events,) int64; sample b sends
    ``unit/value[at[b, s]:at[b, s+1]]`` in step index s. merged: (n_samples,) events that fell on a
    channel that had sent in that step already; counts: (n_samples,) messages.
    """

    at: Ints
    unit: Ints
    value: Ints
    merged: Ints

    @property
    def counts(self) -> Ints:
        return self.at[:, -1] - self.at[:, 0]


def events(spikes: Spikes, dt: float) -> Events:
    """Messages of a batch on steps of ``dt`` [s]: one a channel and step, events or graded values add."""
    n_steps = spikes.n_steps(dt)
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    slot = sample * max(n_steps, 1) + np.minimum(spikes.steps(dt), max(n_steps - 1, 0))
    key, where = np.unique(slot * max(spikes.n_units, 1) + spikes.units, return_inverse=True)
    value = np.zeros(len(key), np.int64)
    np.add.at(value, where, 1 if spikes.values is None else spikes.values)
    merged = np.bincount(sample, minlength=spikes.n_samples) - np.bincount(
        key // max(spikes.n_units, 1) // max(n_steps, 1), minlength=spikes.n_samples
    )
    key, value = key[value != 0], value[value != 0]
    edges = (np.arange(spikes.n_samples)[:, None] * n_steps + np.arange(n_steps + 1)) * max(spikes.n_units, 1)
    at = np.searchsorted(key, edges).astype(np.int64)
    return Events(at, key % max(spikes.n_units, 1), value, merged.astype(np.int64))


@dataclass(frozen=True, slots=True, eq=False)
class Outcome:
    """What one sample did.

    step, neuron, value: (n,) kept spikes, neurons counted over all layers, value 1 unless graded;
    traces: (layer, state) -> (steps, n) int64; counts: (L, 7) by the names in `kernels`; busy:
    (steps, 2) most synaptic operations and most messages on any core; activity: (steps, 3L + cores)
    spikes of, synaptic operations in and messages to every layer, then synaptic operations on every
    core, or (0, …); core_synops: (cores,) synaptic operations of the whole run, dummy columns included.
    """

    step: NDArray[np.int32]
    neuron: NDArray[np.int32]
    value: NDArray[np.int32]
    traces: Mapping[tuple[int, State], Ints]
    counts: Ints
    busy: Ints
    activity: Ints
    core_synops: Ints


def simulate(
    tab: Tables,
    inputs: Events,
    steps: int,
    *,
    keep: Sequence[int] = (),
    traces: Sequence[tuple[int, State]] = (),
    activity: bool = False,
    threads: int = 0,
    progress: Callable[[int], None] | None = None,
) -> list[Outcome]:
    """Run every sample for ``steps`` steps; ``keep`` names layers whose spikes are returned.

    traces: of a sigma-delta layer u and v are Σ and the activation, of a resonate-and-fire layer the
    real and the imaginary part. activity: keep what every layer and core did in every step.
    threads: 0 takes every core that this process may use. Results do not depend on it.
    progress: called with the number of samples done so far.
    """
    n_layers = len(tab.spiking)
    kept = np.zeros(n_layers, np.bool_)
    kept[list(keep)] = True
    column = np.full((n_layers, len(STATES)), -1, np.int64)
    width = 0
    for layer, state in dict.fromkeys(traces):
        column[layer, STATES.index(state)] = width
        width += int(tab.first[layer + 1] - tab.first[layer])

    def one(b: int) -> Outcome:
        trace = np.zeros((steps, width), np.int64)
        counts = np.zeros((n_layers, N_COUNTS), np.int64)
        busy = np.zeros((steps, 2), np.int64)
        active = np.zeros((steps if activity else 0, 3 * n_layers + tab.n_cores), np.int64)
        on_cores = np.zeros(tab.n_cores, np.int64)
        step, neuron, value = run_sample(
            tab, steps, inputs.at[b], inputs.unit, inputs.value, kept, column, trace, counts, busy, active,
            on_cores,
        )  # fmt: skip
        found = {}
        for layer, state in dict.fromkeys(traces):
            at = column[layer, STATES.index(state)]
            found[layer, state] = trace[:, at : at + tab.first[layer + 1] - tab.first[layer]]
        return Outcome(step, neuron, value, found, counts, busy, active, on_cores)

    n = len(inputs.at)
    workers = min(threads or cores(), max(n, 1))
    results: list[Outcome | None] = [None] * n
    if workers == 1:
        for b in range(n):
            results[b] = one(b)
            if progress is not None:
                progress(b + 1)
    else:
        with ThreadPoolExecutor(workers) as pool:
            jobs = {pool.submit(one, b): b for b in range(n)}
            for done, job in enumerate(as_completed(jobs), start=1):
                results[jobs[job]] = job.result()
                if progress is not None:
                    progress(done)
    return [r for r in results if r is not None]


def cores() -> int:
    """Cores that this process may use."""
    if hasattr(os, "sched_getaffinity"):
        return len(os.sched_getaffinity(0))
    return os.cpu_count() or 1
