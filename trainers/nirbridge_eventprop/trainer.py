"""The trainer `eventprop`: from a NIR graph to the same graph with trained weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar

import nir
from numpy.random import Generator

from nirbridge.data import Dataset
from nirbridge.network import build
from nirbridge.protocols import TrainStats, options_of
from nirbridge.spikes import Spikes
from nirbridge_eventprop.options import LossName, Mode, Schedule, Slope, check_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class EventProp:
    """EventProp on a fixed step.

    Trains the weights of Input → (Linear → CubaLIF, with or without a recurrent Linear) … → Linear →
    CubaLI or LI, under the graph's own semantics (exact decay, reset to a value).

    mode: ``step`` trains the network that chips run; ``substep`` puts spikes inside the step, where the
    gradient is exact (EVENTPROP.md §3, §4); validation is always that of ``step``. slope (mode ``step``):
    where V' is taken at a spike, at the step's ``start`` (steadier) or at the analytic ``crossing``.
    slope_floor: V' is clamped from below at slope_floor·θ/τ_m. loss: see `losses`; logit_scale: factor
    on the logits. epochs, batch: of samples. lr, beta1, beta2, eps: Adam; lr is in EventProp's own
    weights (jump of I per spike, EVENTPROP.md §1). ease_in: lr starts at lr/100 and grows by this factor a
    batch; 1 starts at lr. schedule: of lr over epochs after that, ``exponential`` times decay^epoch.
    clip: largest global norm of a batch's gradient, 0 for none. rate_target [spikes per sample and
    neuron], rate_upper, rate_lower: strength of the rate term above and below it (EVENTPROP.md §6; the
    counts are those of the batch before). lift: added to the input weights of neurons that stayed
    silent in a whole epoch. ema: the returned weights are their running average with this factor a
    batch; 0 returns the last. threads: 0 takes every core; results depend on ``shards``, the number
    of partial gradient sums of a batch, never on threads.
    """

    mode: Mode = "step"
    slope: Slope = "start"
    slope_floor: float = 0.01
    loss: LossName = "xent-mean"
    logit_scale: float = 1.0
    epochs: int = 20
    batch: int = 32
    lr: float = 2e-3
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    ease_in: float = 1.05
    schedule: Schedule = "constant"
    decay: float = 0.95
    clip: float = 1.0
    rate_target: float = 14.0
    rate_upper: float = 0.0
    rate_lower: float = 0.0
    lift: float = 0.002
    ema: float = 0.0
    threads: int = 0
    shards: int = 4
    name: ClassVar[str] = "eventprop"

    def __post_init__(self) -> None:
        check_options(options_of(self))

    def fit(
        self,
        graph: nir.NIRGraph,
        data: Dataset,
        *,
        validation: Dataset | None = None,
        rng: Generator,
        checkpoint: Path | None = None,
        on_step: Callable[[TrainStats], None] | None = None,
    ) -> nir.NIRGraph:
        """Train and return a new graph whose metadata holds the training's summary.

        An existing ``checkpoint`` is resumed: the result has the same bits as an uninterrupted run.
        It is written after every epoch. Raises `Unsupported` by node name for graphs outside the
        stack, `BadInput` for data that do not fit the graph, and (NB510) where a loss or weight stops being
        finite, with the batch that made it so.
        """
        from nirbridge_eventprop.training import Training

        return Training(self, graph, data, validation, rng, checkpoint, on_step).run()

    def forward(self, graph: nir.NIRGraph, spikes: Spikes) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
        """What the trainer's own forward pass computes: scores and hidden spikes.

        Scores (samples, classes) follow the read-out in the graph's metadata, spikes are by node
        name. Under one semantics they equal those of the reference target.
        """
        from nirbridge_eventprop.inference import forward

        return forward(self, build(graph), spikes)
