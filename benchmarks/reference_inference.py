"""Inference on the W1 workloads: the reference against hand-written dense torch, CPU time per sample.

    python make_workloads.py OUT W1_h256_b32                       (the workload generator)
    python benchmarks/reference_inference.py OUT/W1_h256_b32.npz [--rounds 8] [--json FILE]

Both compute the same network on the same batch, one thread, visited in turn; the figure is the minimum of
process CPU time over rounds after a warm-up. The reference starts from `Spikes` and ends with a
`Recording`. torch is given the dense float32 input for free: one product x·W for all steps, then a loop
with `addmm` for recurrence, threshold and reset by multiplication, and the read-out in the loop.
"""

from __future__ import annotations

import argparse
import json
import platform
import time
from collections.abc import Callable
from importlib.metadata import version
from pathlib import Path

import numpy as np
import torch
from layered_workloads import load

from nirbridge_reference import Reference


def dense(path: Path) -> Callable[[], int]:
    """One forward pass of the batch in torch; returns the number of hidden spikes."""
    z = np.load(path)
    batch, steps, n_in = len(z["ptr"]), int(z["T"]), int(z["N"])
    x = np.zeros((batch, steps, n_in), np.float32)
    for b, ptr in enumerate(z["ptr"]):
        np.add.at(x[b], (np.repeat(np.arange(steps), np.diff(ptr)), z["idx"][b, : ptr[-1]]), 1.0)
    given = torch.from_numpy(x.transpose(1, 0, 2).copy())
    w, r, u = (torch.from_numpy(z[name]) for name in "WRU")
    a, s = (float(np.exp(-float(z["dt"]) / float(z[name]))) for name in ("tau_mem", "tau_syn"))

    @torch.inference_mode()
    def run() -> int:
        drive = given.reshape(-1, n_in) @ w
        drive = drive.reshape(steps, batch, -1)
        v = i = spike = torch.zeros(batch, w.shape[1])
        vo = io = total = torch.zeros(batch, u.shape[1])
        count = torch.zeros(())
        for t in range(steps):
            i = s * i + torch.addmm(drive[t], spike, r)
            v = a * v + (1 - a) * i
            spike = (v >= 1).float()
            v = v * (1 - spike)
            io = s * io + spike @ u
            vo = a * vo + (1 - a) * io
            total = total + vo
            count += spike.sum()
        return int(count)

    return run


def measure(path: Path, rounds: int) -> dict[str, object]:
    """One workload: milliseconds of CPU per sample of both, density and rate."""
    graph, data = load(path)
    program = Reference(threads=1).compile(graph)
    recordings = []
    contenders = {"reference": lambda: recordings.append(program.run(data.spikes)), "torch": dense(path)}
    best = dict.fromkeys(contenders, np.inf)
    for at in range(rounds + 1):
        for name, run in contenders.items():
            recordings.clear()
            began = time.process_time()
            found = run()
            if at:
                best[name] = min(best[name], time.process_time() - began)
            if name == "reference":
                spikes = int(recordings[0].counts["h"]["spikes"].sum())
            else:
                other = int(found)
    n, steps = len(data), data.spikes.n_steps(1e-3)
    hidden = graph.nodes["h"].v_threshold.size
    ours, dense_ms = (1e3 * best[name] / n for name in contenders)
    return {
        "workload": path.stem,
        "reference_ms_per_sample": round(ours, 4),
        "torch_ms_per_sample": round(dense_ms, 4),
        "times_torch": round(dense_ms / ours, 2),
        "input_spikes_per_sample": round(len(data.spikes.times) / n, 2),
        "input_density": round(len(data.spikes.times) / n / steps / data.spikes.n_units, 5),
        "hidden_spikes_per_sample": round(spikes / n, 2),
        "torch_hidden_spikes_per_sample": round(other / n, 2),
        "hidden_rate_hz": round(spikes / n / hidden / data.spikes.duration, 2),
        "batch": n,
        "steps": steps,
        "rounds": rounds,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    options = parser.parse_args()
    torch.set_num_threads(1)
    rows = [measure(path, options.rounds) for path in options.files]
    for row in rows:
        print("  ".join(f"{key} {value}" for key, value in row.items()))
    if options.json:
        versions = {name: version(name) for name in ("nirbridge", "numpy", "numba", "torch")}
        text = {"versions": versions, "processor": platform.machine(), "rows": rows}
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
