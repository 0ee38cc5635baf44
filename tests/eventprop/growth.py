"""How much the memory of a fresh process grows by a training, beside its forecast: prints both in bytes."""

from __future__ import annotations

import sys
from pathlib import Path

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.graph import replace_nodes
from nirbridge.graph.delays import KEY
from nirbridge.graph.stack import layered
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp

CASES = {  # inputs, hidden, events a sample, samples, duration [s], most delay [steps], options
    "exact": (50, 100, 60, 1200, 0.1, 0, {"mode": "exact", "batch": 1200}),
    "exact-delays": (100, 300, 900, 16, 0.1, 20, {"mode": "exact", "batch": 16}),
    "grid-tau": (50, 400, 200, 4, 6.0, 0, {"mode": "substep", "train_tau": 1e-3, "batch": 4}),
    "grid-delays": (200, 600, 100, 4, 0.1, 150, {"mode": "step", "train_delay": 1e-3, "batch": 4}),
}


def network(rng: np.random.Generator, inputs: int, hidden: int, most: int) -> nir.NIRGraph:
    graph = layered(inputs=inputs, hidden=[hidden], outputs=3, dt=1e-3, rng=rng, input_mean=0.6, input_sd=0.3)
    if most:
        weight = graph.nodes["w1"].weight
        steps = rng.integers(0, most, weight.shape).astype(np.int32)
        graph = replace_nodes(graph, {"w1": nir.Linear(weight=weight, metadata={KEY: steps})})
    return with_semantics(graph, Semantics(dt=1e-3, decay="exact"))


def samples(rng: np.random.Generator, inputs: int, events: int, n: int, duration: float) -> Dataset:
    times = np.sort(rng.uniform(0, 0.5 * duration, (n, events)), axis=1).reshape(-1)
    units = rng.integers(0, inputs, n * events)
    spikes = Spikes(times, units, np.arange(n + 1) * events, inputs, duration)
    return Dataset(spikes, rng.integers(0, 3, n), ("a", "b", "c"))


def resident(which: str) -> int:
    """`VmRSS` or its peak `VmHWM` in bytes; `ru_maxrss` may be that of the process that started this one."""
    (line,) = (line for line in Path("/proc/self/status").read_text().splitlines() if line.startswith(which))
    return 1024 * int(line.split()[1])


def main(case: str, what: str = "measure") -> None:
    inputs, hidden, events, n, duration, most, options = CASES[case]
    rng = np.random.default_rng(0)
    trainer = EventProp(epochs=1, lr=1e-6, threads=1, **options)
    small = network(rng, 4, 5, most), samples(rng, 4, 6, 2, 0.02)
    trainer.fit(*small, rng=np.random.default_rng(0))  # loads, and compiles where the cache is empty
    if what == "compile":
        return
    graph, data = network(rng, inputs, hidden, most), samples(rng, inputs, events, n, duration)
    before, now = resident("VmHWM"), resident("VmRSS")
    trainer.fit(graph, data, rng=np.random.default_rng(0))
    peak = resident("VmHWM")
    print(peak - now, trainer.memory(graph, data), peak > before)


if __name__ == "__main__":
    main(*sys.argv[1:])
