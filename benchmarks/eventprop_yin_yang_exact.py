"""Yin-Yang in exact time: test accuracy of a 5-200-3 network whose first output spike wins.

    python benchmarks/eventprop_yin_yang_exact.py [--seeds 1 2 3] [--epochs 100] [--json FILE]

Inputs fire within 30 ms, a fifth one at 0, T = 0.1 s; jumps of I start as N(1.5, 0.78) and N(0.93, 0.1). None
of it is chosen on the test set: figures are of the last epoch and the mean over the last ten.
"""

from __future__ import annotations

import argparse
import itertools
import json
import time
from pathlib import Path

import nir
import numpy as np

from nirbridge.graph import make
from nirbridge.io.yin_yang import yin_yang
from nirbridge.protocols import TrainStats
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_eventprop import EventProp

DT, END, TAU_MEM, TAU_SYN, HIDDEN = 1e-3, 0.1, 20e-3, 5e-3, 200
TRAINER = {
    "mode": "exact",
    "loss": "ttfs-xent",
    "batch": 32,
    "lr": 5e-3,
    "ease_in": 1.0,
    "schedule": "exponential",
    "decay": 0.95,
    "clip": 1.0,
}


def start(rng: np.random.Generator) -> nir.NIRGraph:
    """The graph; gain dirac and w_in = τs, so that a weight is the jump of I."""

    def neurons(n: int) -> nir.CubaLIF:
        values = {"tau_mem": TAU_MEM, "tau_syn": TAU_SYN, "w_in": TAU_SYN, "r": 1.0}
        values |= {"v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
        return nir.CubaLIF(**{name: np.full(n, value) for name, value in values.items()})

    nodes = {
        "input": nir.Input(np.array([5])),
        "w1": nir.Linear(weight=rng.normal(1.5, 0.78, (5, HIDDEN)).T.copy()),
        "hidden": neurons(HIDDEN),
        "w_out": nir.Linear(weight=rng.normal(0.93, 0.1, (HIDDEN, 3)).T.copy()),
        "out": neurons(3),
        "output": nir.Output(np.array([3])),
    }
    names = list(nodes)
    semantics = Semantics(
        dt=DT, decay="exact", order="exact", gain="dirac", compare=">=", arithmetic="float64"
    )
    return with_semantics(make(nodes, list(itertools.pairwise(names))), semantics)


def train(seed: int, epochs: int) -> dict[str, object]:
    """Accuracy on the published test set after every epoch of one seed."""
    rng = np.random.default_rng(seed)
    data, test = (yin_yang(split, n, duration_s=END) for split, n in (("train", 5000), ("test", 1000)))
    curve: list[float] = []

    def note(stats: TrainStats) -> None:
        if stats.epoch_done:
            curve.append(float(stats.valid_accuracy or 0.0))
            print(
                f"seed {seed} epoch {stats.epoch}: test {curve[-1]:.3f}, train {stats.accuracy:.3f}",
                flush=True,
            )

    begin = time.process_time()
    EventProp(**TRAINER, epochs=epochs, threads=1).fit(  # type: ignore[arg-type]
        start(rng), data, validation=test, rng=rng, on_step=note
    )
    return {
        "seed": seed,
        "last": curve[-1],
        "last_ten": float(np.mean(curve[-10:])),
        "curve": curve,
        "cpu_s": time.process_time() - begin,
    }


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawTextHelpFormatter)
    parser.add_argument("--seeds", type=int, nargs="+", default=[1, 2, 3])
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--json", type=Path)
    args = parser.parse_args()
    rows = [train(seed, args.epochs) for seed in args.seeds]
    for row in rows:
        print("seed {seed}: {last:.3f} (last ten {last_ten:.4f}), {cpu_s:.0f} s CPU".format(**row))
    last, ten = ([float(row[key]) for row in rows] for key in ("last", "last_ten"))  # type: ignore[arg-type]
    print(f"mean of {len(rows)}: {np.mean(last):.4f}, last ten epochs {np.mean(ten):.4f}")
    if args.json:
        args.json.write_text(
            json.dumps({"epochs": args.epochs, "trainer": TRAINER, "rows": rows}, indent=1) + "\n"
        )


if __name__ == "__main__":
    main()
