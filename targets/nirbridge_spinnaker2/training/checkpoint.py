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

ARRAYS = ("weights", "m", "v")


@dataclass(slots=True, eq=False, kw_only=True)
class State:
    """The state between two epochs.

    weights, m, v: (n,) flat master weights and Adam's moments. count: Adam steps done. noise: seed of
    stochastic rounding. random: state of the generator. key: what must be equal for a resume.
    """

    epoch: int
    count: int
    weights: NDArray[np.floating]
    m: NDArray[np.floating]
    v: NDArray[np.floating]
    noise: int
    random: dict[str, Any]
    curve: list[dict[str, float]] = field(default_factory=list)
    key: str = ""


def key_of(
    options: dict[str, Any], graph_digest: str, semantics: Semantics, data: Dataset, generator: str
) -> str:
    """sha256 (hex) over everything that decides the course of a training, its random numbers aside.

    options: the trainer's, without those that may change on a resume. generator: its kind.
    """
    facts = [options, graph_digest, asdict(semantics), data.spikes.n_units, data.spikes.duration, generator]
    sha = hashlib.sha256(json.dumps(facts, sort_keys=True).encode())
    for array in (data.spikes.times, data.spikes.units, data.spikes.offsets, data.labels):
        sha.update(np.ascontiguousarray(array).tobytes())
    return sha.hexdigest()


def save(path: Path, state: State) -> None:
    """Write the state as .npz, atomically."""
    facts = {name: getattr(state, name) for name in ("epoch", "count", "noise", "random", "curve", "key")}
    text = json.dumps({"schema": "nirbridge.spinnaker2-checkpoint/1", **facts}, default=int)
    with atomic_path(path) as temporary, temporary.open("wb") as stream:
        np.savez(stream, state=np.array(text), weights=state.weights, m=state.m, v=state.v)


def load(path: Path, key: str) -> State:
    """Read a state back; raises `BadInput` (NB511) where it is none or belongs to another training."""
    try:
        with np.load(path, allow_pickle=False) as data:
            text = json.loads(str(data["state"]))
            found = State(
                epoch=int(text["epoch"]),
                count=int(text["count"]),
                noise=int(text["noise"]),
                random=text["random"],
                curve=text["curve"],
                key=text["key"],
                **{name: data[name] for name in ARRAYS},
            )
    except (OSError, EOFError, KeyError, ValueError, BadZipFile) as error:
        raise BadInput(
            f"{path}: not a checkpoint of trainer 'spinnaker2': {error}",
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
