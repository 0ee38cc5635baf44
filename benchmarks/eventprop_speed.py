"""CPU time of one EventProp training step per sample on the layered workloads, modes `step` and `substep`.

    python make_workloads.py OUT W1_h256_b32 W1_h1024_b32 W2 W3_t40      (the workload generator)
    python benchmarks/eventprop_speed.py OUT/W1_h256_b32.npz [...] [--rounds 8] [--threads 2] [--json FILE]

A step is forward, backward and the optimiser (Adam) on the whole batch, restarted from the file's weights,
and inference is the logits alone. Figures are the minimum over rounds after a warm-up one: process CPU time
with one thread, wall time for threads. The modes are visited in turn. With them are printed the time to add a
row of 256 weights to a layer's input and to a row of gradients, and the bound that follows for the step: so
many rows, and two updates of every neuron in each step.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import numpy as np
from layered_workloads import load
from numba import njit

from nirbridge.kernels.vectors import WIDE, at_least, fma, plus, plus_rows, splat, store
from nirbridge.kernels.vectors import load as take
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.stack import aligned
from nirbridge_eventprop.training import Training

MODES = ("step", "substep")
ROW = 256  # weights of the primitives' rows


@njit
def _gather(weights: Any, units: Any, x: Any, per_step: Any) -> None:
    for first in range(0, len(units), per_step):
        for c in range(0, ROW, WIDE):
            store(x, c, plus_rows(splat(x, 0.0, WIDE), weights, c, ROW, units, first, first + per_step))


@njit
def _scatter(weights: Any, units: Any, x: Any, per_step: Any) -> None:
    for first in range(0, len(units), per_step):
        for c in range(0, ROW, WIDE):
            adjoint = take(x, c, WIDE)
            for e in range(first, first + per_step):
                store(weights, units[e] * ROW + c, plus(adjoint, weights, units[e] * ROW + c))


@njit
def _update(current: Any, v: Any, theta: Any, steps: Any) -> Any:
    hits = np.uint64(0)
    for _ in range(steps):
        for c in range(0, ROW, WIDE):
            flow = splat(v, 0.82, WIDE) * take(current, c, WIDE)
            store(current, c, flow)
            rise = fma(splat(v, 0.95, WIDE), take(v, c, WIDE), splat(v, 0.05, WIDE) * flow)
            store(v, c, rise)
            hits |= at_least(rise, take(theta, c, WIDE))
    return hits


def primitives(rounds: int, inputs: int = 700) -> dict[str, float]:
    """Nanoseconds to add a row of 256 float32 weights, to add to such a row, and to update 256 neurons."""
    rng = np.random.default_rng(0)
    weights = aligned(rng.normal(size=inputs * ROW).astype(np.float32))
    units = rng.integers(0, inputs, 8000)
    x, v, theta = (aligned(np.full(ROW, value, np.float32)) for value in (1, 0.5, 2))

    def best(run: Any, count: int) -> float:
        run()
        times = []
        for _ in range(20 * rounds):
            began = time.process_time()
            run()
            times.append(time.process_time() - began)
        return round(1e9 * min(times) / count, 2)

    return {
        "row_added_ns": best(lambda: _gather(weights, units, x, 8), len(units)),
        "row_updated_ns": best(lambda: _scatter(weights, units, x, 8), len(units)),
        "neurons_updated_ns": best(lambda: _update(x, v, theta, 4000), 4000),
    }


class Contender:
    """One workload in one mode."""

    def __init__(self, path: Path, mode: str, threads: int) -> None:
        graph, data = load(path)
        trainer = EventProp(
            mode=mode,
            threads=threads,
            shards=threads,
            batch=len(data),
            lr=1e-3,
            ease_in=1.0,
            clip=0.0,
            lift=0.0,
        )
        self.path, self.mode, self.threads, self.data = path, mode, threads, data
        self.training = Training(trainer, graph, data, None, np.random.default_rng(0), None, None)
        self.start = self.training.state.weights.copy()
        self.train, self.infer = np.inf, np.inf
        self.result: Any = None

    def visit(self, *, count: bool) -> None:
        """One round."""
        clock = time.process_time if self.threads == 1 else time.perf_counter
        self.training.state.weights[:] = self.start
        began = clock()
        self.result = self.training._step(self.data, 0)
        trained = clock()
        self.training.executor.score(self.data.spikes, self.data.labels, self.training.state.weights)
        if count:
            self.train = min(self.train, trained - began)
            self.infer = min(self.infer, clock() - trained)

    def row(self, rounds: int, cost: dict[str, float]) -> dict[str, object]:
        """Milliseconds per sample, spikes and loss."""
        n, stack = len(self.data), self.training.stack
        steps = self.data.spikes.n_steps(stack.network.semantics.dt)
        events = len(self.data.spikes.times) / n
        spikes = float(self.result.counts[:, : stack.sizes[-1, 0]].sum()) / n
        return {
            "workload": self.path.stem,
            "mode": self.mode,
            "threads": self.threads,
            "clock": "cpu" if self.threads == 1 else "wall",
            "train_ms_per_sample": round(1e3 * self.train / n, 4),
            "infer_ms_per_sample": round(1e3 * self.infer / n, 4),
            "bound_ms_per_sample": round(bound(stack.sizes, steps, events, spikes, cost), 4),
            "input_spikes_per_sample": round(events, 2),
            "input_density": round(events / steps / self.data.spikes.n_units, 5),
            "hidden_spikes_per_sample": round(spikes, 2),
            "hidden_rate_hz": round(spikes / stack.hidden_neurons / self.data.spikes.duration, 2),
            "loss": round(float(self.result.loss.mean()), 4),
            "batch": n,
            "steps": steps,
            "rounds": rounds,
        }


def bound(sizes: Any, steps: int, events: float, spikes: float, cost: dict[str, float]) -> float:
    """Milliseconds that rows and neuron updates of a training step with one hidden layer take at least."""
    hidden, outputs = int(sizes[0, 1]) / ROW, int(sizes[-1, 1]) / ROW
    width = outputs + (hidden if sizes[0, 5] >= 0 else 0)  # of what a hidden spike reaches
    added = events * hidden + 2 * spikes * width  # forward, and the products of the adjoint
    updated = events * hidden + spikes * width
    neurons = 2 * steps * (hidden + outputs)
    nanoseconds = (
        added * cost["row_added_ns"] + updated * cost["row_updated_ns"] + neurons * cost["neurons_updated_ns"]
    )
    return nanoseconds / 1e6


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    cost = primitives(options.rounds)
    print("  ".join(f"{key} {value}" for key, value in cost.items()))
    rows = []
    for path in options.files:
        contenders = [Contender(path, mode, options.threads) for mode in MODES]
        for at in range(options.rounds + 1):
            for contender in contenders:
                contender.visit(count=at > 0)
        for contender in contenders:
            contender.training.executor.close()
            rows.append(contender.row(options.rounds, cost))
            print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        text = {"versions": versions, "processor": platform.machine(), "primitives": cost, "rows": rows}
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
