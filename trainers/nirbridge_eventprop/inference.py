"""The trainer's own forward pass, to hold it against the reference target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import inline, read_metadata
from nirbridge.spikes import Spikes
from nirbridge_eventprop.dispatch import plan_or_stack
from nirbridge_eventprop.exact.inference import forward as exact_forward
from nirbridge_eventprop.executor import Executor, arguments_fit, read_weights
from nirbridge_eventprop.grid.inference import forward as grid_forward
from nirbridge_eventprop.grid.plan import Plan

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


def forward(
    trainer: EventProp, graph: nir.NIRGraph, spikes: Spikes
) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
    """Scores (samples, classes) by the graph's read-out, and the spikes of every hidden node.

    Mode `exact` runs in continuous time, the others as mode `step`.
    """
    graph = inline(graph)
    stack = plan_or_stack(trainer, graph)
    network = stack.network
    arguments_fit(spikes, stack)
    metadata = read_metadata(graph)
    readout = (metadata.readout if metadata else None) or "mean"
    if isinstance(stack, Plan) and trainer.mode == "exact":
        return exact_forward(trainer, stack, spikes, readout)
    if isinstance(stack, Plan):
        return grid_forward(trainer, stack, spikes, readout)
    dt = network.semantics.dt
    n_steps = spikes.n_steps(dt)
    omega_read = read_weights(readout, n_steps)
    executor = Executor(stack, threads=1, shards=1, slope=trainer.slope, slope_floor=trainer.slope_floor)
    scores, tapes = [], []
    for b in range(spikes.n_samples):
        one = spikes.select([b])
        result = executor.run(one, None, stack.weights, omega=omega_read, omega_read=omega_read)
        tape = np.zeros((int(result.counts.sum()), 3), np.int32)
        executor.run(one, None, stack.weights, omega=omega_read, omega_read=omega_read, tape=tape)
        scores.append(result.scores[0])
        tapes.append(tape)
    executor.close()
    found = {}
    rows = np.concatenate(tapes) if tapes else np.zeros((0, 3), np.int32)
    sample = np.repeat(np.arange(len(tapes)), [len(t) for t in tapes])
    for layer, at in enumerate(stack.layers[:-1]):
        mine = rows[:, 1] == layer
        p = network.populations[at]
        found[p.name] = Spikes.from_events(
            rows[mine, 0] * dt,
            rows[mine, 2],
            sample[mine],
            n_samples=spikes.n_samples,
            n_units=p.size,
            duration=n_steps * dt,
        )
    return np.array(scores).reshape(spikes.n_samples, stack.n_outputs), found
