"""Train a graph as a configuration says."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from pathlib import Path
from typing import ClassVar, Literal, Protocol, runtime_checkable

import nir
import numpy as np
from numpy.random import Generator

from nirbridge.data import (
    Augmentation,
    Blend,
    ChannelShift,
    Dataset,
    Drop,
    Jitter,
    Latency,
    NeighbourSwap,
    TimeStretch,
    hold_out,
)
from nirbridge.data.latency import with_latency
from nirbridge.errors import BadInput, UsageError, raise_on_errors
from nirbridge.evaluate.config import Config, DataSection, read_config, trainer_of
from nirbridge.evaluate.epochs import epochs_of, with_log
from nirbridge.graph import read_metadata, write_metadata
from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.graph.stack import layered
from nirbridge.io import read_graph
from nirbridge.io.datasets import read_dataset
from nirbridge.io.images import read_images
from nirbridge.protocols import Trainer, TrainStats
from nirbridge.semantics import Semantics, with_dt, with_semantics
from nirbridge.validate import validate


@runtime_checkable
class Forecasting(Protocol):
    """A trainer that can say how many bytes a training will take at its peak."""

    def memory(self, graph: nir.NIRGraph, data: Dataset, validation: Dataset | None = None) -> int: ...


@runtime_checkable
class Stepping(Protocol):
    """A trainer that says how many steps a spike takes to the next layer in the starts made for it.

    0: as soon as it is sent; 1: a step a hop.
    """

    feedforward_delay: ClassVar[Literal[0, 1]]


@runtime_checkable
class Filing(Protocol):
    """A trainer with options that name files: ``beside`` takes relative ones from a folder that has them."""

    def beside(self, folder: Path) -> Trainer: ...


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Trained:
    """The trained graph, the seconds it took, one entry an epoch, the configuration that made it."""

    graph: nir.NIRGraph
    seconds: float
    curve: list[dict[str, float]]
    config: Config


def train(
    config: Path,
    *,
    out: Path,
    overrides: Sequence[str] = (),
    seed: int | None = None,
    trainer: str | None = None,
    resume: bool = False,
    on_step: Callable[[TrainStats], None] | None = None,
    on_memory: Callable[[int], None] | None = None,
) -> Trained:
    """Read a configuration, load its data, train; the caller writes the graph to ``out``.

    Each epoch adds a line of JSON to the file `epochs_of` beside it. on_memory: told, before training
    starts, the bytes that a trainer which can say so will need.
    The checkpoint beside it (`checkpoint_of`) is written after every epoch and stays: the caller removes
    it once the graph is safe. With ``resume`` training goes on from it; without, an old one is removed
    when configuration, data and graph have been read. Raises as `read_config`, `read_dataset` and the
    trainer do.
    """
    checked = read_config(config, overrides=overrides, seed=seed, trainer=trainer)
    checkpoint = checkpoint_of(out)
    if resume and not checkpoint.exists():
        raise UsageError(f"--resume: no checkpoint {checkpoint}", code="NB705", fix="train without --resume")
    return train_config(
        checked,
        config.parent,
        checkpoint=checkpoint,
        resume=resume,
        on_step=with_log(epochs_of(out), on_step, resume=resume),
        on_memory=on_memory,
    )


def checkpoint_of(out: Path) -> Path:
    """Where the checkpoint of a training into ``out`` lies."""
    return out.with_name(f"{out.name}.checkpoint.npz")


def train_config(
    config: Config,
    folder: Path,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_step: Callable[[TrainStats], None] | None = None,
    on_memory: Callable[[int], None] | None = None,
) -> Trained:
    """Train as a checked configuration says; its relative paths start at ``folder``.

    checkpoint, resume, on_memory: as in `train`. Raises `BadInput` where what was trained is no valid graph.
    """
    data, validation = data_of(config, folder)
    return fit(
        config,
        folder,
        data,
        validation,
        checkpoint=checkpoint,
        resume=resume,
        on_step=on_step,
        on_memory=on_memory,
    )


def fit(
    config: Config,
    folder: Path,
    data: Dataset,
    validation: Dataset | None,
    *,
    checkpoint: Path | None = None,
    resume: bool = False,
    on_step: Callable[[TrainStats], None] | None = None,
    on_memory: Callable[[int], None] | None = None,
) -> Trained:
    """As `train_config`, on data that are loaded already."""
    trainer = trainer_of(config)
    trainer = trainer.beside(folder) if isinstance(trainer, Filing) else trainer
    rng = np.random.default_rng(config.run.seed)
    graph = _graph(config, folder, data, rng, late=_late(trainer))
    if checkpoint is not None and not resume:
        checkpoint.unlink(missing_ok=True)
    if on_memory is not None and isinstance(trainer, Forecasting):
        on_memory(trainer.memory(graph, data, validation))
    began = time.perf_counter()
    trained = trainer.fit(graph, data, validation=validation, rng=rng, checkpoint=checkpoint, on_step=on_step)
    metadata = read_metadata(trained)
    summary = dict(metadata.training or {}) if metadata else {}
    curve: list[dict[str, float]] = list(summary.get("curve", []))
    if metadata is not None:
        summary["seed"] = config.run.seed
        trained = write_metadata(trained, metadata.model_copy(update={"training": summary}))
    if config.data.latency is not None:
        trained = with_latency(trained, Latency(span=config.data.latency))
    raise_on_errors(validate(trained), "the trained graph")
    return Trained(graph=trained, seconds=time.perf_counter() - began, curve=curve, config=config)


def data_of(config: Config, folder: Path) -> tuple[Dataset, Dataset | None]:
    """The data that a configuration names, with its augmentations on those to train with.

    Raises `BadInput` as `read_dataset`, `read_images` and `hold_out` do, and (NB703) for options that do not
    fit the data.
    """
    section = config.data
    train = loaded(section.train, folder, section, section.inputs)
    duration = section.duration or train.spikes.duration
    train = train.with_spikes(train.spikes.with_duration(duration)[0])
    if section.shift >= train.spikes.n_units:
        raise BadInput(
            f"[data] shift is {section.shift}, the data have {train.spikes.n_units} channels",
            code="NB703",
            fix="shift by fewer channels than there are",
        )
    train = replace(train, augmentations=_augmentations(section))
    if section.hold_out is not None:
        return hold_out(train, section.hold_out)
    if section.valid is None:
        return train, None
    valid = loaded(section.valid, folder, section, section.inputs or train.spikes.n_units)
    return train, valid.with_spikes(valid.spikes.with_duration(duration)[0])


def _augmentations(section: DataSection) -> tuple[Augmentation, ...]:
    """What the section asks for, in the order that its docstring states."""
    found: list[tuple[float, Augmentation]] = [
        (section.blend, Blend(section.blend)),
        (section.stretch, TimeStretch(section.stretch)),
        (section.shift, ChannelShift(section.shift)),
        (section.swap, NeighbourSwap(section.swap)),
        (section.jitter + section.jitter_time, Jitter(section.jitter, section.jitter_time)),
        (section.drop, Drop(section.drop)),
    ]
    return tuple(augmentation for strength, augmentation in found if strength)


def loaded(name: str, folder: Path, section: DataSection, inputs: int | None) -> Dataset:
    """A data set as section [data] names it: a file of spikes or images, or generated samples of Yin-Yang."""
    if name.startswith("yin-yang:"):
        from nirbridge.io.yin_yang import yin_yang, yin_yang_steps

        _, split, n, *steps = name.split(":")  # the configuration saw to its form
        if steps:
            data = yin_yang_steps(split, int(n), int(steps[0]))  # type: ignore[arg-type]
        else:
            data = yin_yang(split, int(n))  # type: ignore[arg-type]
        if inputs is not None and inputs != data.spikes.n_units:
            raise BadInput(
                f"[data] inputs is {inputs}, Yin-Yang has {data.spikes.n_units} channels",
                code="NB703",
                fix="leave inputs out",
            )
        return data
    path = next((path for path in (folder / name, Path(name)) if path.is_file()), folder / name)
    if section.latency is None:
        return read_dataset(path, n_units=inputs, groups=section.groups)
    images = read_images(path)
    spikes = Latency(span=section.latency).spikes(images)
    spikes = spikes if inputs is None else spikes.with_units(inputs)
    return Dataset(spikes, images.labels, images.classes, source=str(path))


def _late(trainer: Trainer) -> bool:
    """Whether spikes take a step a hop in a start with a read-out that spikes."""
    return not isinstance(trainer, Stepping) or trainer.feedforward_delay == 1


def _graph(config: Config, folder: Path, data: Dataset, rng: Generator, *, late: bool) -> nir.NIRGraph:
    section = config.graph
    if section.file is not None:
        path = folder / section.file if (folder / section.file).is_file() else section.file
        graph = with_dt(read_graph(path), section.dt, None)
        raise_on_errors(validate(graph), str(path))
        return graph
    if section.dt is None or not section.hidden:
        raise BadInput(
            "section [graph] needs either file, or dt and hidden of a generated start",
            code="NB703",
            fix="for example dt = 1e-3 and hidden = [256]",
        )
    names = set(type(section).model_fields) - {"file", "dt", "hidden", "output", "delay_line"}
    line = section.delay_line
    late = late and section.output == "spikes"
    if line is not None and (late or line.step < section.dt):
        raise BadInput(
            f"[graph] delay_line with a step of {line.step:g} s, dt {section.dt:g} s and output "
            f"'{section.output}', expected a step of at least dt, and no read-out of spikes where they take "
            "a step a hop",
            code="NB703",
            fix='use a step of whole time steps and output = "values"',
        )
    if late and section.tau_shape is not None:
        raise BadInput(
            "[graph] tau_shape with a read-out of spikes that take a step a hop",
            code="NB703",
            fix="leave tau_shape out",
        )
    if late:
        graph = spiking_stack(
            inputs=data.spikes.n_units,
            hidden=section.hidden,
            outputs=len(data.classes),
            dt=section.dt,
            rng=np.random.RandomState(config.run.seed % 2**32),  # the public simulator's own starts
            **{name: getattr(section, name) for name in names & section.model_fields_set},
        )
        return with_semantics(graph, Semantics(dt=section.dt, decay="exact", feedforward_delay=1))
    graph = layered(
        inputs=data.spikes.n_units,
        hidden=section.hidden,
        outputs=len(data.classes),
        dt=section.dt,
        rng=rng,
        delay_line=None if line is None else (line.copies, line.step),
        spiking=section.output == "spikes",
        **{name: getattr(section, name) for name in names},
    )
    return with_semantics(graph, Semantics(dt=section.dt, decay="exact"))
