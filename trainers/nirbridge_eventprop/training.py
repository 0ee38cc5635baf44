"""The training loop: epochs, batches, steps of the optimiser, validation, checkpoints."""

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
from nirbridge.graph import digest, inline
from nirbridge.protocols import TrainStats, options_of
from nirbridge_eventprop.activity import lift, rate_term, silent
from nirbridge_eventprop.adam import adam_step, all_finite, follow, total_gradient
from nirbridge_eventprop.checkpoint import State, key_of, load, save
from nirbridge_eventprop.dispatch import executor_of, plan_or_stack, prepared, with_trained
from nirbridge_eventprop.executor import BatchResult, arguments_fit
from nirbridge_eventprop.frozen import free_weights
from nirbridge_eventprop.grid.plan import Plan
from nirbridge_eventprop.losses import READOUTS
from nirbridge_eventprop.memory import forecast, within_limit
from nirbridge_eventprop.objective import AIMED, target_of
from nirbridge_eventprop.outcome import described, finite_weights, usable_labels
from nirbridge_eventprop.quantised import Rounding
from nirbridge_eventprop.schedule import is_best, is_over, metrics
from nirbridge_eventprop.schedule import rate as rate_of
from nirbridge_eventprop.sgd import sgd_step
from nirbridge_eventprop.stack import aligned

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
        self.graph = prepared(trainer, inline(graph))
        self.stack = plan_or_stack(trainer, self.graph)
        if trainer.mode == "substep" and self.stack.sizes[-1, 6]:
            name = self.stack.network.populations[self.stack.layers[-1]].name
            raise Unsupported(
                f"node '{name}' (LI): mode 'substep' needs a read-out with a synapse",
                code="NB201",
                fix="use a CubaLI read-out, or mode=step",
            )
        finite_weights(self.stack)
        usable_labels(data, self.stack.n_outputs)
        self.data = data
        self.validation = validation
        self.rng = rng
        self.path = checkpoint
        self.on_step = on_step or (lambda stats: None)
        for item in (data, validation):
            if item is not None:
                arguments_fit(item.spikes, self.stack)
        if validation is not None:
            usable_labels(validation, self.stack.n_outputs)
        self.watched = bool(trainer.patience) or trainer.schedule == "plateau"
        if self.watched and validation is None:
            raise UsageError(
                "trainer options patience and schedule=plateau need validation data, none are given",
                code="NB701",
                fix="give validation data ([data] valid), or patience=0 and another schedule",
            )
        self.free = free_weights(self.stack, trainer.freeze)
        within_limit(forecast(trainer, self.stack, data, validation), trainer.memory_limit)
        self.rounding = (
            Rounding(self.stack, self.graph, trainer.bits, trainer.scheme) if trainer.bits else None
        )
        self.executor = executor_of(trainer, self.stack)
        self.total = np.zeros_like(self.stack.weights)
        self.factor = np.where(self.free, self.stack.gradient_factor, 0).astype(self.total.dtype)
        # a step of lr in EventProp's own weights; SGD's gradient is of the graph's weights, hence the square
        power = 2 if trainer.optimiser == "sgd" else 1
        self.rate_factor = np.where(self.free, self.stack.rate_factor**power, 0).astype(self.total.dtype)
        self.state = self._start()

    def run(self) -> nir.NIRGraph:
        """Train to the last epoch and return the graph."""
        try:
            while self.state.epoch < self.trainer.epochs and not self._over():
                self._epoch()
                if self.path is not None:
                    save(self.path, self.state)
            return self._result()
        finally:
            self.executor.close()

    def _over(self) -> bool:
        patience = self.trainer.patience
        return bool(patience) and is_over(metrics(self.trainer, self.state.curve), patience)

    def _start(self) -> State:
        options = options_of(self.trainer)
        del options["threads"], options["epochs"], options["memory_limit"]
        if self.trainer.loss in AIMED:  # what the file holds, not where it lies
            options["target"] = target_of(self.trainer, self.stack.n_outputs).tolist()
        if not isinstance(self.stack, Plan):
            options["layout"] = self.stack.sizes[:, 1].tolist()  # how the flat weights are padded
        random = _random_state(self.rng)
        generator = str(random["bit_generator"])
        decides = self.validation if self.watched else None
        key = key_of(options, digest(self.graph), self.stack.network.semantics, self.data, generator, decides)
        if self.path is not None and self.path.exists():
            state = load(self.path, key)
            state.weights = aligned(state.weights)
            self.rng.bit_generator.state = state.random
            return state
        weights = aligned(self.stack.weights.copy())
        state = State(
            epoch=0,
            count=0,
            weights=weights,
            m=np.zeros_like(weights),
            v=np.zeros_like(weights),
            average=weights.copy(),
            best=weights.copy() if self.trainer.patience else np.zeros(0, weights.dtype),
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
        quiet = silent(self.stack, active)
        if trainer.lift and quiet.any():
            lift(self.stack, quiet, trainer.lift, self.free, (state.weights, state.average))
        state.epoch += 1
        neurons = self.stack.hidden_neurons
        entry = {
            "epoch": float(state.epoch),
            "loss": loss / max(done, 1),
            "accuracy": correct / max(done, 1),
            "spikes_per_neuron": spikes / max(done, 1) / neurons,
            "silent": float(quiet.sum()) / neurons,
            "clamped_slopes": float(clamped),
            "rate": self._rate(),
        }
        if self.validation is not None:
            entry |= self._validate(self.validation)
        state.curve.append(entry)
        if trainer.patience and is_best(metrics(trainer, state.curve)):
            state.best[:] = self._final()
        state.random = _random_state(self.rng)
        if stats is not None:
            told = {name: entry.get(name) for name in ("valid_accuracy", "valid_loss", "rate")}
            last = {name: getattr(stats, name) for name in TrainStats.__dataclass_fields__}
            self.on_step(TrainStats(**{**last, **told, "epoch_done": True}))

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
            silent=float(silent(self.stack, active).sum()) / self.stack.hidden_neurons,
            valid_accuracy=curve[-1].get("valid_accuracy") if curve else None,
        )

    def _step(self, batch: Dataset, number: int) -> BatchResult:
        trainer, state, stack = self.trainer, self.state, self.stack
        assert batch.labels is not None  # usable_labels saw to it
        result = self.executor.score(
            batch.spikes,
            batch.labels,
            self._used(state.weights),
            regular=rate_term(
                stack, state.mean_counts, trainer.rate_target, trainer.rate_upper, trainer.rate_lower
            ),
            learn=True,
        )
        state.mean_counts = result.counts.mean(axis=0)
        norm = math.sqrt(total_gradient(self.executor.gradients, self.factor, self.total, len(batch)))
        if not (math.isfinite(norm) and np.isfinite(result.loss).all()):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: the loss or its gradient is not finite "
                f"(mean loss {result.loss.mean():g}, gradient norm {norm:g})",
                code="NB510",
                fix="lower lr, raise ease-in, or look at the samples of that batch",
            )
        shrink = min(1.0, trainer.clip / norm) if trainer.clip and norm > 0 else 1.0
        state.count += 1
        if trainer.optimiser == "sgd":
            rate = self.rate_factor * self.rate_factor.dtype.type(self._rate())
            sgd_step(state.weights, self.total, state.m, rate, trainer.momentum, shrink)
        else:
            adam_step(
                state.weights, self.total, state.m, state.v, self.rate_factor,
                trainer.beta1, trainer.beta2, trainer.eps, state.count, shrink, self._rate(),
            )  # fmt: skip
        if isinstance(stack, Plan):
            stack.clamp(state.weights)
        if not all_finite(state.weights):
            raise BadInput(
                f"epoch {state.epoch + 1}, batch {number}: a weight is not finite after this step",
                code="NB510",
                fix="lower lr",
            )
        if trainer.ema:
            keep = min(trainer.ema, state.count / (state.count + 10.0))
            follow(state.average, state.weights, 1.0 - keep)
        return result

    def _rate(self) -> float:
        per_epoch = -(-len(self.data) // self.trainer.batch)
        return rate_of(self.trainer, self.state.curve, self.state.count, per_epoch)

    def _used(self, weights: NDArray[np.floating]) -> NDArray[np.floating]:
        """What the network runs with: the weights, or their rounding."""
        return weights if self.rounding is None else self.rounding.weights(weights)

    def _final(self) -> NDArray[np.floating]:
        return self.state.average if self.trainer.ema else self.state.weights

    def _validate(self, data: Dataset) -> dict[str, float]:
        """Accuracy by the graph's read-out and mean loss of the weights to return, in mode `step`."""
        result = self.executor.score(data.spikes, data.labels, self._used(self._final()), as_step=True)
        correct = result.scores.argmax(axis=1) == data.labels
        return {"valid_accuracy": float(correct.mean()), "valid_loss": float(result.loss.mean())}

    def _result(self) -> nir.NIRGraph:
        kept = self.state.best if self.trainer.patience and self.state.curve else self._final()
        graph = with_trained(self.stack, self.graph, kept)
        if self.rounding is not None:
            graph = self.rounding.graph(graph)
        return described(graph, self.trainer, self.data, READOUTS[self.trainer.loss], self.state.curve)


def _random_state(rng: Generator) -> dict[str, Any]:
    return dict(rng.bit_generator.state)
