"""Runs batches of a stack: shards of samples over threads, tapes that grow when they must."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.recording import Readout
from nirbridge.spikes import Spikes
from nirbridge_eventprop.batch import run_shard
from nirbridge_eventprop.kernels import TAU_M, TAU_S, THETA, V_LEAK, V_RESET
from nirbridge_eventprop.stack import Stack, aligned
from nirbridge_eventprop.substep_spike import SHORT

CACHE = 4 << 20  # bytes of weights and gradients that a processor is taken to keep near
TAPE = 16384  # spikes of a sample that a tape has room for at first
KINDS = {"start": 0, "crossing": 1, "substep": 2}


@dataclass(slots=True, eq=False)
class BatchResult:
    """loss (samples,), logits and scores (samples, classes), counts (samples, states), clamped slopes."""

    loss: NDArray[np.float64]
    logits: NDArray[np.float64]
    scores: NDArray[np.float64]
    counts: NDArray[np.int32]
    clamped: int


def read_weights(readout: Readout, n_steps: int) -> NDArray[np.float64]:
    """Weight of V at each step's end in the class score, as `Recording.scores` defines it."""
    steps = max(n_steps, 1)
    if readout == "exp-mean":
        return np.exp(-(np.arange(n_steps) + 0.5) / steps) / steps
    if readout in ("mean", "sum"):
        return np.full(n_steps, 1.0 / steps if readout == "mean" else 1.0)
    raise BadInput(
        f"read-out '{readout}' is not one that trainer 'eventprop' computes",
        code="NB505",
        fix="use one of mean, exp-mean, sum",
    )


class Executor:
    """One stack, its threads and work spaces."""

    def __init__(self, stack: Stack, *, threads: int, shards: int, slope: str, slope_floor: float) -> None:
        self.stack = stack
        self.shards = shards
        self.kind = KINDS[slope]
        self.alike = np.array([_alike(stack, row) for row in stack.sizes])
        self.shared = _shared(stack)
        self.series = _is_short(stack)
        self.same = _same(stack)
        self.slope_floor = slope_floor
        self.threads = min(threads or os.cpu_count() or 1, shards)
        self.pool = ThreadPoolExecutor(self.threads)
        self.gradients = aligned(np.zeros((shards, len(stack.weights)), stack.weights.dtype))
        self._capacity = TAPE + stack.par.shape[1]

    def close(self) -> None:
        """End the threads."""
        self.pool.shutdown()

    def run(
        self,
        spikes: Spikes,
        labels: NDArray[np.int64] | None,
        weights: NDArray[np.floating],
        *,
        omega: NDArray[np.float64],
        omega_read: NDArray[np.float64],
        logit_scale: float = 1.0,
        regular: NDArray[np.floating] | None = None,
        learn: bool = False,
        tape: NDArray[np.int32] | None = None,
        as_step: bool = False,
    ) -> BatchResult:
        """Run a batch; with ``learn`` the shards' sums are left in ``gradients`` (zeroed first).

        as_step: run the network in mode `step`, as targets do, whatever the mode of training.
        tape (rows, 3) int32 for a single sample receives (step, layer, neuron) of its spikes.
        """
        stack = self.stack
        dt = stack.network.semantics.dt
        n_steps = len(omega)
        n = spikes.n_samples
        width = int(stack.sizes[-1, 1])
        dtype = stack.weights.dtype
        given = np.full(n, -1, np.int64) if labels is None else labels
        regular = np.zeros(stack.par.shape[1], dtype) if regular is None else regular
        loss = np.zeros(n)
        logits = np.zeros((n, width))
        scores = np.zeros((n, width))
        counts = np.zeros((n, stack.par.shape[1]), np.int32)
        clamped = np.zeros(n, np.int64)
        rows = np.zeros((0, 3), np.int32) if tape is None else tape
        weights = aligned(weights)
        kind = KINDS["start"] if as_step else self.kind
        if learn:
            self.gradients[:] = 0

        def shard(s: int) -> None:
            at, end = n * s // self.shards, n * (s + 1) // self.shards
            capacity = self._capacity
            while at < end:
                at, needed = run_shard(
                    at, end, spikes.offsets, spikes.times, spikes.units, given, n_steps, dt, stack.n_inputs,
                    stack.line, stack.loop_at, stack.n_outputs, stack.sizes, stack.par, weights,
                    omega.astype(dtype), logit_scale, stack.a_mean, stack.c_mean, omega_read, regular,
                    self.alike, self.shared, self.series, self.same, CACHE, kind, self.slope_floor, learn,
                    capacity, self.gradients[s], loss, logits, scores, counts, clamped, rows,
                    np.zeros(1, np.int64),
                )  # fmt: skip
                if needed:
                    capacity = max(2 * capacity, int(needed))
                    self._capacity = max(self._capacity, capacity)

        if self.threads == 1:
            for s in range(self.shards):
                shard(s)
        else:
            list(self.pool.map(shard, range(self.shards)))
        classes = stack.n_outputs
        return BatchResult(loss, logits[:, :classes], scores[:, :classes], counts, int(clamped.sum()))


def _shared(stack: Stack) -> bool:
    """True where all neurons, the read-out's too, have the same time constants."""
    taus = np.concatenate([stack.par[7:9, row[0] : row[0] + row[2]] for row in stack.sizes], axis=1)
    return bool((taus == taus[:, :1]).all())


def _alike(stack: Stack, layer: NDArray[np.int64]) -> bool:
    """True where the neurons of a layer differ in threshold and reset at most."""
    rows = np.delete(stack.par[:, layer[0] : layer[0] + layer[2]], (THETA, V_RESET), axis=0)
    return bool((rows == rows[:, :1]).all())


def _same(stack: Stack) -> bool:
    """True where all hidden neurons have the same time constants, leak, threshold and reset."""
    parts = [stack.par[:, row[0] : row[0] + row[2]] for row in stack.sizes[:-1]]
    rows = np.concatenate(parts, axis=1)[[TAU_M, TAU_S, V_LEAK, THETA, V_RESET]]
    return bool((rows == rows[:, :1]).all())


def _is_short(stack: Stack) -> bool:
    """True in float32 where a step is short against all time constants: e^z is a short series in it."""
    dt, (tau_m, tau_s) = stack.network.semantics.dt, stack.par[7:9]
    rates = np.concatenate([1 / tau_m, 1 / tau_s - 1 / tau_m])
    return stack.par.dtype == np.float32 and bool((dt * np.abs(rates) <= SHORT).all())


def arguments_fit(spikes: Spikes, stack: Stack) -> None:
    """Raise `BadInput` (NB501) where the data have more units than the stack has inputs, or graded values."""
    if spikes.n_units > stack.n_inputs:
        raise BadInput(
            f"the data have {spikes.n_units} units, the graph's input has {stack.n_inputs}",
            code="NB501",
            fix="use a graph with as many inputs as the data have units",
        )
    if spikes.values is not None:
        raise BadInput("graded input spikes are not supported by trainer 'eventprop'", code="NB501")
