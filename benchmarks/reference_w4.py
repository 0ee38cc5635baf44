"""Sparse recurrent networks of 1,000 to 10,000 neurons on the reference: time per model second, memory.

    python make_workloads.py OUT W4_n1000 W4_n4000 W4_n10000        (the workload generator)
    python benchmarks/reference_w4.py OUT/W4_n*.npz [--brian PYTHON] [--json FILE]

Every measurement is a process of its own; contenders take turns. The figure is the minimum over rounds of
the CPU time of one model second. ``--brian``: a Python that has brian2 (numpy < 2.4), whose
cpp_standalone program is built once, with brian2's own compiler flags, and then run; its time is the
difference between a run of two model seconds and one of one, so that loading does not count.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import re
import resource
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

import nir
import numpy as np

from nirbridge.graph import make
from nirbridge.network import SparseWeight
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes

STEPS = 1000  # of 1 ms

BRIAN = r"""
import sys, numpy as np
from brian2 import *
path, folder, seconds = sys.argv[1], sys.argv[2], float(sys.argv[3])
set_device("cpp_standalone", directory=folder, build_on_run=False)
prefs.core.default_float_dtype = float32
prefs.devices.cpp_standalone.openmp_threads = 0
z = np.load(path)
n, k = z["tgt"].shape
defaultclock.dt = 1*ms
a, s = float(np.exp(-1/20)), float(np.exp(-1/5))
group = NeuronGroup(n, "v : 1\ng : 1\ndrive : 1 (constant)", threshold="v >= 1", reset="v = 0")
group.run_regularly(f"v = {a}*v + {1-a}*(g + drive)\ng = {s}*g", when="groups")
group.v, group.drive = z["v0"], z["bias"]
synapses = Synapses(group, group, "w : 1", on_pre="g_post += w")
synapses.connect(i=np.repeat(np.arange(n), k), j=z["tgt"].reshape(-1))
synapses.w = z["w"].reshape(-1)
counter = SpikeMonitor(group, record=False)
run(seconds*second)
device.build(directory=folder, compile=True, run=False)
"""


def graph_of(path: Path) -> tuple[nir.NIRGraph, np.ndarray]:
    """The workload as a NIR graph with a sparse weight, and its initial membrane, which NIR cannot say.

    The drive is v_leak; one input without any weight stands for the Input that a graph has.
    """
    z = np.load(path)
    targets = z["tgt"]
    n, k = targets.shape
    weight = SparseWeight(np.arange(n + 1) * k, targets.reshape(-1), z["w"].reshape(-1), n)
    tau_mem, tau_syn = float(z["tau_mem"]) * 1e-3, float(z["tau_syn"]) * 1e-3
    neurons = nir.CubaLIF(
        tau_mem=np.full(n, tau_mem),
        tau_syn=np.full(n, tau_syn),
        r=np.ones(n),
        v_leak=z["bias"].astype(float),
        v_threshold=np.ones(n),
        v_reset=np.zeros(n),
        w_in=np.full(n, 1 / -np.expm1(-1e-3 / tau_syn)),
    )
    nodes = {
        "input": nir.Input(np.array([1])),
        "none": nir.Linear(np.zeros((n, 1), np.float32)),
        "cells": neurons,
        "synapses": nir.Linear(weight),
        "output": nir.Output(np.array([n])),
    }
    edges = [
        ("input", "none"),
        ("none", "cells"),
        ("cells", "synapses"),
        ("synapses", "cells"),
        ("cells", "output"),
    ]
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, decay="exact", compare=">=")), z["v0"]


def reference(path: Path) -> dict[str, float]:
    """CPU seconds per model second, rate and peak memory of this process."""
    from nirbridge_reference import Reference

    graph, v0 = graph_of(path)
    began = time.process_time()
    program = Reference(threads=1).compile(graph)
    compiled = time.process_time() - began
    at = program.lowered.network.index("cells")
    first, size = program.lowered.pops[at, 1:3]
    program.lowered.parameters[7, first : first + size] = v0
    silent = Spikes(np.zeros(0), np.zeros(0, np.int32), np.zeros(2, np.int64), 1, STEPS * 1e-3)
    best, spikes = np.inf, 0
    for _ in range(6):
        began = time.process_time()
        recording = program.run(silent)
        best = min(best, time.process_time() - began)
        spikes = int(recording.counts["cells"]["spikes"].sum())
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    return {"cpu_s": best, "rate_hz": spikes / size, "peak_mb": peak, "compile_s": compiled}


def brian(python: str, path: Path, folder: str, rounds: int) -> dict[str, float]:
    """The same of brian2's compiled program."""
    mains = {}
    for seconds in (1, 2):
        place = Path(folder) / f"{path.stem}_{seconds}"
        subprocess.run([python, "-c", BRIAN, str(path), str(place), str(seconds)], check=True)
        mains[seconds] = place
    best, peak = {1: np.inf, 2: np.inf}, 0.0
    for _ in range(rounds):
        for seconds, place in mains.items():
            child = subprocess.Popen(["./main"], cwd=place, stdout=subprocess.DEVNULL)
            _, status, usage = os.wait4(child.pid, 0)  # of this child alone
            child.returncode = os.waitstatus_to_exitcode(status)
            if child.returncode:
                raise SystemExit(f"{place}/main ended with {child.returncode}")
            best[seconds] = min(best[seconds], usage.ru_utime + usage.ru_stime)
            peak = max(peak, usage.ru_maxrss / 1024)
    return {"cpu_s": best[2] - best[1], "peak_mb": peak}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--brian", help="a Python that has brian2")
    parser.add_argument("--rounds", type=int, default=5)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--one", action="store_true", help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.one:
        print(json.dumps(reference(options.files[0])))
        return
    rows = []
    with tempfile.TemporaryDirectory() as folder:
        for path in options.files:
            command = [sys.executable, __file__, "--one", str(path)]
            runs = []
            other = None
            for k in range(options.rounds):
                out = subprocess.run(command, check=True, capture_output=True, text=True).stdout
                runs.append(json.loads(out))
                if options.brian and k == 0:
                    other = brian(options.brian, path, folder, options.rounds)
            ours = min(runs, key=lambda run: run["cpu_s"])
            row: dict[str, object] = {
                "workload": path.stem,
                "cpu_s_per_model_s": round(ours["cpu_s"], 5),
                "rate_hz": round(ours["rate_hz"], 2),
                "peak_mb": round(max(run["peak_mb"] for run in runs), 1),
                "compile_s": round(ours["compile_s"], 2),
            }
            if other:
                row |= {
                    "brian2_cpu_s_per_model_s": round(other["cpu_s"], 5),
                    "brian2_peak_mb": round(other["peak_mb"], 1),
                    "times_brian2": round(other["cpu_s"] / ours["cpu_s"], 2),
                }
            rows.append(row)
            print("  ".join(f"{key} {value}" for key, value in row.items()), flush=True)
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
        if options.brian:
            text = subprocess.run(
                [options.brian, "-m", "pip", "show", "brian2"], check=True, capture_output=True, text=True
            ).stdout
            found = re.search(r"^Version: (.*)$", text, re.M)
            versions["brian2"] = found.group(1) if found else "unknown"
        result = {"versions": versions, "processor": platform.machine(), "steps": STEPS, "rows": rows}
        options.json.write_text(json.dumps(result, indent=1) + "\n")


if __name__ == "__main__":
    main()
