"""CPU time per sample of one training step: the trainer `eventprop` against dense peers, one thread.

    python make_workloads.py DIR W1_h256_b32 W1_h1024_b32 W2 W3_t40        (the workload generator)
    pip install "nirbridge[peers]"
    python benchmarks/eventprop_peers.py --workloads DIR [NAME ...] [--rounds 7] [--json FILE]

A step is forward, backward and Adam 1e-3 on the whole batch, from the file's weights. Every contender runs in
a process of its own; after two warm-up steps all are visited in turn, a few steps each, and the figure is the
least CPU time of the process over all visits, wall time beside it (it says little on a busy machine). The
peers get the dense float32 input for free; nirbridge starts from `Spikes`. First losses and hidden spikes
must agree with a plain NumPy pass within what the contender's model allows. See `peers/`.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
from pathlib import Path

from peers import CONTENDERS, OURS, Entry
from peers.visits import WARM_UP, Visited, serve
from peers.workload import Workload, read

NAMES = ("W1_h256_b32", "W1_h1024_b32", "W2", "W3_t40")
GOALS = {  # least ratio of the best dense peer to `step` and `substep`
    "W1_h256_b32": {"step": 20.0, "substep": 17.0},
    "W1_h1024_b32": {"step": 10.0, "substep": 10.0},
    "W2": {"step": 10.0, "substep": 10.0},
    "W3_t40": {"step": 12.0, "substep": 12.0},
    "W3_t200": {"step": 12.0, "substep": 12.0},
}


def measure(path: Path, names: list[str], rounds: int, steps: int) -> dict[str, object]:
    """All contenders on one workload."""
    load = read(path)
    skipped = {name: reason for name in names if (reason := absent(CONTENDERS[name]))}
    entered, found = [], {}
    for name in names:  # one after the other: the second mode of ours finds the kernels of the first
        if name in skipped:
            continue
        visited = Visited(name, path, Path(__file__).resolve())
        answer = visited.ready()
        if answer is None:
            skipped[name] = f"failed: {visited.failure()}"
        else:
            found[name] = answer
            entered.append(visited)
    for _ in range(rounds):
        for visited in entered:
            visited.visit(steps)
    rows = {}
    expected = {own: load.reference(read_out_mean=own) for own in (False, True)}
    for visited in entered:
        visited.close()
        rows[visited.name] = row(load, visited, found[visited.name], expected[visited.name in OURS])
    loss, spikes = expected[False]
    return {
        "workload": load.name,
        **load.facts(),
        "hidden_spikes_per_sample": round(spikes / load.batch, 2),
        "hidden_rate_hz": round(load.rate(spikes), 2),
        "loss": round(loss, 5),
        "rounds": rounds,
        "steps_in_a_visit": steps,
        "load_average": round(os.getloadavg()[0], 2),
        "versions": versions(entered),
        "contenders": rows,
        "skipped": skipped,
        "ratios": ratios(rows, GOALS.get(load.name, {})),
    }


def absent(entry: Entry) -> str | None:
    """Why a contender cannot run here, with the way out."""
    missing = entry.missing()
    if not missing:
        return None
    return f'{", ".join(missing)} not installed; pip install "nirbridge[peers]"'


def row(
    load: Workload, visited: Visited, found: dict[str, float], expected: tuple[float, float]
) -> dict[str, object]:
    """Times of one contender, and whether it computed the workload's network."""
    entry = CONTENDERS[visited.name]
    off = abs(found["loss"] - expected[0])
    spikes_off = abs(found["spikes"] / expected[1] - 1)
    return {
        "cpu_ms_per_sample": round(1e3 * visited.best["cpu"] / load.batch, 4),
        "wall_ms_per_sample": round(1e3 * visited.best["wall"] / load.batch, 4),
        "first_loss": round(found["loss"], 5),
        "loss_off": round(off, 5),
        "hidden_spikes_per_sample": round(found["spikes"] / load.batch, 2),
        "agrees": off <= entry.loss and spikes_off <= entry.spikes,
        "model": entry.model,
    }


