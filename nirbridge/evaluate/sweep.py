"""Repeat a training over a grid of values, over seeds, and with each group of the data left out in turn."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterator, Sequence
from concurrent.futures import Executor, ProcessPoolExecutor, as_completed
from dataclasses import asdict, dataclass, replace
from multiprocessing import get_context
from pathlib import Path
from typing import Any

import numpy as np

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate.config import Config, with_values
from nirbridge.evaluate.running import run
from nirbridge.evaluate.training import data_of, fit, loaded
from nirbridge.plugins import load
from nirbridge.spikes import Spikes


@dataclass(frozen=True, slots=True, kw_only=True)
class Trial:
    """One training of a sweep.

    values: of the grid's keys. left_out: the group that was not trained on and is the test, or None. correct
    of ``samples`` test samples, by the reference target in the graph's semantics. seconds: of the training.
    """

    values: dict[str, Any]
    seed: int
    left_out: int | None
    samples: int
    correct: int
    seconds: float

    @property
    def accuracy(self) -> float:
        return self.correct / self.samples


@dataclass(frozen=True, slots=True, kw_only=True)
class Point:
    """One combination of values: the mean over its trials and their standard deviation (None for one)."""

    values: dict[str, Any]
    trials: int
    accuracy: float
    deviation: float | None


@dataclass(frozen=True, slots=True, kw_only=True)
class Sweep:
    """All trials in the order of the grid, the seeds, the groups; points from the best to the worst."""

    trials: tuple[Trial, ...]
    points: tuple[Point, ...]

    def as_dict(self) -> dict[str, Any]:
        """As JSON keeps it, with the accuracy and its standard error √(p(1−p)/n) of every trial."""
        trials = [
            {**asdict(t), "accuracy": t.accuracy, "accuracy_se": standard_error(t.accuracy, t.samples)}
            for t in self.trials
        ]
        return {"trials": trials, "points": [asdict(p) for p in self.points]}


def standard_error(p: float, n: int) -> float:
    """√(p(1−p)/n) of a share p of n samples."""
    return math.sqrt(p * (1 - p) / n)


def sweep(
    config: Config, folder: Path, *, jobs: int = 1, on_trial: Callable[[int, int, Trial], None] | None = None
) -> Sweep:
    """Train as section [sweep] of a checked configuration says; its relative paths start at ``folder``.

    jobs: trainings at a time, each a process of its own; results do not depend on it. on_trial: told trials
    done, their number and the last one done. Every combination is checked before the first is trained. Raises
    `BadInput` (NB515) where there is nothing to leave out or to test on, `UsageError` (NB701) for a trainer
    that would choose its epoch by the test samples; else as `train_config` does.
    """
    wanted = list(_trials(config, folder))
    trials: list[Trial] = []
    if jobs == 1:
        for item in wanted:
            trials.append(_trial(*item, folder))
            if on_trial is not None:
                on_trial(len(trials), len(wanted), trials[-1])
        return Sweep(trials=tuple(trials), points=_points(trials))
    with ProcessPoolExecutor(min(jobs, len(wanted)), mp_context=get_context("spawn")) as pool:
        trials = _in_pool(pool, wanted, folder, on_trial)
    return Sweep(trials=tuple(trials), points=_points(trials))


def _in_pool(
    pool: Executor,
    wanted: Sequence[tuple[Config, dict[str, Any], int | None]],
    folder: Path,
    on_trial: Callable[[int, int, Trial], None] | None,
) -> list[Trial]:
    waiting = [pool.submit(_trial, *item, folder) for item in wanted]
    try:
        for done, future in enumerate(as_completed(waiting), start=1):
            trial = future.result()
            if on_trial is not None:
                on_trial(done, len(waiting), trial)
    except BaseException:
        pool.shutdown(wait=False, cancel_futures=True)
        raise
    return [future.result() for future in waiting]


def _trials(config: Config, folder: Path) -> Iterator[tuple[Config, dict[str, Any], int | None]]:
    """Configuration, grid values and left-out group of every training, all checked."""
    section = config.sweep
    keys = list(section.grid)
    seeds = section.seeds or [config.run.seed]
    points = [dict(zip(keys, chosen, strict=True)) for chosen in itertools.product(*section.grid.values())]
    checked = [with_values(config, {**values, "run.seed": seed}) for values in points for seed in seeds]
    by_groups = section.leave_out == "groups"
    for one in checked:
        options = one.trainer.model_extra or {}
        if by_groups and (options.get("patience") or options.get("schedule") == "plateau"):
            raise UsageError(
                "[sweep] leave_out: patience and schedule plateau would choose by the test samples",
                code="NB701",
                fix="train a fixed number of epochs",
            )
    groups: list[int | None] = [None]
    if by_groups:
        groups = [int(group) for group in np.unique(np.asarray(_pooled(config, folder).groups))]
        if len(groups) < 2:
            raise BadInput(
                f"{config.data.train}: every sample is of group {groups[0]}, expected two groups or more",
                code="NB515",
                fix="use data whose samples carry a group, such as a speaker",
            )
    elif config.data.valid is None and config.data.hold_out is None:
        raise BadInput(
            "[data] valid is missing: a sweep needs samples to test on",
            code="NB515",
            fix='give valid or hold_out, or leave_out = "groups" in section [sweep]',
        )
    each = [(values, seed) for values in points for seed in seeds]
    for one, (values, _) in zip(checked, each, strict=True):
        for group in groups:
            yield one, values, group


def _pooled(config: Config, folder: Path) -> Dataset:
    """Training, validation and further samples as one data set; raises `BadInput` (NB515) without groups."""
    train, valid = data_of(config, folder)
    parts = [train, *([] if valid is None else [valid])]
    for name in config.sweep.files:
        more = loaded(name, folder, config.data, train.spikes.n_units)
        parts.append(more.with_spikes(more.spikes.with_duration(train.spikes.duration)[0]))
    for part in parts:
        if part.groups is None or part.labels is None:
            missing = "groups" if part.groups is None else "labels"
            raise BadInput(
                f"{part.source}: no {missing}, leaving groups out needs them",
                code="NB515",
                fix="use data whose samples carry a group, such as a speaker",
            )
        if part.classes != train.classes:
            raise BadInput(
                f"{part.source}: has other classes than {train.source}",
                code="NB515",
                fix="pool data sets of the same classes",
            )
    return replace(
        train,
        spikes=Spikes.join([part.spikes for part in parts]),
        labels=np.concatenate([part.labels for part in parts if part.labels is not None]),
        groups=np.concatenate([part.groups for part in parts if part.groups is not None]),
        source=", ".join(part.source for part in parts),
    )


def _trial(config: Config, values: dict[str, Any], left_out: int | None, folder: Path) -> Trial:
    if left_out is None:
        data, test = data_of(config, folder)
        trained = fit(config, folder, data, test)
    else:
        pooled = _pooled(config, folder)
        held = pooled.groups == left_out
        data, test = pooled.select(~held), replace(pooled.select(held), augmentations=())
        trained = fit(config, folder, data, None)
    if test is None:
        raise BadInput("[data] valid is missing", code="NB515", fix="give samples to test on")
    reference: Any = load("targets", "reference")()
    found = run(trained.graph, reference, test)
    return Trial(
        values=values,
        seed=config.run.seed,
        left_out=left_out,
        samples=len(test),
        correct=int(found.correct or 0),
        seconds=trained.seconds,
    )


def _points(trials: Sequence[Trial]) -> tuple[Point, ...]:
    points = []
    seen: list[dict[str, Any]] = []
    for values in (trial.values for trial in trials):
        if values not in seen:
            seen.append(values)
    for values in seen:
        found = np.array([trial.accuracy for trial in trials if trial.values == values])
        deviation = float(found.std(ddof=1)) if len(found) > 1 else None
        points.append(
            Point(values=values, trials=len(found), accuracy=float(found.mean()), deviation=deviation)
        )
    return tuple(sorted(points, key=lambda point: -point.accuracy))
