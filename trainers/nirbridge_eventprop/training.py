"""The training loop: epochs, batches, rate term, Adam, validation, checkpoints."""

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
from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import digest, inline, read_metadata, write_metadata
from nirbridge.network import build
from nirbridge.protocols import TrainStats, options_of
from nirbridge_eventprop.adam import adam_step, total_gradient
from nirbridge_eventprop.checkpoint import State, key_of, load, save
from nirbridge_eventprop.executor import BatchResult, Executor, arguments_fit, read_weights
from nirbridge_eventprop.losses import LOSSES
from nirbridge_eventprop.stack import stack_of, with_weights

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


class Training:
    """One run of `EventProp.fit`."""

    def __init__(
        self,
        trainer: EventProp,
        graph: nir.NIRGraph,
        data: Dataset,
        validation: Dataset | None,
        rng: Generator,
        checkpoint: Path | None,
        on_step: Callable[[TrainStats], None] | None,
    ) -> None:
        self.trainer = trainer
        self.graph = inline(graph)
        self.stack = stack_of(build(self.graph))
        if trainer.mode == "substep" and self.stack.sizes[-1, 6]:
            name = self.stack.network.populations[self.stack.layers[-1]].name
            raise Unsupported(
                f"node '{name}' (LI): mode 'substep' needs a read-out with a synapse",
                code="NB201",
                fix="use a CubaLI read-out, or mode=step",
            )
        self.labels = _labels(data, self.stack.n_outputs)
        self.data = data
        self.validation = validation
        self.rng = rng
        self.path = checkpoint
        self.on_step = on_step or (lambda stats: None)
        for item in (data, validation):
            if item is not None:
                arguments_fit(item.spikes, self.stack)
        if validation is not None:
            _labels(validation, self.stack.n_outputs)
        self.loss = LOSSES[trainer.loss]
        self.executor = Executor(
            self.stack,
            threads=trainer.threads,
            shards=trainer.shards,
            slope="substep" if trainer.mode == "substep" else trainer.slope,
            slope_floor=trainer.slope_floor,
        )
        self.state = self._start()
        self.total = np.zeros_like(self.stack.weights)

    def run(self) -> nir.NIRGraph:
        """Train to the last epoch and return the graph."""
        try:
            while self.state.epoch < self.trainer.epochs:
                self._epoch()
                if self.path is not None:
                    save(self.path, self.state)
            return self._result()
        finally:
            self.executor.close()

    def _start(self) -> State:
        options = options_of(self.trainer)
        del options["threads"], options["epochs"]
        random = _random_state(self.rng)
        generator = str(random["bit_generator"])
        key = key_of(options, digest(self.graph), self.stack.network.semantics, self.data, generator)
        if self.path is not None and self.path.exists():
            state = load(self.path, key)
            self.rng.bit_generator.state = state.random
            return state
        weights = self.stack.weights.copy()
        state = State(
            epoch=0,
            count=0,
            weights=weights,
            m=np.zeros_like(weights),
            v=np.zeros_like(weights),
            average=weights.copy(),
            mean_counts=np.full(self.stack.par.shape[1], np.nan),
            random=random,
            key=key,
        )
        if self.path is not None:
            save(self.path, state)
        return state

    def _epoch(self) -> None:
        trainer, state = self.trainer, self.state
        order = self.rng.permutation(len(self.data))
        done, correct, loss, spikes, clamped = 0, 0, 0.0, 0, 0
        active = np.zeros(self.stack.par.shape[1], dtype=bool)
        stats: TrainStats | None = None
        for first in range(0, len(order), trainer.batch):
            batch = self.data.select(order[first : first + trainer.batch]).augmented(self.rng)
            result = self._step(batch, first // trainer.batch + 1)
            done += len(batch)
            correct += int((result.logits.argmax(axis=1) == batch.labels).sum())
            loss += float(result.loss.sum())
            spikes += int(result.counts.sum())
            clamped += result.clamped
            active |= result.counts.any(axis=0)
            stats = self._stats(done, loss, correct, spikes, active)
            self.on_step(stats)
        silent = self._silent(active)
        if trainer.lift and silent.any():
            self._lift(silent)
        state.epoch += 1
        accuracy = None
        if self.validation is not None and len(self.validation):
            accuracy = self._accuracy(self.validation)
        neurons = self.stack.hidden_neurons
        entry = {
            "epoch": float(state.epoch),
            "loss": loss / max(done, 1),
            "accuracy": correct / max(done, 1),
            "spikes_per_neuron": spikes / max(done, 1) / neurons,
            "silent": float(silent.sum()) / neurons,
            "clamped_slopes": float(clamped),
        }
        if accuracy is not None:
            entry["valid_accuracy"] = accuracy
        state.curve.append(entry)
        state.random = _random_state(self.rng)
        if stats is not None:
            last = {name: getattr(stats, name) for name in TrainStats.__dataclass_fields__}
            self.on_step(TrainStats(**{**last, "valid_accuracy": accuracy, "epoch_done": True}))

    def _stats(
        self, done: int, loss: float, correct: int, spikes: int, active: NDArray[np.bool_]
    ) -> TrainStats:
        curve = self.state.curve
        return TrainStats(
            epoch=self.state.epoch + 1,
            epochs=self.trainer.epochs,
            samples=done,
            epoch_samples=len(self.data),
            loss=loss / done,
            accuracy=correct / done,
            spikes_per_neuron=spikes / done / self.stack.hidden_neurons,
            silent=float(self._silent(active).sum()) / self.stack.hidden_neurons,
            valid_accuracy=curve[-1].get("valid_accuracy") if curve else None,
        )

    def _step(self, batch: Dataset, number: int) -> BatchResult:
        trainer, state, stack = self.trainer, self.state, self.stack
        assert batch.labels is not None  # _labels saw to it
        n_steps = batch.spikes.n_steps(stack.network.semantics.dt)
        omega = self.loss.omega(n_steps, stack.network.semantics.dt)
        result = self.executor.run(
            batch.spikes,
            batch.labels,
            state.weights,
            omega=omega,
            omega_read=omega,
            logit_scale=trainer.logit_scale,
            regular=self._rate_term(),
            learn=True,
        )
        state.mean_counts = result.counts.mean(axis=0)
        factor = stack.gradient_factor / stack.gradient_factor.dtype.type(len(batch))
        norm = math.sqrt(total_gradient(self.executor.gradients, factor, self.total))
        if not (math.isfinite(norm) and np.isfinite(result.loss).all()):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: the loss or its gradient is not finite "
                f"(mean loss {result.loss.mean():g}, gradient norm {norm:g})",
                code="NB510",
                fix="lower lr, raise ease-in, or look at the samples of that batch",
            )
        shrink = min(1.0, trainer.clip / norm) if trainer.clip and norm > 0 else 1.0
        state.count += 1
        rate = stack.rate_factor * stack.rate_factor.dtype.type(self._rate())
        adam_step(
            state.weights, self.total, state.m, state.v, rate,
            trainer.beta1, trainer.beta2, trainer.eps, state.count, shrink,
        )  # fmt: skip
        if not math.isfinite(float(state.weights.sum(dtype=np.float64))):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: a weight is not finite after this step",
                code="NB510",
                fix="lower lr",
            )
        if trainer.ema:
            keep = min(trainer.ema, state.count / (state.count + 10.0))
            state.average += (1.0 - keep) * (state.weights - state.average)
        return result

    def _rate(self) -> float:
        trainer = self.trainer
        rate = trainer.lr
        if trainer.schedule == "exponential":
            rate *= trainer.decay**self.state.epoch
        elif trainer.schedule == "cosine":
            per_epoch = -(-len(self.data) // trainer.batch)
            share = (self.state.count - 1) / max(per_epoch * trainer.epochs, 1)
            rate *= 0.5 * (1.0 + math.cos(math.pi * min(share, 1.0)))
        if trainer.ease_in > 1:
            exponent = min((self.state.count - 1) * math.log(trainer.ease_in), math.log(100.0))
            rate *= math.exp(exponent) / 100.0
        return rate

    def _rate_term(self) -> NDArray[np.floating]:
        """r_j/θ_j with r = ρ·(N̄ − ν) from the counts of the batch before; 0 in the first batch."""
        trainer, counts, par = self.trainer, self.state.mean_counts, self.stack.par
        if np.isnan(counts).any() or not (trainer.rate_upper or trainer.rate_lower):
            return np.zeros(par.shape[1], par.dtype)
        strength = np.where(counts > trainer.rate_target, trainer.rate_upper, trainer.rate_lower)
        term: NDArray[np.floating] = (strength * (counts - trainer.rate_target) / par[5]).astype(par.dtype)
        return term

    def _silent(self, active: NDArray[np.bool_]) -> NDArray[np.bool_]:
        """Hidden neurons without a spike, (states,)."""
        hidden = np.zeros(len(active), dtype=bool)
        for row in self.stack.sizes[:-1]:
            hidden[row[0] : row[0] + row[2]] = True
        return hidden & ~active

    def _lift(self, silent: NDArray[np.bool_]) -> None:
        """Add ``lift`` (in EventProp's weights) to the feed-forward weights of silent neurons."""
        for row in self.stack.sizes[:-1]:
            at, width, forward, rows = int(row[0]), int(row[1]), int(row[3]), int(row[4])
            for weights in (self.state.weights, self.state.average):
                block = weights[forward : forward + rows * width].reshape(rows, width)
                mine = silent[at : at + width]
                block[:, mine] += self.trainer.lift / self.stack.par[11, at : at + width][mine]

    def _final(self) -> NDArray[np.floating]:
        return self.state.average if self.trainer.ema else self.state.weights

    def _accuracy(self, data: Dataset) -> float:
        """Share of ``data`` that the returned weights would classify right, by the graph's read-out."""
        n_steps = data.spikes.n_steps(self.stack.network.semantics.dt)
        weights = read_weights(self.loss.readout, n_steps)
        result = self.executor.run(
            data.spikes, None, self._final(), omega=weights, omega_read=weights, as_step=True
        )
        return float((result.scores.argmax(axis=1) == data.labels).mean())

    def _result(self) -> nir.NIRGraph:
        graph = with_weights(self.stack, self.graph, self._final())
        metadata = read_metadata(graph)
        if metadata is None:
            raise BadInput("the graph lost its metadata", code="NB401")
        last = self.state.curve[-1] if self.state.curve else {}
        training: dict[str, Any] = {
            "trainer": self.trainer.name,
            "options": options_of(self.trainer),
            "epochs": self.state.epoch,
            "samples": len(self.data),
            "duration": self.data.spikes.duration,
            "clamped_slopes": sum(int(entry["clamped_slopes"]) for entry in self.state.curve),
            "curve": self.state.curve,
            **{k: v for k, v in last.items() if k not in ("epoch", "clamped_slopes")},
        }
        update = {
            "readout": self.loss.readout,
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


def _random_state(rng: Generator) -> dict[str, Any]:
    return dict(rng.bit_generator.state)
