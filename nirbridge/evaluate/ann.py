"""How exact a rate-coded graph is: its accuracy after every number of steps, beside the ANN's own."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.ann import Ann, RateCoded, batches, forward
from nirbridge.data import Images
from nirbridge.errors import BadInput
from nirbridge.plugins import load

FIRST = 8  # steps of the first row


@dataclass(frozen=True, slots=True, kw_only=True)
class AtStep:
    """The graph's predictions after ``steps`` steps.

    agreement: share of samples with the ANN's class. accuracy (with its standard error) and correct:
    None without labels. lost: the ANN's accuracy minus this one. error: the largest |V/T − score| of
    any class, over the largest |score| of the ANN.
    """

    steps: int
    agreement: float
    error: float
    accuracy: float | None = None
    accuracy_se: float | None = None
    correct: int | None = None
    lost: float | None = None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class RateCodingResult:
    """An ANN and its rate-coded graph on the same samples.

    ann_accuracy: of the ANN as it was read, by our own forward pass; replaced_accuracy: with its max
    pools replaced (equal where they were replaced exactly). spikes_per_neuron: per sample over all
    steps, by node; synops: per sample, of the whole graph. seconds: that the runs took.
    """

    n_samples: int
    ann_accuracy: float | None
    replaced_accuracy: float | None
    curve: tuple[AtStep, ...]
    spikes_per_neuron: dict[str, float]
    synops: float
    seconds: float

    def as_dict(self) -> dict[str, Any]:
        """As JSON keeps it."""
        return asdict(self)


def evaluate_rate_coding(
    ann: Ann,
    coded: RateCoded,
    images: Images,
    *,
    batch: int = 32,
    progress: Callable[[int], None] | None = None,
) -> RateCodingResult:
    """Run the graph on the reference with images, and hold its read-out against the ANN.

    ann: as it was read. The rows are 8, 16, 32, … steps up to the coding's own number, which is the
    last. progress: samples done. Raises `BadInput` (NB503) for labels that the ANN has no output for.
    """
    images = images.shaped(ann.shape)
    scores, replaced = _scores(ann, images), _scores(coded.ann, images)
    _labels_fit(images, scores.shape[1])
    steps = [2**k for k in range(3, 20) if 2**k < coded.encoding.steps] + [coded.encoding.steps]
    reference: Any = load("targets", "reference")()
    program = reference.compile(coded.graph)
    values, spikes, synops, seconds, done = [], dict[str, int](), 0, 0.0, 0
    for start in range(0, len(images), batch):
        part = images.select(slice(start, start + batch))
        recording = program.run(coded.encoding.spikes(part))
        values.append(np.asarray(recording.output)[:, [n - 1 for n in steps]])
        for node, counts in recording.counts.items():
            spikes[node] = spikes.get(node, 0) + int(counts["spikes"].sum())
            synops += int(counts["synops"].sum())
        seconds += recording.wall_s or 0.0
        done += len(part)
        if progress is not None:
            progress(done)
    membranes = np.concatenate(values)
    sizes = {name: _size(node) for name, node in coded.graph.nodes.items() if isinstance(node, nir.IF)}
    own = _accuracy(scores, images)
    return RateCodingResult(
        n_samples=len(images),
        ann_accuracy=own,
        replaced_accuracy=_accuracy(replaced, images),
        curve=tuple(
            _at_step(n, membranes[:, at], scores, replaced, images, own) for at, n in enumerate(steps)
        ),
        spikes_per_neuron={name: spikes[name] / len(images) / size for name, size in sizes.items()},
        synops=synops / len(images),
        seconds=seconds,
    )


def _scores(ann: Ann, images: Images) -> NDArray[np.float64]:
    x = images.values()
    found = [forward(ann, x[part]).reshape(part.stop - part.start, -1) for part in batches(ann, len(x))]
    return np.concatenate(found).astype(np.float64)


def _labels_fit(images: Images, classes: int) -> None:
    if images.labels is not None and images.labels.max() >= classes:
        raise BadInput(
            f"{images.source}: labels go up to {images.labels.max()}, the ANN has {classes} outputs",
            code="NB503",
            fix="use a data set of the ANN's own classes",
        )


def _accuracy(scores: NDArray[np.float64], images: Images) -> float | None:
    return None if images.labels is None else float((scores.argmax(axis=1) == images.labels).mean())


def _at_step(
    steps: int,
    membrane: NDArray[Any],
    scores: NDArray[np.float64],
    replaced: NDArray[np.float64],
    images: Images,
    own: float | None,
) -> AtStep:
    chosen = membrane.argmax(axis=1)
    largest = float(np.abs(replaced).max())
    row = AtStep(
        steps=steps,
        agreement=float((chosen == scores.argmax(axis=1)).mean()),
        error=float(np.abs(membrane / steps - replaced).max()) / largest if largest else 0.0,
    )
    if images.labels is None or own is None:
        return row
    accuracy = float((chosen == images.labels).mean())
    return AtStep(
        steps=steps,
        agreement=row.agreement,
        error=row.error,
        accuracy=accuracy,
        accuracy_se=math.sqrt(accuracy * (1 - accuracy) / len(images)),
        correct=int((chosen == images.labels).sum()),
        lost=own - accuracy,
    )


def _size(node: nir.IF) -> int:
    return int(np.size(node.v_threshold))
