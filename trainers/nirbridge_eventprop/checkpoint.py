"""Everything that a training needs to go on as if it had never stopped."""

from __future__ import annotations

import hashlib
import json
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any
from zipfile import BadZipFile

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge.io.atomic import atomic_path
from nirbridge.semantics import Semantics


@dataclass(slots=True, eq=False, kw_only=True)
class State:
    """The state between two epochs.

    weights, m, v, average: (n,) flat weights, the optimiser's moments, their running average; best: those of
    the best epoch, empty where none is kept. count: steps done. mean_counts: (states,) batch-mean spike
    counts of the last batch. random: state of
    the generator. key: what must be equal for a resume (see `key_of`).
    """

    epoch: int
    count: int
    weights: NDArray[np.floating]
    m: NDArray[np.floating]
    v: NDArray[np.floating]
    average: NDArray[np.floating]
    best: NDArray[np.floating]
    mean_counts: NDArray[np.float64]
    random: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    key: str = ""


def key_of(
    options: dict[str, Any],
    graph_digest: str,
    semantics: Semantics,
    data: Dataset,
    generator: str,
    validation: Dataset | None = None,
) -> str:
    """sha256 (hex) over everything that decides the course of a training, its random numbers aside.

    options: the trainer's, without those that may change on a resume. generator: name of the kind
    of generator, since the state of one kind cannot be given to another. validation: where it decides.
    """
    facts = [options, graph_digest, asdict(semantics), data.spikes.n_units, data.spikes.duration, generator]
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for item in (data, validation):
        if item is not None:
            for array in (item.spikes.times, item.spikes.units, item.spikes.offsets, item.labels):
                sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def save(path: Path, state: State) -> None:
    """Write the state as .npz, atomically."""
    text = json.dumps(
        {
            "schema": "nirbridge.checkpoint/1",
            "epoch": state.epoch,
            "count": state.count,
            "random": state.random,
            "curve": state.curve,
            "key": state.key,
        },
        default=int,
    )
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            state=np.array(text),
            weights=state.weights,
            m=state.m,
            v=state.v,
            average=state.average,
            best=state.best,
            mean_counts=state.mean_counts,
        )


def load(path: Path, key: str) -> State:
    """Read a state back; raises `BadInput` (NB511) where it is none or belongs to another training."""
    try:
        with np.load(path, allow_pickle=False) as data:
            text = json.loads(str(data["state"]))
            arrays = {name: data[name] for name in ("weights", "m", "v", "average", "best", "mean_counts")}
            found = State(
                epoch=int(text["epoch"]),
                count=int(text["count"]),
                random=text["random"],
                curve=text["curve"],
                key=text["key"],
                **arrays,
            )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise BadInput(
            f"{path}: not a checkpoint of trainer 'eventprop': {error}",
            code="NB511",
            fix="train without --resume",
        ) from error
    if found.key != key:
        raise BadInput(
            f"{path}: the checkpoint belongs to another graph, data set or other trainer options",
            code="NB511",
            fix="use the configuration that wrote it, or train without --resume",
        )
    return found
