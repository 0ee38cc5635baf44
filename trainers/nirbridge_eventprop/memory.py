"""How much memory a training will take, said before it starts."""

from __future__ import annotations

import os
from typing import TYPE_CHECKING

import numpy as np

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge_eventprop.exact.executor import ExactExecutor
from nirbridge_eventprop.executor import TAPE
from nirbridge_eventprop.grid.engine import ROOM
from nirbridge_eventprop.grid.plan import Plan
from nirbridge_eventprop.stack import Stack

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

GIB = 1 << 30


def forecast(trainer: EventProp, stack: Stack, data: Dataset, validation: Dataset | None) -> int:
    """Bytes at the peak of a training: weights and their moments, the data, and the engine's work space.

    Not counted: the interpreter with its libraries, and a grid's tapes beyond their first size (they grow
    where a sample has more spikes than that). In mode ``exact`` a batch's tapes count as so many of the one
    that the sample with the most events leaves at the start.
    """
    real = stack.weights.itemsize
    weights = len(stack.weights)
    sums = 1 if isinstance(stack, Plan) and trainer.mode == "exact" else trainer.shards
    # start, trained, two moments, average, total, gradient and rate factors, step of the rate; float64 nodes
    kept = (9 + sums + (trainer.bits > 0) + (trainer.patience > 0)) * real * weights
    kept += (40 if trainer.bits else 8) * weights  # rounding works in float64
    spikes = [item.spikes for item in (data, validation) if item is not None]
    events = sum(12 * len(item.times) + 8 * len(item.offsets) for item in spikes)
    largest = int(data.spikes.counts().max(initial=0))
    events += 4 * 12 * min(trainer.batch, len(data)) * largest  # a batch and its augmented copies
    widest = max((len(item) for item in (data, validation) if item is not None), default=0)
    states, outputs = stack.par.shape[1], stack.n_outputs
    results = (4 * states + 16 * outputs + 24) * max(trainer.batch, widest if validation is not None else 0)
    return int(kept + events + results + _work(trainer, stack, data))


def _work(trainer: EventProp, stack: Stack, data: Dataset) -> int:
    """The engine's own arrays: copies of the network, sums of gradients, tapes."""
    if not isinstance(stack, Plan):
        real = stack.weights.itemsize
        largest = int(data.spikes.counts().max(initial=0))
        steps = data.spikes.n_steps(stack.network.semantics.dt)
        history = steps * int(stack.sizes[0, 1]) * real
        tape = (TAPE + int(stack.par.shape[1])) * (16 + 6 * real)
        return trainer.shards * (tape + history + 8 * steps * len(stack.sizes) + 24 * largest)
    work = _exact_work if trainer.mode == "exact" else _grid_work
    return max(work(trainer, stack, data), _lowered(stack))


def _lowered(plan: Plan) -> int:
    """The graph with a Linear for each distinct delay, which is what its digest covers."""
    return sum(
        4 * len(np.unique(arc.own)) * arc.weight.size for arc in plan.arcs if arc.own is not None
    )  # of float32


def _grid_work(trainer: EventProp, plan: Plan, data: Dataset) -> int:
    """One tape a thread, dense in time where time constants or leak are trained; rings of what arrives."""
    modes = 1 if trainer.mode == "step" else 2  # `step` validates
    grid = plan.grids[trainer.mode]
    neurons = len(grid.cells.theta)
    weights, moves = plan.n_weights, bool(grid.wires.moves.any())
    outputs = 0 if grid.spiking_output else plan.n_outputs
    steps = data.spikes.n_steps(grid.dt)
    # graph's, jumps of I and delays of both modes' networks; those of the batch's; each shard's sums
    copies = (1 + 2 * 2 + 2 + modes * trainer.shards * (1 + moves)) * weights
    dense = 3 * neurons + 4 * outputs if plan.sensitive else 0
    tape = steps * (dense + 2 * outputs) + ROOM * (8 + 3 * plan.sensitive) + ROOM  # and its adjoint's
    score = 5 * steps * outputs  # impulses, and what the loss makes of the step means
    rings = 8 * grid.wires.depth * neurons
    threads = min(trainer.threads or os.cpu_count() or 1, trainer.shards)
    return 8 * (copies + threads * (tape + score + rings))


def _exact_work(trainer: EventProp, plan: Plan, data: Dataset) -> int:
    """The tapes of a batch, as many as that of the largest sample."""
    executor = ExactExecutor(plan, trainer)
    wires = executor.engine.network.wires
    at = int(data.spikes.counts().argmax()) if len(data) else 0
    tape = executor.tape_bytes(data.spikes.select([at])) if len(data) else 0
    executor.close()
    # graph's, jumps of I and delays by connection and in wires, twice while they are exchanged; sums
    copies = (1 + 2 * (2 + 2 * bool(wires.delayed.any())) + 2 * (trainer.shards + 1)) * plan.n_weights
    threads = min(trainer.threads or os.cpu_count() or 1, trainer.shards)
    return 8 * copies + (min(trainer.batch, len(data)) + threads) * tape


def within_limit(bytes_needed: int, limit: float) -> None:
    """Raise `BadInput` (NB514) where a forecast is above ``limit`` GiB; 0 allows everything."""
    if limit and bytes_needed > limit * GIB:
        raise BadInput(
            f"training needs {bytes_needed / GIB:.3g} GiB of memory, expected at most {limit:g} (option "
            "memory_limit)",
            code="NB514",
            fix="lower batch or shards, use fewer neurons or a shorter duration, or raise memory_limit",
        )
