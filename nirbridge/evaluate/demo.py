"""The whole road in one call: train Yin-Yang, quantise, run on three targets, report."""

from __future__ import annotations

import shlex
from collections.abc import Callable
from pathlib import Path

from nirbridge.analysis import applied
from nirbridge.evaluate.comparison import compare
from nirbridge.evaluate.config import Config
from nirbridge.evaluate.training import train_config
from nirbridge.io import write_graph
from nirbridge.io.datasets import write_dataset
from nirbridge.io.yin_yang import yin_yang
from nirbridge.plugins import load
from nirbridge.protocols import TrainStats
from nirbridge.report import Report

TARGETS = ("reference", "loihi2", "spinnaker2")
CONFIG = {
    "graph": {
        "dt": 1e-3,
        "hidden": [200],
        "input_mean": 1.5,
        "input_sd": 0.78,
        "output_sd": 0.1,
    },
    "data": {"train": "yin-yang:train:5000", "valid": "yin-yang:validation:1000"},
    "trainer": {
        "name": "eventprop",
        "mode": "step",
        "epochs": 20,
        "batch": 32,
        "lr": 5e-3,
        "schedule": "cosine",
        "loss": "xent-mean",
        "logit_scale": 8.0,
        "slope": "crossing",
    },
    "run": {"seed": 1},
}


def demo(folder: Path, *, note: Callable[[str], None] = lambda text: None) -> Report:
    """Train on 5000 generated Yin-Yang samples, test 1000 on every target.

    Writes ``yin-yang.nir``, ``yin-yang-int8.nir`` (as loihi2 runs it) and ``yin-yang-test.npz`` to an
    existing ``folder``; ``note`` receives a line per stage and epoch.
    """

    def on_step(stats: TrainStats) -> None:
        if stats.epoch_done and stats.valid_accuracy is not None:
            note(
                f"epoch {stats.epoch}/{stats.epochs}  loss {stats.loss:.3f}  "
                f"validation accuracy {stats.valid_accuracy:.3f}"
            )

    note("training on Yin-Yang, 5000 samples (kernels compile on the first run)")
    trained = train_config(Config.model_validate(CONFIG), folder, on_step=on_step)
    note(f"trained in {trained.seconds:.1f} s")
    test = yin_yang("test", 1000)
    write_graph(folder / "yin-yang.nir", trained.graph)
    write_dataset(folder / "yin-yang-test.npz", test)
    targets = [(name, load("targets", name)()) for name in TARGETS]
    quantised, _, _ = applied(targets[1][1].passes(trained.graph), trained.graph)
    write_graph(folder / "yin-yang-int8.nir", quantised)
    note("running the test set on " + ", ".join(TARGETS))
    trained_file, quantised_file, test_file, page = (
        str(folder / name)
        for name in ("yin-yang.nir", "yin-yang-int8.nir", "yin-yang-test.npz", "report.html")
    )
    commands = [
        shlex.join(["nirbridge", *words])
        for words in (
            ["demo", "-o", str(folder)],
            ["convert", trained_file, quantised_file, "--for", "loihi2"],
            ["compare", trained_file, "--targets", ",".join(TARGETS), "--data", test_file, "-o", page],
        )
    ]
    return compare(trained.graph, targets, test, file="yin-yang.nir", commands=commands)