def ratios(rows: dict[str, dict[str, object]], goals: dict[str, float]) -> dict[str, dict[str, object]]:
    """For each mode of ours: every peer's CPU time over ours, the best peer, and the goal."""
    peers = {name: float(str(item["cpu_ms_per_sample"])) for name, item in rows.items() if name not in OURS}
    result: dict[str, dict[str, object]] = {}
    for mode in OURS:
        if mode not in rows or not peers:
            continue
        own = float(str(rows[mode]["cpu_ms_per_sample"]))
        best = min(peers, key=lambda name: peers[name])
        times = {name: round(value / own, 2) for name, value in peers.items()}
        result[mode] = {"peers": times, "best_peer": best, "best": times[best], "goal": goals.get(mode)}
    return result


def show(result: dict[str, object]) -> None:
    """One workload as a table."""
    r = result
    print(
        f"{r['workload']}: {r['inputs']}-{r['hidden']}{'r' if r['recurrent'] else ''}-{r['outputs']}, "
        f"T {r['steps']} of {r['dt_ms']:g} ms, batch {r['batch']}, {r['input_spikes_per_sample']} input "
        f"spikes a sample (density {100 * r['input_density']:.2f} %), {r['hidden_spikes_per_sample']} hidden "
        f"({r['hidden_rate_hz']} Hz), loss {r['loss']:.4f}"
    )
    print(f"  {'':14}{'CPU ms':>10}{'wall ms':>11}{'/step':>8}{'/substep':>9}{'loss':>9}{'spikes':>10}")
    for name, item in r["contenders"].items():
        times = [r["ratios"].get(mode, {}).get("peers", {}).get(name) for mode in OURS]
        shown = ["" if value is None else f"{value:.1f}x" for value in times]
        print(
            f"  {name:14}{item['cpu_ms_per_sample']:10.4f}{item['wall_ms_per_sample']:11.4f}{shown[0]:>8}"
            f"{shown[1]:>9}{item['first_loss']:9.4f}{item['hidden_spikes_per_sample']:10.2f}"
            f"{'' if item['agrees'] else '  NOT THE SAME NETWORK'}"
        )
    for name, reason in r["skipped"].items():
        print(f"  {name:14} skipped: {reason}")
    print(f"  {', '.join(f'{name} {found}' for name, found in r['versions'].items())}")
    for mode, item in r["ratios"].items():
        goal = item["goal"]
        verdict = "" if goal is None else f" (goal {goal:g}x, {'met' if item['best'] >= goal else 'missed'})"
        print(f"  {mode}: {item['best']:.1f}x the best dense peer, {item['best_peer']}{verdict}")


def versions(entered: list[Visited]) -> dict[str, str]:
    """Of Python and of what the contenders need."""
    found = {"python": platform.python_version(), "processor": platform.machine()}
    for visited in entered:
        found |= CONTENDERS[visited.name].versions()
    return found


def write(path: Path, result: dict[str, object]) -> None:
    """Put a workload's result into the file; those of other workloads stay, each with its own versions."""
    old = json.loads(path.read_text())["workloads"] if path.is_file() else []
    rows = {item["workload"]: item for item in old} | {result["workload"]: result}
    path.write_text(json.dumps({"warm_up": WARM_UP, "workloads": list(rows.values())}, indent=1) + "\n")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("names", nargs="*", default=list(NAMES), help=f"default: {' '.join(NAMES)}")
    parser.add_argument("--workloads", type=Path, metavar="DIR", help="made by make_workloads.py")
    parser.add_argument("--only", nargs="+", choices=list(CONTENDERS), default=list(CONTENDERS))
    parser.add_argument("--rounds", type=int, default=7)
    parser.add_argument("--steps", type=int, default=3, help="timed steps in a visit")
    parser.add_argument("--json", type=Path)
    parser.add_argument("--contender", nargs=2, help=argparse.SUPPRESS)
    options = parser.parse_args()
    if options.contender:
        serve(options.contender[0], Path(options.contender[1]))
        return
    if options.workloads is None:
        parser.error("--workloads DIR is missing; make_workloads.py DIR writes the files")
    paths = [options.workloads / f"{name}.npz" for name in options.names]
    for path in paths:
        if not path.is_file():
            parser.error(f"{path}: no such workload; python make_workloads.py {path.parent} {path.stem}")
    results = []
    for path in paths:
        results.append(measure(path, options.only, options.rounds, options.steps))
        show(results[-1])
        if options.json:
            write(options.json, results[-1])
    if not all(item["agrees"] for result in results for item in result["contenders"].values()):
        raise SystemExit(1)


if __name__ == "__main__":
    main()
