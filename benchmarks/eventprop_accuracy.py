"""Test accuracy of the example trainings over seeds, with the counts-only baseline and training times.

    python benchmarks/eventprop_accuracy.py [--only tactile mnist ...] [--seeds 1 2 3] [--threads 1]
        [--json benchmarks/results/eventprop_accuracy.json]

Trains each configuration of examples/ as it stands and runs the graph on the test samples with the reference
target. Rows are added to the file by configuration and seed, so that trainings can be spread over calls; the
table is printed from the file (--seeds without numbers trains nothing). Baselines come from
counts_baseline.json beside it. Data are not shipped: the configurations name the folder they expect.
"""

from __future__ import annotations

import argparse
import json
import math
import platform
import time
from importlib.metadata import version
from pathlib import Path
from typing import Any

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.evaluate import read_config, run
from nirbridge.evaluate.training import loaded, train_config
from nirbridge.io.atomic import atomic_path
from nirbridge.plugins import parse

HERE = Path(__file__).resolve().parent
EXAMPLES = HERE.parent / "examples"
RESULTS = HERE / "results"
DATA = "../../shared/data/"

# Configuration -> its test samples: name of the row, where they are, group to keep (negative: to leave out).
TESTS: dict[str, list[tuple[str, str, int | None]]] = {
    "yin_yang_grid": [("yin-yang:test:1000", "yin-yang:test:1000", None)],
    "tactile": [("braille_valid.h5", DATA + "braille_valid.h5", None)],
    "mnist": [("mnist_test_even.npz", DATA + "mnist_test_even.npz", None)],
    "spoken_words": [
        ("espeak_shd_test.h5.gz", DATA + "espeak_shd_test.h5.gz", None),
        ("espeak_shd_test.h5.gz, known speakers", DATA + "espeak_shd_test.h5.gz", -4),
        ("espeak_shd_test.h5.gz, unseen speaker", DATA + "espeak_shd_test.h5.gz", 4),
    ],
    "spoken_digits_delay": [
        ("fsdd_valid.h5.gz", DATA + "fsdd_valid.h5.gz", None),
        ("fsdd_test_george.h5.gz", DATA + "fsdd_test_george.h5.gz", None),
    ],
}


def trained(name: str, seed: int, threads: int) -> dict[str, Any]:
    """Train one configuration with one seed and test it."""
    path = EXAMPLES / f"{name}.toml"
    config = read_config(path, overrides=[f"trainer.threads={threads}"], seed=seed)
    cpu, wall = time.process_time(), time.perf_counter()
    result = train_config(config, path.parent)
    seconds = time.process_time() - cpu, time.perf_counter() - wall
    accuracies = {said: accuracy(result.graph, config.data, where, keep) for said, where, keep in TESTS[name]}
    return {
        "config": name,
        "seed": seed,
        "accuracy": accuracies,
        "cpu_s": round(seconds[0], 1),
        "wall_s": round(seconds[1], 1),
        "threads": threads,
        "epochs": len(result.curve),
        "train_accuracy": result.curve[-1]["accuracy"],
        "versions": {
            "python": platform.python_version(),
            **{package: version(package) for package in ("nirbridge", "nir", "numpy", "numba")},
        },
    }


def accuracy(graph: nir.NIRGraph, section: Any, where: str, keep: int | None) -> dict[str, float]:
    """Share of the test samples that the reference target gets right, and their number."""
    data = loaded(where, EXAMPLES, section, section.inputs)
    if keep is not None:
        data = of_group(data, keep)
    found = run(graph, parse("targets", "reference"), data)
    return {"accuracy": float(found.accuracy or 0.0), "n": len(data)}


def of_group(data: Dataset, keep: int) -> Dataset:
    """The samples of a group, or of all others where it is negative."""
    if data.groups is None:
        raise SystemExit(f"{data.source}: no groups")
    same = data.groups == abs(keep)
    return data.select(same if keep > 0 else ~same)


def summary(rows: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """Mean, standard deviation and standard error over seeds for each test of each configuration."""
    found = []
    for name, tests in TESTS.items():
        own = [row for row in rows if row["config"] == name]
        for said, _, _ in tests if own else []:
            values = np.array([row["accuracy"][said]["accuracy"] for row in own])
            n = own[0]["accuracy"][said]["n"]
            mean = float(values.mean())
            found.append(
                {
                    "config": name,
                    "test": said,
                    "n": n,
                    "seeds": [row["seed"] for row in own],
                    "values": values.tolist(),
                    "mean": mean,
                    "sd": float(values.std(ddof=1)) if len(values) > 1 else None,
                    "se": math.sqrt(mean * (1 - mean) / n),
                    "cpu_s": _mean([row["cpu_s"] for row in own]),
                    "wall_s": _mean([row["wall_s"] for row in own]),
                    "epochs": own[0]["epochs"],
                }
            )
    return found


def _mean(values: list[float | None]) -> float | None:
    known = [value for value in values if value is not None]
    return sum(known) / len(known) if known else None


def table(found: list[dict[str, Any]], baselines: dict[str, dict[str, float]]) -> str:
    """One line for each test: accuracies per seed, mean, spread, baselines, seconds of a training."""
    lines = [
        f"{'config':21}{'test':39}{'n':>5}  {'per seed':24}{'mean':>6}{'sd':>6}{'s.e.':>6}"
        f"{'counts':>8}{'bins':>7}{'epochs':>8}{'CPU s':>7}{'wall s':>8}"
    ]
    for row in found:
        base = baselines.get(row["test"], {})
        seeds = " ".join(f"{value:.4f}" for value in row["values"])
        spread = "-" if row["sd"] is None else f"{row['sd']:.3f}"
        lines.append(
            f"{row['config']:21}{row['test']:39}{row['n']:5}  {seeds:24}{row['mean']:6.3f}{spread:>6}"
            f"{row['se']:6.3f}{_shown(base.get('counts')):>8}{_shown(base.get('bins')):>7}{row['epochs']:8}"
            f"{_seconds(row['cpu_s']):>7}{_seconds(row['wall_s']):>8}"
        )
    return "\n".join(lines)


def _shown(value: float | None) -> str:
    return "-" if value is None else f"{value:.3f}"


def _seconds(value: float | None) -> str:
    return "-" if value is None else f"{value:.0f}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--only", nargs="+", choices=list(TESTS), default=list(TESTS))
    parser.add_argument("--seeds", type=int, nargs="*", default=[1, 2, 3])
    parser.add_argument("--threads", type=int, default=1)
    parser.add_argument("--json", type=Path, default=RESULTS / "eventprop_accuracy.json")
    args = parser.parse_args()
    rows = json.loads(args.json.read_text())["rows"] if args.json.exists() else []
    for name in args.only:
        for seed in args.seeds:
            row = trained(name, seed, args.threads)
            rows = [old for old in rows if (old["config"], old["seed"]) != (name, seed)] + [row]
            rows.sort(key=lambda item: (list(TESTS).index(item["config"]), item["seed"]))
            with atomic_path(args.json) as temporary:
                temporary.write_text(json.dumps({"summary": summary(rows), "rows": rows}, indent=1) + "\n")
            shown = ", ".join(f"{said} {value['accuracy']:.4f}" for said, value in row["accuracy"].items())
            print(f"{name} seed {seed}: {shown}, {row['cpu_s']:.0f} s CPU", flush=True)
    beside = RESULTS / "counts_baseline.json"
    baselines = (
        {row["test"]: row for row in json.loads(beside.read_text())["rows"]} if beside.exists() else {}
    )
    print(table(summary(rows), baselines))


if __name__ == "__main__":
    main()
