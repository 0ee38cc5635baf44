"""Two sizes that the reference must take: a chain of 5000 nodes, and the golden convolutional graph.

    python benchmarks/reference_scale.py [--golden DIR] [--json FILE]

Prints the seconds to compile the chain, and those of 100 samples of 300 steps through the convolutional
network (CPU and wall time, all cores). Kernels are compiled before the clock starts.
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

from nirbridge.graph import make
from nirbridge.io import read_graph
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_reference import Reference

NODES, SAMPLES, STEPS = 5000, 100, 300


def chain(nodes: int) -> nir.NIRGraph:
    """Linear and LIF in turn, two units wide."""
    graph: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([2]))}
    edges, before = [], "input"
    for k in range(nodes // 2):
        graph[f"w{k}"] = nir.Linear(np.eye(2))
        graph[f"n{k}"] = nir.LIF(
            tau=np.full(2, 0.02),
            r=np.ones(2),
            v_leak=np.zeros(2),
            v_threshold=np.ones(2),
            v_reset=np.zeros(2),
        )
        edges += [(before, f"w{k}"), (f"w{k}", f"n{k}")]
        before = f"n{k}"
    graph["output"] = nir.Output(np.array([2]))
    return with_semantics(make(graph, [*edges, (before, "output")]), Semantics(dt=1e-3))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--golden", type=Path, default=Path("../shared/golden/nir"))
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    Reference().compile(chain(2))
    graph = chain(NODES)
    wall, cpu = time.perf_counter(), time.process_time()
    Reference().compile(graph)
    row = {
        "chain_nodes": NODES,
        "compile_cpu_s": round(time.process_time() - cpu, 2),
        "compile_wall_s": round(time.perf_counter() - wall, 2),
    }
    network = read_graph(options.golden / "cnn_sinabs.nir")
    if network.metadata.get("nirbridge") is None:
        network = with_semantics(network, Semantics(dt=1e-3, gain="unit", decay="exact"))
    program = Reference().compile(network)
    size = sum(p.size for p in program.lowered.network.populations if p.kind == "input")
    values = (np.random.default_rng(0).random((SAMPLES, STEPS, size)) < 0.05).astype(np.float32)
    wall, cpu = time.perf_counter(), time.process_time()
    recording = program.run_values(values)
    row |= {
        "cnn": "cnn_sinabs.nir",
        "samples": SAMPLES,
        "steps": STEPS,
        "input_density": round(float(values.mean()), 4),
        "run_cpu_s": round(time.process_time() - cpu, 2),
        "run_wall_s": round(time.perf_counter() - wall, 2),
        "synops_per_sample": int(sum(c["synops"].sum() for c in recording.counts.values()) / SAMPLES),
    }
    print("  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        text = {"versions": versions, "processor": platform.machine(), "rows": [row]}
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
