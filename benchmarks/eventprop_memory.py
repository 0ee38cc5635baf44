"""What a training with the trainer `eventprop` takes beside CPU time: memory, a second thread, its start.

    python make_workloads.py DIR W1_h256_b32 W1_h256_b128 W1_h256_b32_t250 W1_h256_b32_t2000
    python benchmarks/eventprop_memory.py --workloads DIR [rss] [threads] [start] [--json FILE]

rss: peak resident memory of a process that reads a graph and a batch and trains it three steps, in a
process of its own for every workload, with kernels from the cache. `total` is the whole process, `above
data` is that less the bytes of the batch's `Spikes` and labels. threads: wall time of a step with one and two
threads in four shards, in turn; it says something only while nothing else runs. start: `nirbridge train` on
32 samples, from the start of the process to the line of its first epoch, which is one batch: once with an
empty kernel cache, then with a full one, least wall and CPU time.
"""

from __future__ import annotations

import argparse
import json
import math
import os
import platform
import subprocess
import sys
import tempfile
import time
from importlib.metadata import version
from pathlib import Path

MODES = ("step", "substep")
FILES = ("W1_h256_b32_t250", "W1_h256_b32", "W1_h256_b32_t2000", "W1_h256_b128")
CONFIG = """
[graph]
dt = 1e-3
hidden = [200]
input_mean = 1.5
input_sd = 0.78
[data]
train = "yin-yang:train:32"
[trainer]
name = "eventprop"
mode = "{mode}"
epochs = 1
batch = 32
[run]
seed = 1
"""


def train_once(mode: str, folder: Path) -> dict[str, float]:
    """Read and train in this process; its peak resident bytes and those of the data."""
    import numpy as np

    from nirbridge.io import read_graph
    from nirbridge.io.datasets import read_dataset
    from nirbridge_eventprop import EventProp

    graph = read_graph(folder / "net.nir")
    data = read_dataset(folder / "data.npz")
    trainer = EventProp(mode=mode, epochs=3, batch=len(data), lr=1e-3, threads=1)  # type: ignore[arg-type]
    trainer.fit(graph, data, rng=np.random.default_rng(0))
    spikes = data.spikes
    arrays = (spikes.times, spikes.units, spikes.offsets, data.labels)
    return {"total": _peak(), "data": float(sum(item.nbytes for item in arrays if item is not None))}


def _peak() -> float:
    """Peak resident bytes of this program alone; `ru_maxrss` may be that of the process that started it."""
    for line in Path("/proc/self/status").read_text().splitlines():
        if line.startswith("VmHWM"):
            return 1024.0 * int(line.split()[1])
    raise SystemExit("no VmHWM in /proc/self/status: peak memory is read on Linux only")


def memory(workloads: Path) -> dict[str, object]:
    """Peak resident megabytes per workload and mode, and growth with T and with the batch."""
    from layered_workloads import load

    from nirbridge.io.datasets import write_dataset
    from nirbridge.io.nir_write import write_graph

    rows: dict[str, dict[str, dict[str, float]]] = {mode: {} for mode in MODES}
    with tempfile.TemporaryDirectory() as place:
        for name in FILES:
            folder = Path(place) / name
            folder.mkdir()
            graph, data = load(workloads / f"{name}.npz")
            write_graph(folder / "net.nir", graph)
            write_dataset(folder / "data.npz", data)
        for mode in MODES:
            _in_process(mode, Path(place) / FILES[0])  # fills the kernel cache
            for name in FILES:
                found = _in_process(mode, Path(place) / name)
                rows[mode][name] = {
                    "total_mb": round(found["total"] / 1e6, 1),
                    "data_mb": round(found["data"] / 1e6, 1),
                    "above_data_mb": round((found["total"] - found["data"]) / 1e6, 1),
                }
    growth = {}
    for mode, row in rows.items():
        grown = {
            kind: {
                "t_250_to_2000": round(row[FILES[2]][kind] - row[FILES[0]][kind], 1),
                "batch_32_to_128": round(row[FILES[3]][kind] - row[FILES[1]][kind], 1),
            }
            for kind in ("total_mb", "above_data_mb")
        }
        growth[mode] = grown
        print(f"peak resident memory, {mode}:")
        for name, item in row.items():
            print(f"  {name:20} total {item['total_mb']:7.1f} MB  data {item['data_mb']:5.1f}  above "
                  f"{item['above_data_mb']:7.1f}")  # fmt: skip
        for kind, label in (("total_mb", "total"), ("above_data_mb", "above data")):
            print(f"  growth, {label:10}: T 250 → 2000 {grown[kind]['t_250_to_2000']:+.1f} MB, "
                  f"batch 32 → 128 {grown[kind]['batch_32_to_128']:+.1f} MB (goal 20)")  # fmt: skip
    return {"rows": rows, "growth": growth, "goal_mb": 20}


def _in_process(mode: str, folder: Path) -> dict[str, float]:
    command = [sys.executable, __file__, "--train-once", mode, str(folder)]
    done = subprocess.run(command, capture_output=True, text=True)
    if done.returncode:
        raise SystemExit(f"training {folder.name} in mode {mode} failed:\n{done.stderr}")
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    return found


