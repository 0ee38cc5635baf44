"""Which engine trains a graph: the fast kernels for stacks where they can, else the general grid engine."""

from __future__ import annotations

import math
from typing import TYPE_CHECKING

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph.delays import fold, is_folded
from nirbridge.network import build
from nirbridge.semantics import semantics_of
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.executor import ExactExecutor
from nirbridge_eventprop.executor import BatchResult, Executor, read_weights
from nirbridge_eventprop.grid.executor import GridExecutor
from nirbridge_eventprop.grid.export import with_parameters
from nirbridge_eventprop.grid.parts import Rates
from nirbridge_eventprop.grid.plan import Plan, plan_of
from nirbridge_eventprop.losses import LOSSES, READOUTS
from nirbridge_eventprop.options import TRAINED
from nirbridge_eventprop.stack import Stack, stack_of, with_weights

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


class StackExecutor(Executor):
    """The executor of a stack with the trainer's loss."""

    def __init__(self, stack: Stack, trainer: EventProp) -> None:
        super().__init__(
            stack,
            threads=trainer.threads,
            shards=trainer.shards,
            slope="substep" if trainer.mode == "substep" else trainer.slope,
            slope_floor=trainer.slope_floor,
        )
        self.loss = LOSSES[trainer.loss]
        self.logit_scale = trainer.logit_scale

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
        """Run a batch; scores follow the loss's read-out. The rest is as in `Executor.run`."""
        dt = self.stack.network.semantics.dt
        n_steps = spikes.n_steps(dt)
        return self.run(
            spikes,
            labels,
            weights,
            omega=self.loss.omega(n_steps, dt),
            omega_read=read_weights(self.loss.readout, n_steps),
            logit_scale=self.logit_scale,
            regular=regular,
            learn=learn,
            as_step=as_step,
        )


def prepared(trainer: EventProp, graph: nir.NIRGraph) -> nir.NIRGraph:
    """The flat graph with its Delay nodes folded into the weights where the trainer moves delays."""
    return fold(graph) if trainer.train_delay else graph


def plan_or_stack(trainer: EventProp, graph: nir.NIRGraph) -> Stack:
    """What the trainer runs for a flat graph; raises `Unsupported` by node name, `UsageError` for options.

    The fast kernels take a stack of layers (see `stack_of`), its weights alone, and losses on the integral of
    the read-out's membrane; the general engine takes delays, feedback, biases and spiking read-outs, too.
    """
    if not needs_general(trainer, graph):
        try:
            return stack_of(build(graph))
        except Unsupported as refusal:
            return _general(trainer, graph, refusal)
    return _general(trainer, graph, None)


def needs_general(trainer: EventProp, graph: nir.NIRGraph) -> bool:
    """Whether the options or folded delays ask for more than the fast kernels do."""
    moved = any(getattr(trainer, name) for name in TRAINED)
    inside = trainer.inside and trainer.mode == "substep"
    wanted = moved or trainer.rescue or inside or trainer.mode == "exact"
    return bool(wanted) or trainer.loss not in LOSSES or is_folded(graph)


def executor_of(trainer: EventProp, network: Stack) -> StackExecutor | GridExecutor | ExactExecutor:
    """The executor of what `plan_or_stack` found."""
    if isinstance(network, Plan) and trainer.mode == "exact":
        return ExactExecutor(network, trainer)
    return GridExecutor(network, trainer) if isinstance(network, Plan) else StackExecutor(network, trainer)


def with_trained(network: Stack, graph: nir.NIRGraph, flat: NDArray[np.floating]) -> nir.NIRGraph:
    """A copy of the graph with these flat parameters."""
    if isinstance(network, Plan):
        return with_parameters(network, graph, flat)
    return with_weights(network, graph, flat)


def _general(trainer: EventProp, graph: nir.NIRGraph, refusal: Unsupported | None) -> Plan:
    dt = semantics_of(graph).dt
    power = 0.5 if trainer.optimiser == "sgd" else 1.0  # the training squares the factors of SGD's rates
    rates = Rates(
        tau=(trainer.train_tau / trainer.lr) ** power,
        shared=trainer.tau_sharing == "layer",
        threshold=(trainer.train_threshold / trainer.lr) ** power,
        reset=(trainer.train_v_reset / trainer.lr) ** power,
        leak=(trainer.train_v_leak / trainer.lr) ** power,
        bias=(trainer.train_bias / trainer.lr) ** power,
        delay=(trainer.train_delay / trainer.lr) ** power,
        max_delay=max(math.floor(trainer.max_delay / dt + 0.5), 0),
    )
    plan = plan_of(build(graph, keep_delays=True), rates)
    spiking = plan.grids["step"].spiking_output
    last = plan.network.populations[plan.layers[-1]]
    if spiking != (READOUTS[trainer.loss] == "first-spike"):
        if spiking and refusal is not None:
            raise Unsupported(
                f"node '{last.name}' ({type(last.node).__name__}): loss '{trainer.loss}' needs a read-out "
                "that does not spike",
                code="NB201",
                fix="end the graph in Linear → CubaLI, or use loss=ttfs-xent",
                findings=refusal.findings,
            )
        found, wanted = ("spiking", "does not spike") if spiking else ("non-spiking", "spikes")
        raise UsageError(
            f"loss '{trainer.loss}' needs a read-out that {wanted}, '{last.name}' is a {found} one",
            code="NB701",
            fix="use a loss ttfs-… with a CubaLIF read-out, one on the membrane with a CubaLI read-out",
        )
    if trainer.bits and trainer.train_tau:
        raise UsageError(
            "trainer options bits and train_tau: weights cannot be rounded while time constants rescale them",
            code="NB701",
            fix="train time constants first, then with bits and train_tau=0",
        )
    return plan
