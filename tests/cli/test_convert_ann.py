"""`nirbridge convert ann.onnx net.nir`: options, report, and that the graph then runs on images."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge.ann import encoding_in
from nirbridge.io import read_graph

sys.path.insert(0, str(Path(__file__).parents[1] / "ann"))
from onnx_anns import perceptron, save


@pytest.fixture
def ann(tmp_path: Path) -> Path:
    return save(tmp_path / "ann.onnx", *perceptron(np.random.default_rng(0), (6, 9, 3)))


@pytest.fixture
def images(tmp_path: Path) -> Path:
    rng = np.random.default_rng(1)
    np.savez(tmp_path / "i.npz", x=rng.integers(0, 256, (40, 2, 3), np.uint8), y=rng.integers(0, 3, 40))
    return tmp_path / "i.npz"


def test_the_report_gives_accuracy_against_steps(call: Any, ann: Path, images: Path) -> None:
    options = ("--calibration", images, "--rate-coding", "steps=100,percentile=99,samples=25")
    done = call("convert", ann, "net.nir", *options, "--data", images, "-n", 30, "--json", "--dt", 0.002)
    assert done.code == 0, done.err
    value = json.loads(done.out)
    found = value["ann"]
    assert value["schema"] == "nirbridge.convert/1"
    assert [row["steps"] for row in found["curve"]] == [8, 16, 32, 64, 100]
    assert found["n_samples"] == 30 and found["calibration_samples"] == 25 and found["held_out"]
    assert found["options"]["percentile"] == 99.0 and found["options"]["dt"] == 0.002
    assert found["curve"][-1]["agreement"] >= 0.9
    assert found["curve"][-1]["lost"] == found["ann_accuracy"] - found["curve"][-1]["accuracy"]
    encoding = encoding_in(read_graph(Path("net.nir")))
    assert encoding is not None and (encoding.steps, encoding.dt) == (100, 0.002)


def test_the_graph_runs_on_the_images_with_the_accuracy_that_was_reported(
    call: Any, ann: Path, images: Path
) -> None:
    for coding in ("current", "rate"):
        spec = f"coding={coding}"
        done = call("convert", ann, "net.nir", "--calibration", images, "--rate-coding", spec, "--json")
        row = json.loads(done.out)["ann"]["curve"][-1]
        done = call("run", "net.nir", "-t", "reference", "--data", images, "--json")
        assert done.code == 0, done.err
        assert json.loads(done.out)["accuracy"] == row["accuracy"]


def test_the_text_names_layers_steps_and_data(call: Any, ann: Path, images: Path) -> None:
    done = call("convert", ann, "net.nir", "--calibration", images)
    assert done.code == 0, done.err
    assert "relu0" in done.out and "128" in done.out and "the calibration samples of" in done.out


def test_a_dry_run_writes_nothing(call: Any, ann: Path, images: Path) -> None:
    done = call("convert", ann, "net.nir", "--calibration", images, "--dry-run")
    assert done.code == 0, done.err
    assert not Path("net.nir").exists()


def test_refusals(call: Any, ann: Path, images: Path, graph: Path, data: Path) -> None:
    for arguments, code, text in (
        (("convert", ann, "n.nir"), 2, "--calibration"),
        (("convert", ann, "n.nir", "--calibration", data), 3, "NB513"),
        (("convert", ann, "n.nir", "--calibration", "absent.npz"), 3, "NB001"),
        (("convert", ann, "n.nir", "--calibration", images, "--rate-coding", "step=3"), 2, "did you mean"),
        (("convert", ann, "n.nir", "--calibration", images, "--rate-coding", "steps"), 2, "no option"),
        (("convert", ann, "n.nir", "--calibration", images, "--rate-coding", "steps=0"), 2, "1 to 1000000"),
        (("convert", ann, "n.nir", "--calibration", images, "--data", data), 3, "NB513"),
        (("convert", graph, "n.nir", "--calibration", images), 2, "no ANN"),
        (("convert", graph, "n.nir", "-n", 3), 2, "no ANN"),
        (("convert", ann, "n.nir", "--calibration", images, "--fix"), 2, "--fix is given"),
        (("convert", ann, "n.nir", "--calibration", images, "--unit", "ms"), 2, "--unit is given"),
        (("inspect", ann), 2, "--calibration"),
        (("run", graph, "-t", "reference", "--data", images), 3, "NB507"),
    ):
        done = call(*arguments)
        assert (done.code, done.out) == (code, ""), (arguments, done.err)
        assert text in done.err, (arguments, done.err)
        assert not Path("n.nir").exists()
