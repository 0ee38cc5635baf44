"""The training loop: epochs, batches, Adam, validation, checkpoints, and what is told of them."""

from __future__ import annotations

import math
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.random import Generator
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Unsupported, UsageError
from nirbridge.graph import digest, inline, read_metadata, write_metadata
from nirbridge.network import build
from nirbridge.protocols import TrainStats, options_of
from nirbridge_spinnaker2.training.adam import adam_step, gather
from nirbridge_spinnaker2.training.checkpoint import State, key_of, load, save
from nirbridge_spinnaker2.training.executor import BatchResult, Events, events_of
from nirbridge_spinnaker2.training.fit import check_fit, job_of, modelled
from nirbridge_spinnaker2.training.inference import executor_of
from nirbridge_spinnaker2.training.structure import stack_of, with_weights
from nirbridge_spinnaker2.training.tally import Tally

if TYPE_CHECKING:
    from nirbridge_spinnaker2.training.trainer import ChipEventProp

FREE_ON_RESUME = ("threads", "epochs", "device", "chips", "optimiser_pes")
WORD = 2**64
STEP_KEY, MASTER_KEY = 0xD1B54A32D192ED03, 0xABC98388FB8FAC03  # odd: no two steps share a key


class Training:
    """One run of `ChipEventProp.fit`."""

    def __init__(
        self,
        trainer: ChipEventProp,
        graph: nir.NIRGraph,
        data: Dataset,
        validation: Dataset | None,
        rng: Generator,
        checkpoint: Path | None,
        on_step: Callable[[TrainStats], None] | None,
    ) -> None:
        self.trainer, self.data, self.validation, self.rng = trainer, data, validation, rng
        self.path = checkpoint
        self.on_step = on_step or (lambda stats: None)
        self.graph = inline(graph)
        self.stack = stack_of(build(self.graph))
        self.labels = _labels(data, self.stack.sizes[-1])
        self.events = events_of(data.spikes, self.stack)
        self.batch = trainer.samples_a_step
        if len(data) < self.batch:
            raise UsageError(
                f"a batch of {self.batch} samples, but {data.source} has {len(data)}",
                code="NB701",
                fix=f"batch={len(data)}",
            )
        self.job = job_of(
            self.stack,
            batch=self.batch,
            n_steps=self.events.n_steps,
            optimiser_pes=trainer.optimiser_pes,
        )
        self.late = check_fit(self.job, trainer.chips) if trainer.device == "chip" else []
        if validation is not None:
            _labels(validation, self.stack.sizes[-1])
            events_of(validation.spikes, self.stack)
        self.executor = executor_of(trainer, self.stack)
        self.kappa = self._kappa()
        self.state = self._start()
        self.total = np.zeros(len(self.stack.weights), self.executor.form.real)

    @property
    def steps_an_epoch(self) -> int:
        """Batches of an epoch; samples that fill no batch are left out."""
        return len(self.data) // self.batch

    def _kappa(self) -> float:
        """B/τ_s, by which the gradient grows where τ_s and 1/B are left out of it; else 1."""
        if not self.trainer.unscaled:
            return 1.0
        taus = self.stack.coef[:, 5]
        if np.any(taus != taus[0]):
            raise Unsupported(
                f"trainer option unscaled needs one tau_syn, got {', '.join(f'{t:g} s' for t in taus)}",
                code="NB206",
                fix="give every layer the same tau_syn, or train with unscaled=false",
            )
        return self.batch / float(taus[0])

    def run(self) -> nir.NIRGraph:
        """Train to the last epoch and return the graph."""
        try:
            while self.state.epoch < self.trainer.passes:
                self._epoch()
                if self.path is not None:
                    save(self.path, self.state)
            return self._result()
        finally:
            self.executor.close()

    def _start(self) -> State:
        options = {k: v for k, v in options_of(self.trainer).items() if k not in FREE_ON_RESUME}
        random = dict(self.rng.bit_generator.state)
        generator = str(random["bit_generator"])
        key = key_of(options, digest(self.graph), self.stack.network.semantics, self.data, generator)
        if self.path is not None and self.path.exists():
            state = load(self.path, key)
            self.rng.bit_generator.state = state.random
            return state
        noise = int(self.rng.integers(2**63))
        real = self.executor.form.real
        grid = self.trainer.master == "s8.23"
        weights = self.stack.weights
        state = State(
            epoch=0,
            count=0,
            weights=np.rint(weights * 2.0**23) * 2.0**-23 if grid else weights.astype(real),
            m=np.zeros(len(weights), real),
            v=np.zeros(len(weights), real),
            noise=noise,
            random=dict(self.rng.bit_generator.state),
            key=key,
        )
        if self.path is not None:
            save(self.path, state)
        return state

    def _epoch(self) -> None:
        online = self.trainer.mode == "online"
        order = np.arange(len(self.data)) if online else self.rng.permutation(len(self.data))
        tally = Tally(self.stack)
        for number in range(self.steps_an_epoch):
            samples = order[number * self.batch : (number + 1) * self.batch]
            result, labels, inputs = self._batch(samples, number + 1)
            tally.add(result, labels, inputs)
            self.on_step(self._stats(tally))
        self.state.epoch += 1
        entry = {"epoch": float(self.state.epoch), **tally.entry()}
        accuracy = None
        if self.validation is not None and len(self.validation):
            accuracy = self._accuracy(self.validation)
            entry["valid_accuracy"] = accuracy
        self.state.curve.append(entry)
        self.state.random = dict(self.rng.bit_generator.state)
        last = self._stats(tally)
        values = {name: getattr(last, name) for name in TrainStats.__dataclass_fields__}
        self.on_step(
            TrainStats(**values | {"epoch": self.state.epoch, "valid_accuracy": accuracy, "epoch_done": True})
        )

    def _batch(
        self, samples: NDArray[np.int64], number: int
    ) -> tuple[BatchResult, NDArray[np.int64], NDArray[np.int64]]:
        """Result, labels and input spikes per sample of one update."""
        if not self.data.augmentations:
            result = self.step(self.events, samples, self.labels, number)
            counts = self.events.offsets[samples + 1] - self.events.offsets[samples]
            return result, self.labels[samples], counts
        varied = self.data.select(samples).augmented(self.rng)
        labels = _labels(varied, self.stack.sizes[-1])
        events = events_of(varied.spikes, self.stack)
        return self.step(events, np.arange(len(samples)), labels, number), labels, varied.spikes.counts()

    def step(
        self, events: Events, samples: NDArray[np.int64], labels: NDArray[np.int64], number: int = 1
    ) -> BatchResult:
        """One update of the weights from these samples; raises `BadInput` (NB510) where it is not finite."""
        trainer, state, executor = self.trainer, self.state, self.executor
        noise = (state.noise + state.count * STEP_KEY) % WORD
        result = executor.run(events, samples, labels, state.weights, learn=True, key=noise)
        squares = gather(executor.gradients, executor.form.unit, self.total)
        if not (math.isfinite(squares) and math.isfinite(float(result.loss.sum()))):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: the loss or its gradient is not finite "
                f"(mean loss {result.loss[:, 0].mean():g}, gradient norm {math.sqrt(squares):g})",
                code="NB510",
                fix="lower lr or raise beta_r, or look at the samples of that batch",
            )
        rate = trainer.lr * trainer.gamma ** (state.count / self.steps_an_epoch)
        state.count += 1
        total = adam_step(
            state.weights, self.total, state.m, state.v, state.count, rate, trainer.beta1, trainer.beta2,
            trainer.eps * self.kappa, trainer.weight_decay * self.kappa, trainer.master == "s8.23",
            trainer.master_rounding == "stochastic",
            np.uint64((state.noise + state.count * MASTER_KEY) % WORD),
        )  # fmt: skip
        if not math.isfinite(total):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: a weight is not finite after this step",
                code="NB510",
                fix="lower lr",
            )
        return result

    def _accuracy(self, data: Dataset) -> float:
        """Share of ``data`` whose right output spikes first, by the forward pass of training."""
        events = events_of(data.spikes, self.stack)
        labels = np.full(len(data), -1, np.int64)
        result = self.executor.run(
            events, np.arange(len(data)), labels, self.state.weights, key=self.state.noise
        )
        return float((result.predictions == data.labels).mean())

    def _stats(self, tally: Tally) -> TrainStats:
        curve = self.state.curve
        return TrainStats(
            epoch=self.state.epoch + 1,
            epochs=self.trainer.passes,
            samples=tally.samples,
            epoch_samples=self.steps_an_epoch * self.batch,
            loss=tally.loss / tally.samples,
            accuracy=tally.correct / tally.samples,
            spikes_per_neuron=tally.hidden_spikes / tally.samples / max(self.stack.hidden, 1),
            silent=tally.silent,
            valid_accuracy=curve[-1].get("valid_accuracy") if curve else None,
        )

    def _result(self) -> nir.NIRGraph:
        graph = with_weights(self.stack, self.graph, self.state.weights)
        metadata = read_metadata(graph)
        if metadata is None:
            raise BadInput("the graph lost its metadata", code="NB401")
        curve = self.state.curve
        last = curve[-1] if curve else {}
        training: dict[str, Any] = {
            "trainer": self.trainer.name,
            "options": options_of(self.trainer),
            "epochs": self.state.epoch,
            "samples": len(self.data),
            "updates": self.state.count,
            "duration": self.data.spikes.duration,
            "curve": curve,
            **{name: value for name, value in last.items() if name != "epoch"},
        }
        if self.trainer.device == "chip" and last:
            spikes = [last[f"spikes_{name}"] for name in ("input", *self.stack.names)]
            training["chip"] = modelled(self.job, self.trainer.chips, spikes, self.state.count)
            training["chip"]["findings"] = [finding.message for finding in self.late]
        update = {
            "readout": "first-spike",
            "classes": list(self.data.classes),
            "training": training,
            "digest": digest(graph),
        }
        return write_metadata(graph, metadata.model_copy(update=update))


def _labels(data: Dataset, n_outputs: int) -> NDArray[np.int64]:
    if data.labels is None:
        raise BadInput(
            f"{data.source}: no labels, training needs them", code="NB503", fix="add labels to the file"
        )
    if len(data) == 0:
        raise BadInput(f"{data.source}: no samples", code="NB503", fix="give a data set with samples")
    if data.labels.max() >= n_outputs:
        raise BadInput(
            f"{data.source}: labels go up to {data.labels.max()}, the graph has {n_outputs} outputs",
            code="NB503",
            fix=f"give the read-out {data.labels.max() + 1} neurons",
        )
    return data.labels
