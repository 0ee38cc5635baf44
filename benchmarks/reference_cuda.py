"""Inference on a GPU with reference:backend=cuda: wall time per sample, and whether its spikes are the CPU's.

    python make_workloads.py OUT W1_h256_b32          (the workload generator)
    python benchmarks/reference_cuda.py OUT/W1_h256_b32.npz [...] [--batches 32 256 1024] [--rounds 7]

The file's samples are repeated up to each batch size. A figure is the minimum over rounds of the wall time
of `Program.run`, transfers included, after one run that compiles; the CPU's, on all its cores, is taken in
the same rounds. Writes results/<device>.json next to this script; exit code 4 where there is no GPU.
"""

from __future__ import annotations

import argparse
import json
import os
import re
import sys
from importlib.metadata import version
from pathlib import Path

import numpy as np
from layered_workloads import load

from nirbridge.errors import NirbridgeError
from nirbridge.kernels.gpu import find_gpu
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

RESULTS = Path(__file__).parent / "results"


def repeated(spikes: Spikes, n: int) -> Spikes:
    """The samples again and again until there are ``n``."""
    whole = Spikes.join([spikes] * -(-n // spikes.n_samples))
    end = whole.offsets[n]
    return Spikes(whole.times[:end], whole.units[:end], whole.offsets[: n + 1], whole.n_units, whole.duration)


def same_spikes(a: Recording, b: Recording, node: str) -> bool:
    """Whether two recordings have the same spikes of a node, in order."""
    x, y = a.spikes[node], b.spikes[node]
    parts = ((x.offsets, y.offsets), (x.units, y.units), (x.times, y.times))
    return all(np.array_equal(p, q) for p, q in parts)


def measure(path: Path, batches: list[int], rounds: int) -> list[dict[str, object]]:
    """One workload at each batch size."""
    graph, data = load(path)
    on_gpu, on_cpu = Reference(backend="cuda").compile(graph), Reference().compile(graph)
    rows: list[dict[str, object]] = []
    for n in batches:
        spikes = repeated(data.spikes, n)
        found, expected = on_gpu.run(spikes, record=["h"]), on_cpu.run(spikes, record=["h"])
        gpu, cpu = [], []
        for _ in range(rounds):  # nothing recorded: outputs only
            gpu.append(on_gpu.run(spikes).wall_s)
            cpu.append(on_cpu.run(spikes).wall_s)
        rows.append(
            {
                "workload": path.stem,
                "batch": n,
                "steps": found.n_steps,
                "gpu_ms_per_sample": round(1e3 * min(gpu) / n, 5),
                "cpu_ms_per_sample": round(1e3 * min(cpu) / n, 5),
                "spikes_equal_to_cpu": same_spikes(found, expected, "h"),
                "outputs_equal_to_cpu": bool(np.array_equal(found.output, expected.output)),
                "input_spikes_per_sample": round(len(spikes.times) / n, 2),
                "hidden_spikes_per_sample": round(len(found.spikes["h"].times) / n, 2),
                "rounds": rounds,
            }
        )
        print("  ".join(f"{key} {value}" for key, value in rows[-1].items()), flush=True)
    return rows


def main() -> int:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("files", nargs="+", type=Path)
    parser.add_argument("--batches", nargs="+", type=int, default=[32, 256, 1024])
    parser.add_argument("--rounds", type=int, default=7)
    options = parser.parse_args()
    try:
        rows = [row for path in options.files for row in measure(path, options.batches, options.rounds)]
    except NirbridgeError as error:
        print(error, file=sys.stderr)
        return error.exit_code
    device = str(find_gpu().device)
    versions = {name: version(name) for name in ("nirbridge", "numpy", "numba")}
    text = {"device": device, "cpu_cores": os.cpu_count(), "versions": versions, "rows": rows}
    out = RESULTS / f"{re.sub(r'[^a-z0-9]+', '-', device.lower()).strip('-')}.json"
    out.write_text(json.dumps(text, indent=1) + "\n")
    print(f"{device}: wrote {out}")
    return 0 if all(row["spikes_equal_to_cpu"] for row in rows) else 5


if __name__ == "__main__":
    sys.exit(main())
