"""The network in continuous time as a forward pass by itself: scores by the graph's read-out, and spikes."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.recording import Readout
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.engine import Engine
from nirbridge_eventprop.exact.executor import network_of, takes_no_bias
from nirbridge_eventprop.exact.losses import LOSSES, Loss
from nirbridge_eventprop.exact.losses.xent_sum import XentSum
from nirbridge_eventprop.grid.plan import Plan

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

BY_READOUT = {"mean": "xent-mean", "exp-mean": "xent-exp", "max": "xent-max", "first-spike": "ttfs-xent"}


def forward(
    trainer: EventProp, plan: Plan, spikes: Spikes, readout: Readout
) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
    """Scores (samples, classes) by this read-out and the spikes by node name.

    Scores of outputs that spike are minus their first spike's time [s]. Raises `BadInput` (NB505) for a
    read-out without a form in continuous time.
    """
    takes_no_bias(plan)
    network = network_of(plan, np.asarray(plan.weights, np.float64))
    engine = Engine(
        network,
        _loss(readout, plan.network.semantics.dt),
        sensitive=False,
        threads=trainer.threads,
        shards=trainer.shards,
    )
    found = engine.run(spikes, np.zeros(spikes.n_samples, np.int64), learn=False)
    engine.close()
    rows = [tape.spikes for tape in found.tapes]
    sample = np.repeat(np.arange(len(rows)), [len(row) for row in rows])
    time = np.concatenate([np.zeros(0), *(row["time"] for row in rows)])
    unit = np.concatenate([np.zeros(0, np.int64), *(row["unit"] for row in rows)])
    sent = {}
    spiking = [at for at in plan.layers if plan.network.populations[at].spiking]
    for where, at in zip(network.slices, spiking, strict=True):
        mine = (unit >= where.start) & (unit < where.stop)
        p = plan.network.populations[at]
        sent[p.name] = Spikes.from_events(
            time[mine],
            unit[mine] - where.start,
            sample[mine],
            n_samples=spikes.n_samples,
            n_units=p.size,
            duration=spikes.duration,
        )
    return -found.readout if network.spiking_output else found.readout, sent


def _loss(readout: Readout, dt: float) -> Loss:
    if readout == "sum":
        return XentSum(t_unit=dt)
    if readout not in BY_READOUT:
        raise BadInput(
            f"read-out '{readout}' has no form in continuous time",
            code="NB505",
            fix=f"use one of sum, {', '.join(BY_READOUT)}, or mode=step",
        )
    return LOSSES[BY_READOUT[readout]]()
