"""The forward pass alone: to classify, and to hold it against the reference target."""

from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Network
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.training.executor import Executor, events_of
from nirbridge_spinnaker2.training.formats import Format
from nirbridge_spinnaker2.training.structure import Stack, stack_of

if TYPE_CHECKING:
    from nirbridge_spinnaker2.training.trainer import ChipEventProp


def executor_of(trainer: ChipEventProp, stack: Stack) -> Executor:
    """The executor that the trainer's options ask for."""
    return Executor(
        stack,
        Format(trainer.format, trainer.rounding == "stochastic"),
        xi=trainer.xi,
        alpha_r=trainer.alpha_r,
        beta_r=trainer.beta_r,
        unscaled=trainer.unscaled,
        threads=trainer.threads,
    )


def first_spikes(trainer: ChipEventProp, network: Network, spikes: Spikes) -> NDArray[np.int64]:
    """(samples, classes) first-spike steps within the data's T steps, T where silent."""
    stack = stack_of(network)
    executor = executor_of(trainer, stack)
    result = executor.run(events_of(spikes, stack), *_unlabelled(spikes), stack.weights)
    executor.close()
    return result.first


def forward(
    trainer: ChipEventProp, network: Network, spikes: Spikes
) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
    """Scores (samples, classes), minus the step of the first spike, and the spikes of every layer."""
    stack = stack_of(network)
    executor = executor_of(trainer, stack)
    result = executor.run(events_of(spikes, stack), *_unlabelled(spikes), stack.weights, spikes=True)
    executor.close()
    dt = network.semantics.dt
    found = {
        name: Spikes.from_dense(result.spikes[:, :, state : state + n], dt)
        for name, (n, _, state, _, _) in zip(stack.names, stack.layers, strict=True)
    }
    return -result.first.astype(np.float64), found


def _unlabelled(spikes: Spikes) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    n = spikes.n_samples
    return np.arange(n), np.full(n, -1, np.int64)