def threads(path: Path, rounds: int) -> dict[str, object]:
    """Wall milliseconds per sample with one and two threads, in turn; losses must have the same bits."""
    from peers.eventprop import Ours

    cores = len(os.sched_getaffinity(0))
    result: dict[str, object] = {
        "workload": path.stem, "cores": cores, "load_average": round(os.getloadavg()[0], 2),
    }  # fmt: skip
    if cores < 2:
        print(f"threads: skipped, this process may use {cores} core; start it without taskset")
        return result | {"skipped": "one core"}
    for mode in MODES:
        contenders = {n: Ours(path, mode, threads=n, shards=4) for n in (1, 2)}
        best = dict.fromkeys(contenders, math.inf)
        losses = dict.fromkeys(contenders, 0.0)
        for at in range(rounds + 2):  # two to warm up
            for n, ours in contenders.items():
                ours.restart()
                began = time.perf_counter()
                losses[n] = ours.step()
                if at >= 2:
                    best[n] = min(best[n], time.perf_counter() - began)
        if losses[1] != losses[2]:
            raise SystemExit(f"mode {mode}: one thread gives loss {losses[1]!r}, two {losses[2]!r}")
        one, two = (1e3 * best[n] / len(contenders[1].data) for n in (1, 2))
        result[mode] = {"one_ms": round(one, 4), "two_ms": round(two, 4), "times": round(one / two, 2)}
        print(f"threads, {mode}: one {one:.3f} ms wall a sample, two {two:.3f}: {one / two:.2f}x (goal 1.6; "
              f"load average {result['load_average']})")  # fmt: skip
    return result


def start(rounds: int) -> dict[str, object]:
    """Seconds from the start of `nirbridge train` to its first epoch's line, cold and from the cache."""
    result: dict[str, object] = {}
    for mode in MODES:
        with tempfile.TemporaryDirectory() as place:
            folder = Path(place)
            (folder / "train.toml").write_text(CONFIG.format(mode=mode))
            found = [_first_epoch(folder) for _ in range(rounds + 1)]
        cold, warm = found[0], found[1:]
        best = {key: round(min(item[key] for item in warm), 2) for key in ("wall_s", "cpu_s")}
        result[mode] = {"first": cold, "second": best, "goal_s": 2}
        print(f"start, {mode}: first {cold['wall_s']:.1f} s wall ({cold['cpu_s']:.1f} CPU), from the cache "
              f"{best['wall_s']:.2f} s wall ({best['cpu_s']:.2f} CPU) (goal 2)")  # fmt: skip
    return result


def _first_epoch(folder: Path) -> dict[str, float]:
    """One start: wall and CPU seconds until the first line that tells of an epoch."""
    command = [sys.executable, "-m", "nirbridge", "train", "train.toml", "-o", "net.nir"]
    variables = os.environ | {"NUMBA_CACHE_DIR": str(folder / "cache")}
    began = time.perf_counter()
    with subprocess.Popen(
        command, cwd=folder, stdout=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True, env=variables
    ) as process:
        assert process.stderr is not None
        said = []
        for line in process.stderr:
            said.append(line)
            if line.startswith("epoch "):
                wall = time.perf_counter() - began
                fields = Path(f"/proc/{process.pid}/stat").read_text().rpartition(")")[2].split()
                cpu = (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
                process.stderr.read()
                return {"wall_s": round(wall, 2), "cpu_s": round(cpu, 2)}
    raise SystemExit(f"nirbridge train told of no epoch:\n{''.join(said)}")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("what", nargs="*", help="rss, threads, start; all by default")
    parser.add_argument("--workloads", type=Path, metavar="DIR", help="made by make_workloads.py")
    parser.add_argument("--rounds", type=int, default=8)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--train-once", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.train_once:
        mode, folder = options.train_once
        print(json.dumps(train_once(mode, Path(folder))))
        return
    what = options.what or ["rss", "threads", "start"]
    if unknown := sorted(set(what) - {"rss", "threads", "start"}):
        parser.error(f"{', '.join(unknown)}: expected rss, threads or start")
    needed = [*(FILES if "rss" in what else ()), *(FILES[1:2] if "threads" in what else ())]
    if needed and options.workloads is None:
        parser.error("--workloads DIR is missing; make_workloads.py DIR writes the files")
    for name in dict.fromkeys(needed):
        if not (options.workloads / f"{name}.npz").is_file():
            parser.error(f"{name}.npz is not there; python make_workloads.py {options.workloads} {name}")
    text: dict[str, object] = {
        "versions": {name: version(name) for name in ("nirbridge", "numpy", "numba")},
        "processor": platform.machine(),
    }
    if "rss" in what:
        text["rss"] = memory(options.workloads)
    if "threads" in what:
        text["threads"] = threads(options.workloads / f"{FILES[1]}.npz", options.rounds)
    if "start" in what:
        text["start"] = start(options.rounds)
    if options.json:
        options.json.write_text(json.dumps(text, indent=1) + "\n")


if __name__ == "__main__":
    main()
