"""Accuracy on Yin-Yang and on real data, minutes long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nirbridge.evaluate import compare, demo, run, train
from nirbridge.io.datasets import read_dataset
from nirbridge.plugins import parse

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("NIRBRIDGE_DATA") or ROOT.parent / "shared" / "data")


@pytest.mark.slow
def test_demo_reaches_its_accuracy_on_every_target(tmp_path):
    report = demo(tmp_path)
    reference, *chips = (result.accuracy for result in report.results)
    assert reference >= 0.93
    assert all(abs(chip - reference) <= 0.02 for chip in chips)


@pytest.mark.slow
def test_spoken_digits_are_learned_and_survive_on_every_target(tmp_path):
    valid = DATA / "fsdd_valid.h5.gz"
    if not valid.exists():
        pytest.skip(f"no {valid.name} in the folder that NIRBRIDGE_DATA names")
    overrides = [f'data.train="{DATA / "fsdd_train.h5.gz"}"', f'data.valid="{valid}"']
    trained = train(
        ROOT / "examples" / "spoken_digits.toml", out=tmp_path / "digits.nir", overrides=overrides
    )
    data = read_dataset(valid, n_units=700)
    assert run(trained.graph, parse("targets", "reference"), data).accuracy >= 0.70
    assert trained.seconds < 600
    names = ("reference", "loihi2", "spinnaker2")
    report = compare(trained.graph, [(name, parse("targets", name)) for name in names], data)
    for result in report.results[1:]:
        assert abs(result.accuracy - report.results[0].accuracy) <= 0.05
        assert result.versus.first_difference is not None
