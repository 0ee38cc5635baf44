"""Accuracy on Yin-Yang and on real data, minutes long."""

from __future__ import annotations

import os
from pathlib import Path

import pytest

from nirbridge.evaluate import compare, demo, run, train
from nirbridge.io.datasets import read_dataset
from nirbridge.io.yin_yang import yin_yang
from nirbridge.plugins import parse

ROOT = Path(__file__).resolve().parents[1]
DATA = Path(os.environ.get("NIRBRIDGE_DATA") or ROOT.parent / "shared" / "data")


@pytest.mark.slow
def test_demo_reaches_its_accuracy_on_every_target(tmp_path):
    report = demo(tmp_path)
    reference, *chips = (result.accuracy for result in report.results)
    assert reference >= 0.93
    assert all(abs(chip - reference) <= 0.02 for chip in chips)


@pytest.fixture(scope="module")
def digits(tmp_path_factory):
    """The example of spoken digits, trained once for all tests here."""
    valid = DATA / "fsdd_valid.h5.gz"
    if not valid.exists():
        pytest.skip(f"no {valid.name} in the folder that NIRBRIDGE_DATA names")
    overrides = [f'data.train="{DATA / "fsdd_train.h5.gz"}"', f'data.valid="{valid}"']
    out = tmp_path_factory.mktemp("digits") / "digits.nir"
    return train(ROOT / "examples" / "spoken_digits.toml", out=out, overrides=overrides)


@pytest.mark.slow
def test_spoken_digits_are_learned_and_survive_on_every_target(digits):
    data = read_dataset(DATA / "fsdd_valid.h5.gz", n_units=700)
    assert run(digits.graph, parse("targets", "reference"), data).accuracy >= 0.70
    assert digits.seconds < 600
    names = ("reference", "loihi2", "spinnaker2")
    report = compare(digits.graph, [(name, parse("targets", name)) for name in names], data)
    for result in report.results[1:]:
        assert abs(result.accuracy - report.results[0].accuracy) <= 0.05
        assert result.versus.first_difference is not None


@pytest.mark.slow
@pytest.mark.parametrize("file", ["fsdd_valid.h5.gz", "fsdd_test_george.h5.gz"])
def test_int8_on_loihi2_costs_spoken_digits_at_most_a_point(digits, file):
    """Post-training quantisation alone, against the float network on the reference, on the same samples."""
    data = read_dataset(DATA / file, n_units=700)
    report = compare(digits.graph, [(name, parse("targets", name)) for name in ("reference", "loihi2")], data)
    reference, chip = report.results
    change = chip.versus.change
    shown = f"reference {reference.accuracy:.3f}, loihi2 {chip.accuracy:.3f}, {change}"
    assert reference.accuracy - chip.accuracy <= 0.01, shown
    assert change.n == len(data) and change.change == change.gained - change.lost, shown


@pytest.mark.slow
def test_yin_yang_on_a_grid(tmp_path):
    trained = train(ROOT / "examples" / "yin_yang_grid.toml", out=tmp_path / "yin-yang.nir")
    assert run(trained.graph, parse("targets", "reference"), yin_yang("test", 1000)).accuracy >= 0.95


@pytest.mark.slow
def test_tactile_letters_beat_a_linear_model_on_time_bins(tmp_path):
    """A linear model reaches .963 there (benchmarks/counts_baseline.py)."""
    valid = DATA / "braille_valid.h5"
    if not valid.exists():
        pytest.skip(f"no {valid.name} in the folder that NIRBRIDGE_DATA names")
    overrides = [f'data.train="{DATA / "braille_train.h5"}"', f'data.valid="{valid}"']
    trained = train(ROOT / "examples" / "tactile.toml", out=tmp_path / "tactile.nir", overrides=overrides)
    data = read_dataset(valid, n_units=24)
    assert run(trained.graph, parse("targets", "reference"), data).accuracy > 0.963
