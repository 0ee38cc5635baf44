"""A graph as a training job: its placement, the training's forward pass, the cost of a batch."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost
from nirbridge.errors import BadInput, DoesNotFit, Finding
from nirbridge.graph import read_metadata
from nirbridge.network import Network
from nirbridge.placement import Placement
from nirbridge.recording import Counts, Recording
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.training_cost import training_cost
from nirbridge_spinnaker2.training_layout import TrainingJob, place
from nirbridge_spinnaker2.training_limits import training_findings

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2

PUBLISHED_TICKS = 30  # of the forward phase of the published run: 27 steps, two hops, the loss


def job_of(network: Network, target: Spinnaker2) -> TrainingJob:
    """The batch that the target's options ask for; raises `Unsupported` for what is no stack of layers.

    Ticks of a phase: ``train_ticks``, else steps of the graph's last training + a tick a layer + one for the
    loss, else those of the published run.
    """
    from nirbridge_spinnaker2.training.structure import stack_of

    stack = stack_of(network)
    depth = len(stack.names)
    ticks = target.train_ticks or _trained_ticks(network, depth) or PUBLISHED_TICKS
    return TrainingJob(
        names=(network.populations[network.of_kind("input")[0]].name, *stack.names),
        layers=stack.sizes,
        recurrent=tuple(bool(first >= 0) for first in stack.layers[:, 4]),
        batch=target.batch,
        ticks_forward=ticks,
        ticks_backward=ticks,
        tick_s=target.tick_s,
        optimiser_pes=target.optimiser_pes,
    )


def _trained_ticks(network: Network, depth: int) -> int:
    metadata = read_metadata(network.graph)
    duration = ((metadata.training if metadata else None) or {}).get("duration")
    if not isinstance(duration, int | float):
        return 0
    return round(duration / network.semantics.dt) + depth + 1


def training_program(network: Network, graph: nir.NIRGraph, target: Spinnaker2) -> TrainingProgram:
    """Raises `Unsupported` for a graph that cannot be trained, `DoesNotFit` with the placement."""
    job = job_of(network, target)
    placement = place(job, target.scenario)
    errors = [f for f in training_findings(job, target.scenario) if f.level == "error"]
    if errors:
        first, rest = errors[0], errors[1:]
        raise DoesNotFit(first.message, code=first.code, fix=first.fix, findings=rest, placement=placement)
    return TrainingProgram(target, network, graph, job, placement)


def check_training(network: Network, target: Spinnaker2) -> list[Finding]:
    """All findings about a batch of this graph."""
    return training_findings(job_of(network, target), target.scenario)


class TrainingProgram:
    """Placement and cost of a training batch; ``run`` is its forward pass in float32, without learning."""

    def __init__(
        self,
        target: Spinnaker2,
        network: Network,
        graph: nir.NIRGraph,
        job: TrainingJob,
        placement: Placement,
    ) -> None:
        self.target, self.network, self.graph = target, network, graph
        self.job, self.placement = job, placement

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Forward pass of every layer over steps + layers ticks, as the trainer's kernels compute it.

        record: "node", "node:v" (after reset), "node:i", "node:x" (weighted spikes, from I). counts: spikes
        of those that the training sees, steps 0 … T−1; synops, updates of the forward phase. Raises
        `BadInput` (NB501) for samples longer than the placement has ticks for, (NB504) for unknown records.
        """
        from nirbridge_spinnaker2.training.executor import Executor, events_of
        from nirbridge_spinnaker2.training.formats import Format
        from nirbridge_spinnaker2.training.structure import stack_of

        self._check(spikes, record)
        stack, dt, n = stack_of(self.network), self.network.semantics.dt, spikes.n_samples
        started = time.perf_counter()
        executor = Executor(
            stack, Format("float32"), xi=1.0, alpha_r=0.0, beta_r=1.0, threads=self.target.threads
        )
        events = replace(events_of(spikes, stack), n_steps=spikes.n_steps(dt) + self.job.depth)
        unlabelled = np.full(n, -1, np.int64)
        traced = any(":" in item for item in record)
        done = executor.run(events, np.arange(n), unlabelled, stack.weights, spikes=True, trace=traced)
        executor.close()
        wall = time.perf_counter() - started
        if progress is not None:
            progress(n)
        names = self.job.names
        late = self.network.semantics.feedforward_delay == 0  # else the graph itself says a tick a hop
        place = {
            name: slice(int(row[2]), int(row[2] + row[0]))
            for name, row in zip(stack.names, stack.layers, strict=True)
        }
        found = {name: Spikes.from_dense(done.spikes[:, :, part], dt) for name, part in place.items()}
        return Recording(
            output=found[names[-1]],
            dt=dt,
            n_steps=spikes.n_steps(dt),
            lag={name: at * late for at, name in enumerate(names) if at},
            output_lag=self.job.depth * late,
            spikes={name: found[name] for name in record if ":" not in name},
            traces={
                item: _trace(done.trace, place[name], stack.coef[stack.names.index(name)], quantity)
                for item in record
                for name, colon, quantity in [item.rpartition(":")]
                if colon
            },
            counts=self._counts(spikes, found),
            wall_s=wall,
        )

    def cost(self, recording: Recording) -> Cost:
        """What one training batch with the recording's mean spikes takes."""
        each = [recording.counts[name]["spikes"] for name in self.job.names]
        spikes = [float(np.mean(counts)) if len(counts) else 0.0 for counts in each]
        return training_cost(self.job, self.target.scenario, spikes)

    def _check(self, spikes: Spikes, record: Sequence[str]) -> None:
        ticks = spikes.n_steps(self.network.semantics.dt) + self.job.depth + 1
        if ticks > self.job.ticks_forward:
            raise BadInput(
                f"the samples need {ticks} ticks a phase ({ticks - self.job.depth - 1} steps, a tick for "
                f"each of {self.job.depth} layers, one for the loss), the PEs are laid out for "
                f"{self.job.ticks_forward}",
                code="NB501",
                fix=f"spinnaker2:phase=training,train_ticks={ticks}",
            )
        layers = self.job.names[1:]
        known = {*layers, *(f"{name}:{quantity}" for name in layers for quantity in "vix")}
        for item in record:
            if item not in known:
                raise BadInput(
                    f"'{item}' cannot be recorded",
                    code="NB504",
                    fix=f"record one of {', '.join(sorted(known))}",
                )

    def _counts(self, spikes: Spikes, found: dict[str, Spikes]) -> dict[str, Counts]:
        steps, dt = spikes.n_steps(self.network.semantics.dt), self.network.semantics.dt
        zero = np.zeros(spikes.n_samples, np.int64)
        before = spikes.counts()
        result: dict[str, Counts] = {
            self.job.names[0]: {"spikes": before, "synops": zero, "updates": zero, "saturated": zero}
        }
        for at, name in enumerate(self.job.names[1:], 1):
            train, n = found[name], self.job.layers[at]
            sample = np.repeat(np.arange(train.n_samples), train.counts())
            mine = np.bincount(sample[train.steps(dt) < steps], minlength=train.n_samples)
            arrived = before + mine * self.job.recurrent[at - 1]
            result[name] = {
                "spikes": mine,
                "synops": arrived * n,
                "updates": np.full(train.n_samples, n * (steps - 1), np.int64),
                "saturated": zero,
            }
            before = mine
        return result


def _trace(
    trace: NDArray[np.floating], part: slice, coef: NDArray[np.float64], quantity: str
) -> NDArray[np.floating]:
    """V after reset, I, or x[i] = I[i] − α·I[i−1], (samples, ticks, units), in graph units."""
    from nirbridge_spinnaker2.training.forward import CURRENT, V_POST

    if quantity == "v":
        return np.ascontiguousarray(trace[:, V_POST, :, part])
    current = np.ascontiguousarray(trace[:, CURRENT, :, part])
    if quantity == "x":
        current[:, 1:] -= trace.dtype.type(coef[0]) * trace[:, CURRENT, :-1, part]
    return current
