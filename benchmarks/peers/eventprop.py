"""nirbridge's trainer `eventprop`, from `Spikes` to changed weights, in the modes `step` and `substep`."""

from __future__ import annotations

from pathlib import Path

import numpy as np
from layered_workloads import load

from nirbridge_eventprop import EventProp
from nirbridge_eventprop.training import Training
from peers import BETA1, BETA2, EPS, RATE


class Ours:
    """One batch of one training; `threads` and `shards` for the benchmark of two threads."""

    def __init__(self, path: Path, mode: str, threads: int = 1, shards: int = 1) -> None:
        graph, self.data = load(path)
        trainer = EventProp(
            mode=mode, threads=threads, shards=shards, batch=len(self.data), lr=RATE, beta1=BETA1,
            beta2=BETA2, eps=EPS, ease_in=1.0, clip=0.0, lift=0.0,
        )  # fmt: skip
        self.training = Training(trainer, graph, self.data, None, np.random.default_rng(0), None, None)
        self.start = self.training.state.weights.copy()
        self.counts = 0.0

    def restart(self) -> None:
        state = self.training.state
        state.weights[:] = self.start
        state.m[:] = 0
        state.v[:] = 0
        state.count = 0
        state.mean_counts = np.full_like(state.mean_counts, np.nan)

    def step(self) -> float:
        result = self.training._step(self.data, 0)
        self.counts = float(result.counts.sum())
        return float(result.loss.mean())

    def hidden_spikes(self) -> float:
        self.restart()
        self.step()
        return self.counts


def step(path: Path) -> Ours:
    return Ours(path, "step")


def substep(path: Path) -> Ours:
    return Ours(path, "substep")
