"""A line of JSON for every finished epoch, beside the graph that is trained."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from pathlib import Path

from nirbridge.io.atomic import atomic_path
from nirbridge.protocols import TrainStats

SCHEMA = "nirbridge.epoch/1"


def epochs_of(out: Path) -> Path:
    """Where the epochs of a training into ``out`` are listed."""
    return out.with_name(f"{out.name}.epochs.jsonl")


def with_log(
    path: Path, on_step: Callable[[TrainStats], None] | None, *, resume: bool
) -> Callable[[TrainStats], None]:
    """``on_step`` that also writes epochs to ``path``: from the first on, with ``resume`` after those there.

    A resumed training that repeats an epoch replaces its line. seconds: since this start of the training.
    """
    lines: list[str] | None = None
    began = time.perf_counter()

    def step(stats: TrainStats) -> None:
        nonlocal lines
        if stats.epoch_done:
            if lines is None:
                lines = _before(path, stats.epoch) if resume else []
            lines.append(_line(stats, time.perf_counter() - began))
            with atomic_path(path) as temporary:
                temporary.write_text("".join(f"{line}\n" for line in lines), encoding="utf-8")
        if on_step is not None:
            on_step(stats)

    return step


def _before(path: Path, epoch: int) -> list[str]:
    """The lines of earlier epochs; a file that is missing or damaged counts as empty."""
    try:
        lines = path.read_text(encoding="utf-8").splitlines()
        return [line for line in lines if json.loads(line)["epoch"] < epoch]
    except (OSError, ValueError, KeyError, TypeError):
        return []


def _line(stats: TrainStats, seconds: float) -> str:
    names = (
        "epoch",
        "loss",
        "accuracy",
        "valid_loss",
        "valid_accuracy",
        "rate",
        "spikes_per_neuron",
        "silent",
    )
    return json.dumps(
        {"schema": SCHEMA, **{name: getattr(stats, name) for name in names}, "seconds": seconds}
    )
