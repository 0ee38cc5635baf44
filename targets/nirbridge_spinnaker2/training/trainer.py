"""The trainer `spinnaker2`: EventProp with a first-spike loss, as SpiNNaker2 trains it on chip."""

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
from nirbridge_spinnaker2.training.formats import FormatName
from nirbridge_spinnaker2.training.options import Device, Master, Mode, Rounding, check_options

if TYPE_CHECKING:
    import numpy as np
    from numpy.typing import NDArray


@dataclass(frozen=True, kw_only=True)
class ChipEventProp:
    """On-chip EventProp of Béna et al. (arXiv 2412.15021), equations of SPINNAKER2.md §6.

    Trains the weights of Input → Linear → CubaLIF … → Linear → CubaLIF → Output, with or without a Linear
    from a layer to itself, to spike first in the right class. One tick a hop. Follows the public simulator;
    not bit-accurate to silicon.

    device: ``chip`` refuses what exceeds the PEs; ``host`` is the identical computation off chip, without
    that limit. mode: ``batch``, or ``online``: one pass over the data in their own order, a sample a
    step (``batch`` and ``epochs`` are then 1). epochs, batch: of samples; samples that fill no batch are
    left out of the epoch. lr, beta1, beta2, eps, weight_decay: Adam, with the decay inside it; step k takes
    lr·gamma^((k−1)/steps of an epoch). xi [steps], alpha_r, beta_r [steps]: softmax scale of the loss,
    weight and scale of its term for late spikes.

    format: of states, weights and gradients on the layer PEs; rounding: of products and quotients in fixed
    point. master: weights on the optimiser PE, in float or on multiples of 2^−23, master_rounding: of
    their updates. Adam's moments stay float. unscaled: leave τ_s and 1/B out of the gradient, which s16.15
    cannot hold, and multiply weight decay and eps by κ = B/τ_s, so that Adam does the same.
    chips: of 148 application PEs. optimiser_pes: 0 takes as many as the parameters need. threads: 0 takes
    every core. Results depend on none of the three.
    """

    device: Device = "chip"
    mode: Mode = "batch"
    epochs: int = 20
    batch: int = 22
    lr: float = 1.9e-3
    gamma: float = 0.95
    weight_decay: float = 6.5e-7
    beta1: float = 0.9
    beta2: float = 0.999
    eps: float = 1e-8
    xi: float = 1.5
    alpha_r: float = 0.01
    beta_r: float = 100.0
    format: FormatName = "float32"
    rounding: Rounding = "nearest"
    master: Master = "float"
    master_rounding: Rounding = "stochastic"
    unscaled: bool = False
    chips: int = 1
    optimiser_pes: int = 0
    threads: int = 0
    name: ClassVar[str] = "spinnaker2"

    def __post_init__(self) -> None:
        check_options(options_of(self))

    @property
    def passes(self) -> int:
        """Epochs that are trained: one in mode ``online``."""
        return 1 if self.mode == "online" else self.epochs

    @property
    def samples_a_step(self) -> int:
        """Batch that is trained: one in mode ``online``."""
        return 1 if self.mode == "online" else self.batch

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

        An existing ``checkpoint`` is resumed, Adam's moments too: the result has the same bits as an
        uninterrupted run, also where ``epochs`` or ``device`` are others than before. Without one, m, v
        and k start at 0: a NIR file carries weights only. It is written after every epoch.

        Raises `Unsupported` by node name for graphs that are no such stack, `DoesNotFit` for what exceeds a
        PE or the chip, `BadInput` for data that do not fit the graph, and (NB510) where a loss or weight
        stops being finite, with its batch.
        """
        from nirbridge_spinnaker2.training.training import Training

        return Training(self, graph, data, validation, rng, checkpoint, on_step).run()

    def forward(self, graph: nir.NIRGraph, spikes: Spikes) -> tuple[NDArray[np.float64], dict[str, Spikes]]:
        """What the forward pass of training computes in its T steps.

        Scores (samples, classes) are minus the step of the first spike, −T where there is none (read-out
        ``first-spike``); spikes are by node name. They equal those of the reference target; a
        target that runs one more tick for every hop sees spikes that come after T, too.
        """
        from nirbridge_spinnaker2.training.inference import forward

        return forward(self, build(graph), spikes)

    def first_spikes(self, graph: nir.NIRGraph, spikes: Spikes) -> NDArray[np.int64]:
        """Step of every output's first spike within the T steps of training, (samples, classes), T if silent.

        The predicted class is the argmin, the first on a tie.
        """
        from nirbridge_spinnaker2.training.inference import first_spikes

        return first_spikes(self, build(graph), spikes)
