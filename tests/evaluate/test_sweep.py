"""Sweeps: every combination, every group left out once, the same numbers in any number of processes."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.conformance import example_data
from nirbridge.data import Dataset
from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate import read_config
from nirbridge.evaluate.sweep import sweep
from nirbridge.evaluate.training import fit
from nirbridge.io.datasets import write_dataset
from nirbridge.spikes import Spikes

CONFIG = """
[graph]
dt = 1e-3
hidden = [8]
input_mean = 0.6
input_sd = 0.5
[data]
train = "train.npz"
{data}
[trainer]
epochs = 2
batch = 10
lr = 1e-2
ease_in = 1.0
threads = 1
[sweep]
{sweep}
"""


def write(folder: Path, *, data: str = "", sweep: str = "", groups: bool = True) -> Path:
    plain = example_data(np.random.default_rng(3), samples=30)
    of = np.arange(30) % 3 + 4 if groups else None
    write_dataset(folder / "train.npz", Dataset(plain.spikes, plain.labels, plain.classes, of))
    more = example_data(np.random.default_rng(4), samples=8)
    of = np.array([4, 9] * 4) if groups else None
    write_dataset(folder / "more.npz", Dataset(more.spikes, more.labels, more.classes, of))
    path = folder / "c.toml"
    path.write_text(CONFIG.format(data=data, sweep=sweep))
    return path


def test_each_group_is_left_out_once_and_tested_on(tmp_path):
    path = write(tmp_path, sweep='leave_out = "groups"\nfiles = ["more.npz"]')
    found = sweep(read_config(path), tmp_path)
    assert [(t.left_out, t.samples) for t in found.trials] == [(4, 14), (5, 10), (6, 10), (9, 4)]
    assert all(0 <= t.correct <= t.samples for t in found.trials)
    (point,) = found.points
    accuracies = [t.correct / t.samples for t in found.trials]
    assert point.accuracy == pytest.approx(np.mean(accuracies))
    assert point.deviation == pytest.approx(np.std(accuracies, ddof=1))


def test_the_left_out_group_is_not_trained_on(tmp_path, monkeypatch):
    """What reaches the training: all samples of the other groups, none of this one, augmentations and all."""
    from nirbridge.evaluate import sweep as module

    seen = []

    def look(config, folder, data, validation, **more):
        seen.append((data, validation))
        return fit(config, folder, data, validation, **more)

    monkeypatch.setattr(module, "fit", look)
    path = write(tmp_path, data="shift = 1", sweep='leave_out = "groups"')
    sweep(read_config(path), tmp_path)
    assert [sorted(set(data.groups.tolist())) for data, _ in seen] == [[5, 6], [4, 6], [4, 5]]
    assert all(validation is None and len(data.augmentations) == 1 for data, validation in seen)


def test_a_grid_has_every_combination_and_seed(tmp_path):
    path = write(
        tmp_path,
        data='valid = "more.npz"',
        sweep='seeds = [1, 2]\n[sweep.grid]\n"trainer.lr" = [1e-2, 1e-9]\n"graph.hidden" = [[4], [8]]',
    )
    found = sweep(read_config(path), tmp_path)
    combinations = [(t.values["trainer.lr"], t.values["graph.hidden"][0], t.seed) for t in found.trials]
    assert combinations == [(lr, h, s) for lr in (1e-2, 1e-9) for h in (4, 8) for s in (1, 2)]
    assert [p.trials for p in found.points] == [2] * 4
    assert [p.accuracy for p in found.points] == sorted((p.accuracy for p in found.points), reverse=True)


def test_processes_change_no_number(tmp_path):
    config = read_config(write(tmp_path, sweep='leave_out = "groups"'))
    one, two = sweep(config, tmp_path), sweep(config, tmp_path, jobs=2)
    assert [(t.left_out, t.correct) for t in one.trials] == [(t.left_out, t.correct) for t in two.trials]


@pytest.mark.parametrize(
    ("groups", "data", "text", "code", "says"),
    [
        (True, "", "", "NB515", "valid is missing"),
        (False, "", 'leave_out = "groups"', "NB515", "no groups"),
        (True, "", '[sweep.grid]\n"trainer.lr" = [-1.0]', "NB703", "lr"),
        (True, "", '[sweep.grid]\n"lr" = [1.0]', "NB703", "section.key"),
        (True, "", '[sweep.grid]\n"trainer.speed" = [1.0]', "NB703", "speed"),
    ],
)
def test_what_cannot_be_swept_is_refused_before_training(tmp_path, groups, data, text, code, says):
    path = write(tmp_path, data=data, sweep=text, groups=groups)
    with pytest.raises(BadInput, match=says) as caught:
        sweep(read_config(path), tmp_path)
    assert caught.value.code == code


def test_one_group_is_nothing_to_leave_out(tmp_path):
    path = write(tmp_path, sweep='leave_out = "groups"')
    spikes = Spikes(np.zeros(2), np.arange(2), [0, 1, 2], 20, 0.06)
    write_dataset(tmp_path / "train.npz", Dataset(spikes, [0, 1], ("a", "b"), np.array([3, 3])))
    with pytest.raises(BadInput, match="every sample is of group 3"):
        sweep(read_config(path), tmp_path)


def test_the_test_samples_may_not_choose_the_epoch(tmp_path):
    path = write(tmp_path, data='valid = "more.npz"', sweep='leave_out = "groups"')
    config = read_config(path, overrides=["trainer.patience=2"])
    with pytest.raises(UsageError, match="choose by the test samples"):
        sweep(config, tmp_path)


def test_the_command_prints_a_table_and_one_json_object(tmp_path):
    write(tmp_path, sweep='leave_out = "groups"')
    command = [sys.executable, "-m", "nirbridge", "sweep", "c.toml"]
    done = subprocess.run(
        [*command, "-o", "r.json", "--json"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["schema"] == "nirbridge.sweep/1"
    assert [trial["left_out"] for trial in value["trials"]] == [4, 5, 6]
    assert value == json.loads((tmp_path / "r.json").read_text())
    assert done.stderr.count("without group") == 3
    table = subprocess.run([*command, "--quiet"], cwd=tmp_path, capture_output=True, text=True, check=False)
    assert table.stderr == "" and "mean ± sd of 3 trainings" in table.stdout
    assert f"{value['points'][0]['accuracy']:.3f}" in table.stdout
