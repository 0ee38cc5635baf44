"""The general engine's own forward pass in mode `step`, to hold it against the reference target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirbridge.recording import Readout
from nirbridge.spikes import Spikes
from nirbridge_eventprop.grid.executor import GridExecutor
from nirbridge_eventprop.grid.plan import Plan

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


def forward(
    trainer: EventProp, plan: Plan, spikes: Spikes, readout: Readout
) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
    """Scores (samples, classes) by this read-out, and the spikes of every spiking node."""
    executor = GridExecutor(plan, trainer)
    engine = executor.engines["step"]
    engine.network = plan.grid("step", np.asarray(plan.weights, np.float64))
    network = engine.network
    found = executor.run(engine, spikes, None, readout, keep=True)
    executor.close()
    dt, n_steps = network.dt, spikes.n_steps(network.dt)
    sample = np.repeat(np.arange(spikes.n_samples), [len(step) for step, _, _ in found.spikes])
    none = [np.zeros(0, np.int64)]
    step = np.concatenate(none + [step for step, _, _ in found.spikes])
    neuron = np.concatenate(none + [neuron for _, neuron, _ in found.spikes])
    sent = {}
    for where, at in zip(network.slices, plan.layers, strict=True):
        p = plan.network.populations[at]
        if not p.spiking:
            continue
        mine = (neuron >= where.start) & (neuron < where.stop)
        sent[p.name] = Spikes.from_events(
            step[mine] * dt,
            neuron[mine] - where.start,
            sample[mine],
            n_samples=spikes.n_samples,
            n_units=p.size,
            duration=n_steps * dt,
        )
    scores = found.scores
    if network.spiking_output:
        scores = _spike_scores(sent[plan.network.populations[plan.layers[-1]].name], readout, n_steps, dt)
    return scores, sent


def _spike_scores(out: Spikes, readout: Readout, n_steps: int, dt: float) -> NDArray[np.float64]:
    """`Recording.scores` of spikes: minus the first step, the count, or its mean."""
    sample = np.repeat(np.arange(out.n_samples), out.counts())
    step = out.steps(dt)
    if readout == "first-spike":
        first = np.full((out.n_samples, out.n_units), float(n_steps))
        np.minimum.at(first, (sample, out.units), step)
        return -first
    steps = max(n_steps, 1)
    weight = np.exp(-(step + 0.5) / steps) if readout == "exp-mean" else np.ones(len(step))
    total = np.zeros((out.n_samples, out.n_units))
    np.add.at(total, (sample, out.units), weight)
    return total / steps if readout in ("mean", "exp-mean") else total
