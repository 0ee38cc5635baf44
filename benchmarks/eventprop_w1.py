"""CPU time of one EventProp training step per sample on the layered workloads, one thread.

    python make_workloads.py OUT W1_h256_b32 ...     (the workload generator)
    python benchmarks/eventprop_w1.py OUT/W1_h256_b32.npz [...] [--rounds 8] [--json FILE]

A step is forward, backward and Adam on the whole batch, restarted from the file's weights; the figure is
the minimum of process CPU time over rounds, after one warm-up step. Prints state density and rate with it.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.training import Training


def load(path: Path) -> tuple[nir.NIRGraph, Dataset]:
    """The workload as a NIR graph (r = 1, w_in = 1/(1−e^(−dt/τ_syn)), exact decay, ≥) and its batch."""
    z = np.load(path)
    steps, dt = int(z["T"]), float(z["dt"]) * 1e-3
    counts = z["ptr"][:, -1]
    step = np.concatenate([np.repeat(np.arange(steps), np.diff(row)) for row in z["ptr"]])
    unit = np.concatenate([row[:n] for row, n in zip(z["idx"], counts, strict=True)])
    offsets = np.concatenate([[0], np.cumsum(counts)])
    spikes = Spikes(step * dt, unit, offsets, int(z["N"]), steps * dt)
    hidden, outputs = z["W"].shape[1], z["U"].shape[1]

    def cuba(n: int) -> dict[str, np.ndarray]:
        values = {
            "tau_mem": float(z["tau_mem"]) * 1e-3,
            "tau_syn": float(z["tau_syn"]) * 1e-3,
            "r": 1.0,
            "v_leak": 0.0,
            "w_in": 1 / -np.expm1(-float(z["dt"]) / float(z["tau_syn"])),
        }
        return {name: np.full(n, value) for name, value in values.items()}

    nodes = {
        "input": nir.Input(np.array([int(z["N"])])),
        "w": nir.Linear(z["W"].T.copy()),
        "h": nir.CubaLIF(v_threshold=np.ones(hidden), v_reset=np.zeros(hidden), **cuba(hidden)),
        "u": nir.Linear(z["U"].T.copy()),
        "out": nir.CubaLI(**cuba(outputs)),
        "output": nir.Output(np.array([outputs])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "u"), ("u", "out"), ("out", "output")]
    if bool(z["rec"]):
        nodes["r"] = nir.Linear(z["R"].T.copy())
        edges += [("h", "r"), ("r", "h")]
    graph = with_semantics(make(nodes, edges), Semantics(dt=dt, decay="exact", compare=">="))
    return graph, Dataset(spikes, z["label"], tuple(str(k) for k in range(outputs)))


def measure(path: Path, rounds: int) -> dict[str, object]:
    """One workload: milliseconds of CPU per sample, spikes and loss."""
    graph, data = load(path)
    trainer = EventProp(threads=1, shards=1, batch=len(data), lr=1e-3, ease_in=1.0, clip=0.0, lift=0.0)
    training = Training(trainer, graph, data, None, np.random.default_rng(0), None, None)
    start = training.state.weights.copy()
    best, result = np.inf, None
    for at in range(rounds + 1):
        training.state.weights[:] = start
        began = time.process_time()
        result = training._step(data, 0)
        if at:
            best = min(best, time.process_time() - began)
    training.executor.close()
    n_steps = data.spikes.n_steps(training.stack.network.semantics.dt)
    neurons = training.stack.hidden_neurons
    return {
        "workload": path.stem,
        "train_ms_per_sample": round(1e3 * best / len(data), 4),
        "input_spikes_per_sample": round(len(data.spikes.times) / len(data), 2),
        "input_density": round(len(data.spikes.times) / len(data) / n_steps / data.spikes.n_units, 5),
        "hidden_spikes_per_sample": round(float(result.counts.sum()) / len(data), 2),
        "hidden_rate_hz": round(float(result.counts.sum()) / len(data) / neurons / data.spikes.duration, 2),
        "loss": round(float(result.loss.mean()), 4),
        "batch": len(data),
        "steps": n_steps,
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    rows = [measure(path, options.rounds) for path in options.files]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        text = {"versions": versions, "processor": platform.machine(), "rows": rows}
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
