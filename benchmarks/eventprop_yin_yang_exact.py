"""Yin-Yang in continuous time: test accuracy of what examples/yin_yang_exact.toml trains, over seeds.

    python benchmarks/eventprop_yin_yang_exact.py [--seeds 1 2 3] [--epochs N] [--json FILE]

The class is that of the first output spike. Figures are of the last epoch's weights on the published test set
(generated bit for bit): by the exact engine, and by the reference target with the same graph on steps of 1 ms
and of 0.1 ms. Options were chosen on the validation set. CPU seconds are of one thread, training alone.
"""

from __future__ import annotations

import argparse
import json
import time
from pathlib import Path
from typing import Any

import nir
import numpy as np

from nirbridge.data import Dataset
from nirbridge.evaluate import run
from nirbridge.evaluate.config import read_config
from nirbridge.evaluate.training import train_config
from nirbridge.graph import read_metadata, replace_nodes
from nirbridge.io.yin_yang import yin_yang
from nirbridge.plugins import parse
from nirbridge.protocols import TrainStats
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_eventprop import EventProp
from nirbridge_eventprop.stack import kappa_at

CONFIG = Path(__file__).resolve().parents[1] / "examples" / "yin_yang_exact.toml"
STEPS = {"reference_1ms": 1e-3, "reference_0.1ms": 1e-4}


def on_steps(graph: nir.NIRGraph, dt: float) -> nir.NIRGraph:
    """The same network on steps of dt [s]: a weight stays the jump of I, I drives V as in continuous time."""
    changed: dict[str, nir.NIRNode] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.CubaLIF):
            tau_mem, tau_syn = (np.asarray(node.tau_mem, float), np.asarray(node.tau_syn, float))
            gains = {
                "w_in": -1.0 / np.expm1(-dt / tau_syn),
                "r": -kappa_at(dt, tau_mem, tau_syn) / np.expm1(-dt / tau_mem),
            }
            names = ("tau_mem", "tau_syn", "v_leak", "v_threshold", "v_reset")
            changed[name] = nir.CubaLIF(**{key: getattr(node, key) for key in names}, **gains)
    return with_semantics(replace_nodes(graph, changed), Semantics(dt=dt, decay="exact"))


def exact_accuracy(graph: nir.NIRGraph, data: Dataset) -> float:
    """Share of samples whose label's output fires first in continuous time."""
    scores, _ = EventProp(mode="exact", loss="ttfs-xent").forward(graph, data.spikes)
    return float((scores.argmax(axis=1) == data.labels).mean())


def one(seed: int, epochs: int | None) -> dict[str, Any]:
    """Train one seed and say how it fares."""
    overrides = ["trainer.threads=1"] + ([] if epochs is None else [f"trainer.epochs={epochs}"])
    config = read_config(CONFIG, overrides=overrides, seed=seed)
    cpu = time.process_time()
    wall = time.perf_counter()

    def note(stats: TrainStats) -> None:
        if stats.epoch_done and stats.epoch % 10 == 0:
            print(f"seed {seed} epoch {stats.epoch}: validation {stats.valid_accuracy}", flush=True)

    trained = train_config(config, CONFIG.parent, on_step=note).graph
    cpu, wall = time.process_time() - cpu, time.perf_counter() - wall
    test = yin_yang("test", 1000, duration_s=config.data.duration or 0.1)
    summary: dict[str, Any] = dict((read_metadata(trained) or None).training or {})  # type: ignore[union-attr]
    row = {
        "seed": seed,
        "test": exact_accuracy(trained, test),
        "validation": summary["valid_accuracy"],
        "train": summary["accuracy"],
        **{
            name: float(run(on_steps(trained, dt), parse("targets", "reference"), test).accuracy or 0.0)
            for name, dt in STEPS.items()
        },
        "spikes_per_hidden_neuron": summary["spikes_per_neuron"],
        "cpu_s": round(cpu, 1),
        "wall_s": round(wall, 1),
        "validation_curve": [entry["valid_accuracy"] for entry in summary["curve"]],
    }
    print({key: value for key, value in row.items() if key != "validation_curve"}, flush=True)
    return row


def spread(values: list[float]) -> dict[str, float]:
    """Mean, standard deviation and standard error of the mean."""
    sd = float(np.std(values, ddof=1)) if len(values) > 1 else 0.0
    return {"mean": float(np.mean(values)), "sd": sd, "se": sd / len(values) ** 0.5}


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int)
    parser.add_argument("--json", type=Path)
    parser.add_argument("--join", type=Path, nargs="+", help="results of single seeds, in place of training")
    args = parser.parse_args()
    if args.join:
        rows = [row for path in args.join for row in json.loads(path.read_text())["rows"]]
    else:
        rows = [one(seed, args.epochs) for seed in args.seeds]
    names = ("test", "validation", *STEPS, "cpu_s")
    found = {name: spread([row[name] for row in rows]) for name in names}
    for name, value in found.items():
        print(f"{name}: {value['mean']:.4f}, sd {value['sd']:.4f}, s.e. {value['se']:.4f} (n = {len(rows)})")
    if args.json:
        config = read_config(CONFIG).model_dump(mode="json", exclude_unset=True)
        text = json.dumps({"config": config, "over_seeds": found, "rows": rows}, indent=1)
        args.json.write_text(text + "\n")


if __name__ == "__main__":
    main()
