"""Seconds to walk, read and check large graphs, by us and (the 5000-node chain) by plain nir.

Run: python benchmarks/toolkit_scale.py [-n RUNS] [--peer]
Graphs: 1024 × 1024 recurrent float32; a chain of 5000 nodes; a chain of 10^4 LIF (7·10^4 groups and
arrays), written by us and by ``nir.write``. Each is read RUNS times; the quickest counts, as wall and
as processor time, since the two differ on a busy machine. Writes results/toolkit_scale.json.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path
from typing import Any

import nir
import numpy as np

from nirbridge.analysis import diff
from nirbridge.graph import digest, make
from nirbridge.io import lint_file, write_graph

RESULT = Path(__file__).parent / "results" / "toolkit_scale.json"


def lif(n: int) -> nir.LIF:
    one = np.ones(n, np.float32)
    return nir.LIF(tau=0.01 * one, r=one, v_leak=0 * one, v_threshold=one, v_reset=0 * one)


def chain(count: int, *, weights: bool) -> nir.NIRGraph:
    """``count`` nodes of width 2 between the ports: LIF, or Linear and LIF in turn."""
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([2]))}
    for k in range(count):
        linear = weights and k % 2 == 0
        nodes[f"n{k:05}"] = nir.Linear(np.eye(2, dtype=np.float32)) if linear else lif(2)
    nodes["output"] = nir.Output(np.array([2]))
    return make(nodes, pairwise(nodes))


def recurrent(n: int) -> nir.NIRGraph:
    """n inputs, n recurrent LIF, two dense float32 weights."""
    rng = np.random.default_rng(0)
    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([n])),
        "w": nir.Linear(rng.normal(size=(n, n)).astype(np.float32)),
        "hidden": lif(n),
        "rec": nir.Linear(rng.normal(size=(n, n)).astype(np.float32)),
        "output": nir.Output(np.array([n])),
    }
    edges = [("input", "w"), ("w", "hidden"), ("hidden", "rec"), ("rec", "hidden"), ("hidden", "output")]
    return make(nodes, edges)


def quickest(run: Callable[[], object], runs: int) -> dict[str, float]:
    """Least wall and least processor time [s] of so many runs."""
    walls, cpus = [], []
    for _ in range(runs):
        wall, cpu = time.perf_counter(), time.process_time()
        run()
        walls.append(time.perf_counter() - wall)
        cpus.append(time.process_time() - cpu)
    return {"wall_s": round(min(walls), 3), "cpu_s": round(min(cpus), 3)}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("-n", "--runs", type=int, default=3)
    parser.add_argument("--peer", action="store_true", help="also nir.read and nir.write, minutes")
    options = parser.parse_args()
    results: dict[str, Any] = {}
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        for name, graph, goal in (
            ("recurrent_1024", recurrent(1024), 1.0),
            ("chain_5000", chain(5000, weights=True), 5.0),
            ("chain_10000_lif", chain(10_000, weights=False), 25.0),
        ):
            write_graph(path, graph)
            read, findings = lint_file(path)
            if read is None or findings:
                raise SystemExit(f"{name}: {findings[:3]}")
            results[name] = {
                "goal_s": goal,
                "file_MB": round(path.stat().st_size / 1e6, 2),
                "read_and_check": quickest(lambda: lint_file(path), options.runs),
                "digest": quickest(lambda g=graph: digest(g), 1),
                "diff_with_itself": quickest(lambda a=graph, b=read: diff(a, b), 1),
            }
            print(name, results[name])
            if options.peer:
                nir.write(path, graph)
                item = results[name]["written_by_nir"] = {"file_MB": round(path.stat().st_size / 1e6, 2)}
                item["read_and_check"] = quickest(lambda: lint_file(path), 1)
                if name == "chain_5000":
                    item["nir_read"] = quickest(lambda: nir.read(path), 1)
                print(name, "written by nir", item)
    value = {
        "machine": {"processors": os.cpu_count(), "load": round(os.getloadavg()[0], 1),
                    "python": platform.python_version(), "numpy": np.__version__},
        "runs": options.runs,
        "results": results,
    }  # fmt: skip
    RESULT.write_text(json.dumps(value, indent=1) + "\n", encoding="utf-8")


if __name__ == "__main__":
    main()
