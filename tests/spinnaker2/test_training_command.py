"""`nirbridge train --trainer spinnaker2`, its generated start and its data."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate import read_config, train
from nirbridge.graph import digest, read_metadata
from nirbridge.io import read_graph
from nirbridge.io.yin_yang import yin_yang_samples, yin_yang_steps

GOLDEN = Path(os.environ.get("NIRBRIDGE_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")
INIT = GOLDEN / "spinnaker2" / "eventprop_init_f64.npz"
CONFIG = """
[graph]
dt = 1e-3
hidden = [120]
output = "spikes"
[data]
train = "yin-yang:train:60:27"
valid = "yin-yang:validation:30:27"
[trainer]
epochs = 2
batch = 10
[run]
seed = 42
"""


@pytest.fixture
def config(tmp_path):
    path = tmp_path / "training.toml"
    path.write_text(CONFIG)
    return path


def nirbridge(*arguments, cwd):
    command = [sys.executable, "-m", "nirbridge", *map(str, arguments)]
    return subprocess.run(command, capture_output=True, text=True, check=False, cwd=cwd)


def test_the_command_takes_the_trainers_name(config, tmp_path):
    done = nirbridge(
        "train", config, "--trainer", "spinnaker2", "-o", tmp_path / "n.nir", "--json", cwd=tmp_path
    )
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert [entry["epoch"] for entry in value["curve"]] == [1, 2]
    graph = read_graph(tmp_path / "n.nir")
    assert digest(graph) == value["digest"]
    assert read_metadata(graph).training["trainer"] == "spinnaker2"
    assert json.loads((tmp_path / "n.nir.run.json").read_text())["config"]["trainer"]["name"] == "spinnaker2"


def test_a_batch_beyond_the_chip_is_exit_code_4(config, tmp_path):
    done = nirbridge(
        "train", config, "--trainer", "spinnaker2", "--set", "trainer.batch=37", "-o", "n.nir", cwd=tmp_path
    )
    assert done.returncode == 4
    assert "error[NB602]" in done.stderr
    assert "batch=36" in done.stderr
    assert not (tmp_path / "n.nir").exists()


def test_the_trainers_name_replaces_the_files(config):
    assert read_config(config).trainer.name == "eventprop"
    assert read_config(config, trainer="spinnaker2").trainer.name == "spinnaker2"
    with pytest.raises(UsageError, match="unknown trainer 'spinaker2'") as caught:
        read_config(config, trainer="spinaker2")
    assert "spinnaker2" in str(caught.value)


def test_an_interrupted_training_resumes_to_the_same_bits(config, tmp_path):
    whole = train(config, out=tmp_path / "a.nir", trainer="spinnaker2")

    def stop(stats):
        if stats.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "b.nir", trainer="spinnaker2", on_step=stop)
    resumed = train(config, out=tmp_path / "b.nir", trainer="spinnaker2", resume=True)
    assert digest(resumed.graph) == digest(whole.graph)


@pytest.mark.skipif(not INIT.is_file(), reason="no golden folder: set NIRBRIDGE_GOLDEN")
def test_the_generated_start_is_the_public_simulators(config, tmp_path):
    """Seed 42, bit for bit: a learning rate too small to move a float32 weight leaves the start."""
    case = np.load(INIT, allow_pickle=False)
    trained = train(
        config, out=tmp_path / "a.nir", trainer="spinnaker2", overrides=["trainer.lr=1e-30"]
    ).graph
    np.testing.assert_array_equal(trained.nodes["w1"].weight, case["w0"])
    np.testing.assert_array_equal(trained.nodes["w_out"].weight, case["w1"])
    semantics = read_metadata(trained).semantics
    assert semantics == {"decay": "exact", "feedforward_delay": 1}


def test_yin_yang_on_steps():
    """2 + round((T−3)·min(1−v, 0.99)), ties to even; the bias at step 0."""
    values, labels = yin_yang_samples("train", 50)
    data = yin_yang_steps("train", 50, 27)
    grid = data.spikes.to_dense(1e-3)
    assert grid.shape == (50, 27, 5)
    assert np.all(grid.sum(axis=1) == 1)
    expected = [[2 + round(24 * min(1 - v, 0.99)) for v in row] for row in values]
    np.testing.assert_array_equal(grid[:, :, :4].argmax(axis=1), expected)
    assert np.all(grid[:, 0, 4] == 1)
    np.testing.assert_array_equal(data.labels, labels)
    assert not np.array_equal(yin_yang_steps("test", 50, 27, seed=43).labels, labels)
    with pytest.raises(UsageError, match="4 steps at least"):
        yin_yang_steps("train", 5, 3)


@pytest.mark.skipif(not INIT.is_file(), reason="no golden folder: set NIRBRIDGE_GOLDEN")
def test_yin_yang_on_steps_is_the_golden_encoding():
    case = np.load(INIT, allow_pickle=False)
    data = yin_yang_steps("train", 5000, 27)
    values = yin_yang_samples("train", 5000)[0]
    at = [int(np.argmin(np.abs(values - x).sum(axis=1))) for x in case["x"]]
    grid = data.spikes.select(at).to_dense(1e-3).transpose(1, 0, 2)
    np.testing.assert_array_equal(grid, case["in_spikes"])
    np.testing.assert_array_equal(data.labels[at], case["labels"])


@pytest.mark.parametrize("name", ["yin-yang:train:60:", "yin-yang:train:60:27:1", "yin-yang:train:60:0"])
def test_a_wrong_form_of_generated_data(config, name):
    config.write_text(CONFIG.replace("yin-yang:train:60:27", name))
    with pytest.raises(BadInput, match="yin-yang:SPLIT:N"):
        read_config(config, trainer="spinnaker2")
