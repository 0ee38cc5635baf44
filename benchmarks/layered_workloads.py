"""The layered workloads W1 to W3 of the workload generator as NIR graphs and batches of spikes."""

from __future__ import annotations

from pathlib import Path

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes


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
