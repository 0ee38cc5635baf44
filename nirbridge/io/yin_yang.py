"""The Yin-Yang data set (Kriener, Göltz, Petrovici, doi 10.1145/3517343.3517380), drawn and as spikes."""

from __future__ import annotations

from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.data import Dataset
from nirbridge.errors import UsageError
from nirbridge.spikes import Spikes

Split = Literal["train", "validation", "test"]
SEEDS: dict[str, int] = {"train": 42, "validation": 41, "test": 40}
SIZES: dict[str, int] = {"train": 5000, "validation": 1000, "test": 1000}
CLASSES = ("yin", "yang", "dot")
R_BIG, R_SMALL = 0.5, 0.1


def yin_yang_samples(
    split: Split, n: int, *, seed: int | None = None
) -> tuple[NDArray[np.float64], NDArray[np.int64]]:
    """Coordinates (n, 4) = (x, y, 1−x, 1−y) in [0, 1] and classes (n,) of the published split.

    A class is drawn first, then points of the square until one lies in the disc and is of that
    class. Fewer samples are the first ones of more: the published arrays come out bit for bit.
    seed: draw another set than the published one.
    """
    _check(split, n)
    rng = np.random.RandomState(SEEDS[split] if seed is None else seed)  # the published set's own generator
    samples = np.empty((n, 4))
    labels = np.empty(n, dtype=np.int64)
    for at in range(n):
        goal = int(rng.randint(3))
        while True:
            x, y = rng.rand(2) * 2.0 * R_BIG
            inside = np.sqrt((x - R_BIG) ** 2 + (y - R_BIG) ** 2) <= R_BIG
            if inside and _class(x, y) == goal:
                break
        samples[at] = x, y, 1.0 - x, 1.0 - y
        labels[at] = goal
    return samples, labels


def yin_yang(
    split: Split,
    n: int,
    *,
    t_min_s: float = 0.0,
    t_max_s: float = 0.03,
    duration_s: float = 0.04,
    bias: bool = True,
) -> Dataset:
    """The split as spike latencies: channel k fires once, at t_min + v_k·(t_max − t_min) seconds.

    Channels 0-3 are x, y, 1−x, 1−y; with ``bias`` a fifth one fires at t_min in every sample.
    """
    if not 0 <= t_min_s < t_max_s < duration_s:
        raise UsageError(
            f"yin-yang needs 0 ≤ t_min < t_max < duration, got {t_min_s:g}, {t_max_s:g}, {duration_s:g} s",
            code="NB701",
            fix="spikes must lie inside the sample",
        )
    values, labels = yin_yang_samples(split, n)
    times = t_min_s + values * (t_max_s - t_min_s)
    if bias:
        times = np.concatenate([times, np.full((n, 1), t_min_s)], axis=1)
    channels = times.shape[1]
    order = np.argsort(times, axis=1, kind="stable")
    spikes = Spikes(
        np.take_along_axis(times, order, axis=1).reshape(-1),
        order.reshape(-1).astype(np.int32),
        np.arange(n + 1, dtype=np.int64) * channels,
        channels,
        duration_s,
    )
    return Dataset(spikes, labels, CLASSES, source=f"yin-yang {split}")


def yin_yang_steps(split: Split, n: int, steps: int, *, dt: float = 1e-3, seed: int | None = None) -> Dataset:
    """The split as spikes on T steps of ``dt`` [s], the largest value first, as on-chip training takes it.

    Channel k fires once, in step 2 + round((T−3)·min(1−v_k, 0.99)), ties to even; a fifth one fires in
    step 0 of every sample (SPINNAKER2.md §6). seed: as in `yin_yang_samples`.
    """
    if steps < 4:
        raise UsageError(
            f"yin-yang on steps needs 4 steps at least, got {steps}", code="NB701", fix="for example 27"
        )
    values, labels = yin_yang_samples(split, n, seed=seed)
    at = 2 + np.rint((steps - 3) * np.minimum(1.0 - values, 0.99)).astype(np.int64)
    at = np.concatenate([at, np.zeros((n, 1), np.int64)], axis=1)
    order = np.argsort(at, axis=1, kind="stable")
    spikes = Spikes(
        (np.take_along_axis(at, order, axis=1) * dt).reshape(-1),
        order.reshape(-1).astype(np.int32),
        np.arange(n + 1, dtype=np.int64) * 5,
        5,
        steps * dt,
    )
    return Dataset(spikes, labels, CLASSES, source=f"yin-yang {split}")


def _class(x: float, y: float) -> int:
    """2 in one of the dots, else 1 in one half of the figure, else 0."""
    right = np.sqrt((x - 1.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    left = np.sqrt((x - 0.5 * R_BIG) ** 2 + (y - R_BIG) ** 2)
    if right < R_SMALL or left < R_SMALL:
        return 2
    first = right <= R_SMALL
    second = R_SMALL < left <= 0.5 * R_BIG
    third = y > R_BIG and right > 0.5 * R_BIG
    return 1 if first or second or third else 0


def _check(split: str, n: int) -> None:
    if split not in SEEDS:
        raise UsageError(
            f"yin-yang has no split '{split}'", code="NB701", fix=f"use one of {', '.join(SEEDS)}"
        )
    if n < 0:
        raise UsageError(f"yin-yang: {n} samples asked for, expected 0 or more", code="NB701")
