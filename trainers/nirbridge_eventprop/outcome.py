"""The trained graph with what its metadata say of the training; labels that a training can use."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge.graph import digest, read_metadata, write_metadata
from nirbridge.protocols import options_of
from nirbridge.recording import Readout
from nirbridge_eventprop.schedule import metrics
from nirbridge_eventprop.stack import Stack

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp


def described(
    graph: nir.NIRGraph, trainer: EventProp, data: Dataset, readout: Readout, curve: list[dict[str, float]]
) -> nir.NIRGraph:
    """The graph with read-out, classes, the training's summary and its own digest in the metadata.

    curve: one entry an epoch; the summary repeats that of the epoch whose weights the graph has.
    """
    metadata = read_metadata(graph)
    if metadata is None:
        raise BadInput("the graph lost its metadata", code="NB401")
    kept = best_epoch(trainer, curve)
    training: dict[str, Any] = {
        "trainer": trainer.name,
        "options": options_of(trainer),
        "epochs": len(curve),
        "samples": len(data),
        "duration": data.spikes.duration,
        "clamped_slopes": sum(int(entry["clamped_slopes"]) for entry in curve),
        "curve": curve,
        **{k: v for k, v in (kept or {}).items() if k not in ("epoch", "clamped_slopes")},
    }
    if trainer.patience and kept is not None:
        training["best_epoch"] = kept["epoch"]
    update = {
        "readout": readout,
        "classes": list(data.classes),
        "training": training,
        "digest": digest(graph),
    }
    return write_metadata(graph, metadata.model_copy(update=update))


def best_epoch(trainer: EventProp, curve: list[dict[str, float]]) -> dict[str, float] | None:
    """The entry of the epoch whose weights are returned: the best with ``patience``, else the last."""
    if not curve:
        return None
    if not trainer.patience:
        return curve[-1]
    values = metrics(trainer, curve)
    return curve[values.index(max(values))]


def usable_labels(data: Dataset, n_outputs: int) -> NDArray[np.int64]:
    """The labels of data with samples; raises `BadInput` (NB503) where an output is missing for one.

    Also (NB501) where the samples last no time.
    """
    if data.labels is None:
        raise BadInput(
            f"{data.source}: no labels, training needs them", code="NB503", fix="add labels to the file"
        )
    if len(data) == 0:
        raise BadInput(f"{data.source}: no samples", code="NB503", fix="give a data set with samples")
    if data.spikes.duration == 0:
        raise BadInput(
            f"{data.source}: samples have a duration of 0 s, training needs some",
            code="NB501",
            fix="state how long they last ([data] duration)",
        )
    if data.labels.max() >= n_outputs:
        raise BadInput(
            f"{data.source}: labels go up to {data.labels.max()}, the graph has {n_outputs} outputs",
            code="NB503",
            fix=f"give the read-out {data.labels.max() + 1} neurons",
        )
    return data.labels


def finite_weights(stack: Stack) -> None:
    """Raise `BadInput` (NB120) by node name where a weight to train is not finite."""
    for place in stack.nodes:
        block = stack.weights[place.offset : place.offset + place.rows * place.width]
        bad = ~np.isfinite(block.reshape(place.rows, place.width)[:, : place.columns])
        if bad.any():
            raise BadInput(
                f"node '{place.name}': {int(bad.sum())} of {bad.size} weights are not finite",
                code="NB120",
                fix="train or export again",
            )
