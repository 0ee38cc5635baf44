"""Runs batches of a plan: the same calls and results as the executor of stacks, by the general engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.recording import Readout
from nirbridge.spikes import Spikes
from nirbridge_eventprop.executor import BatchResult, read_weights
from nirbridge_eventprop.grid.engine import Engine, GridBatch
from nirbridge_eventprop.grid.plan import Plan
from nirbridge_eventprop.losses import READOUTS
from nirbridge_eventprop.objective import loss_of

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


class GridExecutor:
    """A plan with the trainer's loss, its threads and sums; ``gradients`` (shards, parameters)."""

    def __init__(self, plan: Plan, trainer: EventProp) -> None:
        self.plan = plan
        self.readout: Readout = READOUTS[trainer.loss]
        self.gradients = np.zeros((trainer.shards, len(plan.weights)))
        self.mode: Literal["step", "substep"] = "substep" if trainer.mode == "substep" else "step"
        loss = loss_of(trainer, plan.n_outputs)
        modes: tuple[Literal["step", "substep"], ...] = ("step", "substep")
        self.engines = {
            mode: Engine(
                plan.grids[mode],
                loss,
                mode=mode,
                slope=trainer.slope,
                slope_floor=trainer.slope_floor,
                sigma=trainer.rescue,
                inside=trainer.inside,
                wake=trainer.wake,
                sensitive=plan.sensitive,
                threads=trainer.threads,
                shards=trainer.shards,
            )
            for mode in modes
            if mode in ("step", trainer.mode)
        }

    def close(self) -> None:
        """End the threads."""
        for engine in self.engines.values():
            engine.close()

    def score(
        self,
        spikes: Spikes,
        labels: NDArray[np.int64] | None,
        weights: NDArray[np.floating],
        *,
        regular: NDArray[np.floating] | None = None,
        learn: bool = False,
        as_step: bool = False,
    ) -> BatchResult:
        """Run a batch with these parameters; with ``learn`` the shards' gradients are left in ``gradients``.

        scores follow the loss's read-out, logits the loss itself: for spike times minus the first of them.
        """
        mode = "step" if as_step else self.mode
        engine = self.engines[mode]
        flat = np.asarray(weights, np.float64)
        engine.network = self.plan.grid(mode, flat)
        found = self.run(engine, spikes, labels, self.readout, regular, learn)
        if learn:
            for sums, to in zip(engine.sums, self.gradients, strict=True):
                self.plan.gradient(engine.network, sums.weight, sums.delay, sums.cell, to)
        scores = found.scores
        if engine.network.spiking_output:
            scores = -np.rint(found.readout / engine.network.dt) if mode == "step" else -found.readout
        logits = scores if engine.network.spiking_output or np.isnan(found.readout).any() else found.readout
        return BatchResult(found.loss, logits, scores, found.counts, found.clamped)

    def run(
        self,
        engine: Engine,
        spikes: Spikes,
        labels: NDArray[np.int64] | None,
        readout: Readout,
        regular: NDArray[np.floating] | None = None,
        learn: bool = False,
        keep: bool = False,
    ) -> GridBatch:
        """A batch on one of the engines, with scores by this read-out where the membrane is read."""
        read: NDArray[np.float64] | Literal["max"] | None = None
        if not engine.network.spiking_output:
            steps = spikes.n_steps(engine.network.dt)
            read = "max" if readout == "max" else read_weights(readout, steps)
        return engine.run(spikes, labels, regular=regular, learn=learn, read=read, keep=keep)
