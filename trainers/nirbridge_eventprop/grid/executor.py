"""Runs batches of a plan: the same calls and results as the executor of stacks, by the general engine."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.recording import Readout
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.losses import Loss
from nirbridge_eventprop.exact.losses.ttfs_rel_mse import TtfsRelMse
from nirbridge_eventprop.exact.losses.ttfs_xent import TtfsXent
from nirbridge_eventprop.exact.losses.xent_exp import XentExp
from nirbridge_eventprop.exact.losses.xent_linear import XentLinear
from nirbridge_eventprop.exact.losses.xent_max import XentMax
from nirbridge_eventprop.exact.losses.xent_mean import XentMean
from nirbridge_eventprop.exact.losses.xent_sigmoid import XentSigmoid
from nirbridge_eventprop.exact.losses.xent_sum import XentSum
from nirbridge_eventprop.exact.losses.xent_timestep import XentTimestep
from nirbridge_eventprop.executor import BatchResult, read_weights
from nirbridge_eventprop.grid.engine import Engine, GridBatch
from nirbridge_eventprop.grid.plan import Plan
from nirbridge_eventprop.losses import READOUTS

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

MEMBRANE: dict[str, Any] = {
    "xent-sum": XentSum,
    "xent-mean": XentMean,
    "xent-exp": XentExp,
    "xent-linear": XentLinear,
    "xent-sigmoid": XentSigmoid,
    "xent-max": XentMax,
    "xent-timestep": XentTimestep,
}


def loss_of(trainer: EventProp) -> Loss:
    """The loss that the trainer's options name."""
    if trainer.loss == "ttfs-xent":
        return TtfsXent(
            tau0=trainer.ttfs_tau0,
            tau1=trainer.ttfs_tau1,
            alpha=trainer.ttfs_alpha,
            penalty=trainer.ttfs_penalty,
        )
    if trainer.loss == "ttfs-rel-mse":
        return TtfsRelMse(delta=trainer.ttfs_delta, t_scale=trainer.ttfs_scale)
    loss: Loss = MEMBRANE[trainer.loss](logit_scale=trainer.logit_scale)
    return loss


class GridExecutor:
    """A plan with the trainer's loss, its threads and sums; ``gradients`` (shards, parameters)."""

    def __init__(self, plan: Plan, trainer: EventProp) -> None:
        self.plan = plan
        self.readout: Readout = READOUTS[trainer.loss]
        self.gradients = np.zeros((trainer.shards, len(plan.weights)))
        self.mode: Literal["step", "substep"] = "substep" if trainer.mode == "substep" else "step"
        loss = loss_of(trainer)
        modes: tuple[Literal["step", "substep"], ...] = ("step", "substep")
        sensitive = any(part.kind in ("tau_mem", "tau_syn") for part in plan.parts)
        self.engines = {
            mode: Engine(
                plan.grids[mode],
                loss,
                mode=mode,
                slope=trainer.slope,
                slope_floor=trainer.slope_floor,
                sigma=trainer.rescue,
                inside=trainer.inside,
                phantom=True,
                sensitive=sensitive,
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
