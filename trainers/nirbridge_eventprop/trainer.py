"""The trainer `eventprop`: from a NIR graph to the same graph with trained weights."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path
from typing import TYPE_CHECKING, ClassVar, Literal

import nir
from numpy.random import Generator

from nirbridge.data import Dataset
from nirbridge.graph import inline
from nirbridge.protocols import TrainStats, options_of
from nirbridge.spikes import Spikes
from nirbridge_eventprop.options import (
    LossName,
    Metric,
    Mode,
    Optimiser,
    Penalty,
    Schedule,
    Slope,
    TauSharing,
    WeightScheme,
    check_options,
)

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class EventProp:
    """EventProp: exact gradients of spiking networks, on a fixed step or in continuous time.

    Trains the weights of Input → (Linear → CubaLIF, with or without a recurrent Linear) … → Linear →
    CubaLI or LI, under the graph's own semantics (exact decay, reset to a value). Delay → Linear branches
    side by side may stand behind the Input (a delay line). That is what the fast kernels do; other
    connections between layers, Delays and folded delays anywhere, Affine nodes and CubaLIF read-outs are
    trained by the general engine (`grid`), in float64.

    mode: ``substep`` puts spikes inside the step, where the gradient is exact (EVENTPROP.md §3, §4); ``step``
    trains the network that chips run, for the last epochs before one; validation is that of ``step``.
    ``exact`` goes from event to event in continuous time, validation too, and takes no biases. slope (mode
    ``step``): where V' is taken at a spike, at the step's ``start`` (steadier) or the analytic ``crossing``.
    slope_floor: V' is clamped from below at slope_floor·θ/τ_m. loss: see `losses`; logit_scale: factor
    on the logits. epochs, batch: of samples. optimiser: ``adam`` (beta1, beta2, eps) or ``sgd`` (momentum);
    lr is in EventProp's own weights (jump of I per spike, EVENTPROP.md §1). ease_in: lr starts at lr/100 and
    grows by this factor a batch; 1 starts at lr. schedule: of lr over epochs after that, ``exponential``
    times decay^epoch, ``plateau`` halved whenever ``plateau`` epochs in a row bring no better metric.
    metric: of the validation data, in mode `step`. patience: end after this many epochs without a better
    metric and return the best epoch's weights; 0 trains all epochs and returns the last.
    clip: largest global norm of a batch's gradient, 0 for none. rate_target [spikes per sample and
    neuron], rate_upper, rate_lower: strength of the rate term above and below it (EVENTPROP.md §6; the
    counts are those of the batch before). lift: added to the input weights of neurons that stayed
    silent in a whole epoch. ema: the returned weights are their running average with this factor a
    batch; 0 returns the last.
    inside: in mode ``substep``, input spikes keep their time inside a step; else they count at its start.
    rescue: strength of the loss Σ max(0, θ − max V) over hidden neurons silent in a sample; wake: of θ −
    max V of a label's output that should spike and stays silent. train_tau, train_threshold, train_v_reset,
    train_v_leak, train_bias, train_delay: learning rates of ln τm and ln τs, of thresholds, resets and leaks
    E (in units of V), of the biases of Affine nodes (in jumps of I), of per-synapse delays (in steps, rounded
    where they are used, within [0, max_delay]; Delay nodes are folded into the weights for it); 0 leaves
    them as they are. They follow lr's schedule. tau_sharing: ``neuron`` trains a time constant a neuron,
    ``layer`` one factor for all of a layer's. ttfs_tau0, ttfs_tau1, ttfs_alpha, ttfs_penalty: of loss
    ``ttfs-xent``, ttfs_delta and ttfs_scale: of ``ttfs-rel-mse`` [s] (EVENTPROP.md §5). ttfs_label,
    ttfs_other: when the label's output and the others should fire first [s], within ttfs_scale, for
    ``ttfs-mse``. Losses ``ttfs-…`` want a CubaLIF read-out. trace_label, trace_other: V that these outputs
    should keep, for ``mse-trace``. target: a file .npy in place of the two values, first spike times [s]
    (classes, outputs) or V (classes, bins, outputs) in equal bins of the sample's duration.
    freeze: names of weight nodes that stay as they are, with spaces between and * and ? as in file names.
    bits: train for weights rounded to as many bits (0: none), straight through the rounding of the pass
    ``quantize-weights`` with this scheme, one scale a population; the graph gets the rounded weights.
    threads: 0 takes every core; results depend on ``shards``, the number of partial gradient sums of a batch,
    never on threads. memory_limit [GiB]: refuse to start above it, 0 never.
    """

    mode: Mode = "substep"
    slope: Slope = "start"
    slope_floor: float = 0.01
    loss: LossName = "xent-mean"
    logit_scale: float = 1.0
    epochs: int = 20
    batch: int = 32
    optimiser: Optimiser = "adam"
    lr: float = 2e-3
    momentum: float = 0.9
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    ease_in: float = 1.05
    schedule: Schedule = "constant"
    decay: float = 0.95
    plateau: int = 5
    metric: Metric = "accuracy"
    patience: int = 0
    clip: float = 1.0
    rate_target: float = 14.0
    rate_upper: float = 0.0
    rate_lower: float = 0.0
    lift: float = 0.002
    ema: float = 0.0
    inside: bool = False
    rescue: float = 0.0
    wake: float = 20.0
    train_tau: float = 0.0
    tau_sharing: TauSharing = "neuron"
    train_threshold: float = 0.0
    train_v_reset: float = 0.0
    train_v_leak: float = 0.0
    train_bias: float = 0.0
    train_delay: float = 0.0
    max_delay: float = 0.15
    ttfs_tau0: float = 5e-4
    ttfs_tau1: float = 6.4e-3
    ttfs_alpha: float = 3e-3
    ttfs_penalty: Penalty = "exp"
    ttfs_delta: float = 5e-3
    ttfs_scale: float = 1e-2
    ttfs_label: float = 1e-2
    ttfs_other: float = 3e-2
    trace_label: float = 1.0
    trace_other: float = 0.0
    target: str = ""
    freeze: str = ""
    bits: int = 0
    scheme: WeightScheme = "max"
    threads: int = 0
    shards: int = 4
    memory_limit: float = 16.0
    name: ClassVar[str] = "eventprop"
    feedforward_delay: ClassVar[Literal[0, 1]] = 0

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

    def beside(self, folder: Path) -> EventProp:
        """The trainer with its relative file ``target`` taken from this folder, where it lies there."""
        path = folder / self.target
        return replace(self, target=str(path)) if self.target and path.is_file() else self

    def memory(self, graph: nir.NIRGraph, data: Dataset, validation: Dataset | None = None) -> int:
        """Bytes that `fit` will take at its peak (see `nirbridge_eventprop.memory`); raises as `fit` does."""
        from nirbridge_eventprop.dispatch import plan_or_stack, prepared
        from nirbridge_eventprop.memory import forecast

        return forecast(self, plan_or_stack(self, prepared(self, inline(graph))), data, validation)

    def forward(self, graph: nir.NIRGraph, spikes: Spikes) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
        """What the trainer's own forward pass computes: scores and hidden spikes.

        Scores (samples, classes) follow the read-out in the graph's metadata, spikes are by node
        name. Under one semantics they equal those of the reference target; in mode ``exact`` they are
        those of continuous time.
        """
        from nirbridge_eventprop.inference import forward

        return forward(self, graph, spikes)
