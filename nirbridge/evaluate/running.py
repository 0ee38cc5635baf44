"""Run one graph on one target over a data set."""

from __future__ import annotations

import math
from collections.abc import Callable, Sequence
from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost
from nirbridge.data import Dataset
from nirbridge.errors import BadInput, raise_on_errors
from nirbridge.graph import read_metadata
from nirbridge.protocols import Program, Target
from nirbridge.recording import Readout, Recording
from nirbridge.semantics import semantics_of
from nirbridge.spikes import Spikes
from nirbridge.validate import validate

MAX_STEPS = 10_000_000  # of one sample


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Run:
    """What `run` gives. predictions (n_samples,) by the graph's read-out; accuracy, correct and
    accuracy_se (√(p(1−p)/n)) are None without labels; cut_spikes: input spikes beyond the duration.
    """

    program: Program
    recording: Recording
    predictions: NDArray[np.int64]
    correct: int | None
    accuracy: float | None
    accuracy_se: float | None
    cost: Cost
    cut_spikes: int


def run(
    graph: nir.NIRGraph,
    target: Target,
    data: Dataset,
    *,
    record: Sequence[str] = (),
    batch: int = 64,
    progress: Callable[[int], None] | None = None,
) -> Run:
    """Compile the graph as it is, run all samples in batches, predict by the graph's read-out.

    Samples last as long as in the graph's training, where its metadata says so (`fit_duration`).
    progress is called with the number of samples done. Raises `Unsupported` where the target cannot
    take the graph, `BadInput` for a graph that is not valid, for a data set without samples (NB508) and for
    labels that the graph has no output for (NB503).
    """
    if len(data) == 0:
        raise BadInput(f"{data.source}: no samples to run", code="NB508", fix="give a data set with samples")
    raise_on_errors(validate(graph), "the graph")
    fitted, cut = fit_duration(graph, data)
    _steps_fit(graph, fitted)
    program = target.compile(graph)
    _labels_fit(graph, data)
    parts = []
    done = 0

    def count(within: int) -> None:
        if progress is not None:
            progress(done + within)

    for part in fitted.batches(batch):
        parts.append(program.run(part.spikes, record=record, progress=count))
        done += len(part)
    recording = Recording.join(parts)
    predictions = recording.predictions(readout_of(graph, recording))
    correct = accuracy = error = None
    if data.labels is not None:
        correct = int((predictions == data.labels).sum())
        accuracy = correct / len(data)
        error = math.sqrt(accuracy * (1 - accuracy) / len(data))
    return Run(
        program=program,
        recording=recording,
        predictions=predictions,
        correct=correct,
        accuracy=accuracy,
        accuracy_se=error,
        cost=program.cost(recording),
        cut_spikes=cut,
    )


def _steps_fit(graph: nir.NIRGraph, data: Dataset) -> None:
    steps = data.spikes.duration / semantics_of(graph).dt
    if steps > MAX_STEPS:
        raise BadInput(
            f"{data.source}: samples of {data.spikes.duration:g} s are {steps:.3g} steps of "
            f"{semantics_of(graph).dt:g} s, expected at most {MAX_STEPS:,}",
            code="NB512",
            fix="state a longer dt, or cut the samples",
        )


def _labels_fit(graph: nir.NIRGraph, data: Dataset) -> None:
    outputs = sum(
        int(np.prod(node.output_type["output"]))
        for node in graph.nodes.values()
        if isinstance(node, nir.Output)
    )
    if data.labels is not None and len(data) and data.labels.max() >= outputs:
        raise BadInput(
            f"{data.source}: labels go up to {data.labels.max()}, the graph has {outputs} outputs",
            code="NB503",
            fix="use a data set of the graph's own classes",
        )


def fit_duration(graph: nir.NIRGraph, data: Dataset) -> tuple[Dataset, int]:
    """The data with samples as long as the graph was trained on, and how many spikes that cut off.

    Without a training summary in the metadata the data keep their own duration.
    """
    metadata = read_metadata(graph)
    training = metadata.training if metadata else None
    if not training or not isinstance(training.get("duration"), int | float):
        return data, 0
    spikes, cut = data.spikes.with_duration(float(training["duration"]))
    return data.with_spikes(spikes), cut


def readout_of(graph: nir.NIRGraph, recording: Recording) -> Readout:
    """The read-out in the graph's metadata; without one ``count`` for spikes and ``mean`` for values."""
    metadata = read_metadata(graph)
    if metadata is not None and metadata.readout is not None:
        return metadata.readout
    return "count" if isinstance(recording.output, Spikes) else "mean"
