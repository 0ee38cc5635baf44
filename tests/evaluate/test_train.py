"""Training from a configuration, from Python and from the command line."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate import checkpoint_of, train
from nirbridge.graph import digest, read_metadata

CONFIG = """
[graph]
dt = 1e-3
hidden = [16]
input_mean = 1.5
input_sd = 0.8
output_sd = 0.1
[data]
train = "yin-yang:train:60"
valid = "yin-yang:validation:30"
[trainer]
epochs = 3
batch = 10
lr = 5e-3
logit_scale = 8.0
"""


@pytest.fixture
def config(tmp_path: Path) -> Path:
    path = tmp_path / "training.toml"
    path.write_text(CONFIG)
    return path


def test_train_writes_what_it_did_into_the_graph(config, tmp_path):
    trained = train(config, out=tmp_path / "net.nir", seed=4)
    metadata = read_metadata(trained.graph)
    assert metadata.readout == "mean"
    assert metadata.training["seed"] == 4
    assert metadata.training["duration"] == pytest.approx(0.04)
    assert [entry["epoch"] for entry in trained.curve] == [1, 2, 3]
    assert metadata.digest == digest(trained.graph)
    assert checkpoint_of(tmp_path / "net.nir").exists()  # until the caller has written the graph


def test_an_interrupted_training_leaves_a_checkpoint_and_resumes_to_the_same_bits(config, tmp_path):
    whole = train(config, out=tmp_path / "a.nir")

    def stop(stats):
        if stats.epoch == 2:
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "b.nir", on_step=stop)
    assert checkpoint_of(tmp_path / "b.nir").exists()
    resumed = train(config, out=tmp_path / "b.nir", resume=True)
    assert digest(resumed.graph) == digest(whole.graph)


def test_resume_without_a_checkpoint_is_a_usage_error(config, tmp_path):
    with pytest.raises(UsageError, match="no checkpoint"):
        train(config, out=tmp_path / "net.nir", resume=True)


def test_the_command_writes_graph_and_run_file(config, tmp_path):
    command = [sys.executable, "-m", "nirbridge", "train", str(config), "-o", "net.nir", "--json", "--quiet"]
    done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    value = json.loads(done.stdout)
    assert value["output"] == "net.nir"
    run = json.loads((tmp_path / "net.nir.run.json").read_text())
    assert run["digest"] == value["digest"]
    import nir

    assert np.isfinite(nir.read(tmp_path / "net.nir").nodes["w1"].weight).all()


def test_an_old_checkpoint_outlives_a_training_that_cannot_start(config, tmp_path):
    """It is removed only when configuration, data and graph have been read."""
    old = checkpoint_of(tmp_path / "net.nir")
    old.write_bytes(b"hours of work")
    with pytest.raises(BadInput):
        train(config, out=tmp_path / "net.nir", overrides=["data.train=missing.h5"])
    assert old.read_bytes() == b"hours of work"


def test_more_shift_than_channels_is_refused(config, tmp_path):
    with pytest.raises(BadInput, match="shift is 5") as caught:
        train(config, out=tmp_path / "net.nir", overrides=["data.shift=5"])
    assert caught.value.code == "NB703"


def test_inputs_that_contradict_generated_data_are_refused(config, tmp_path):
    with pytest.raises(BadInput, match="inputs is 3"):
        train(config, out=tmp_path / "net.nir", overrides=["data.inputs=3"])


def test_epochs_are_listed_as_json_lines_and_go_on_after_an_interruption(config, tmp_path):
    """One line an epoch, none twice: also of the epoch that an interruption repeats."""
    train(config, out=tmp_path / "a.nir")

    def stop(stats):
        if stats.epoch == 2 and stats.epoch_done:  # after its line was written, before its checkpoint
            raise KeyboardInterrupt

    with pytest.raises(KeyboardInterrupt):
        train(config, out=tmp_path / "b.nir", on_step=stop)
    train(config, out=tmp_path / "b.nir", resume=True)
    kept = []
    for name in "ab":
        lines = (tmp_path / f"{name}.nir.epochs.jsonl").read_text().splitlines()
        entries = [json.loads(line) for line in lines]
        assert [entry["epoch"] for entry in entries] == [1, 2, 3]
        assert all(entry.pop("seconds") > 0 and entry["valid_loss"] > 0 for entry in entries)
        kept.append(entries)
    assert kept[0] == kept[1]


def test_the_memory_forecast_comes_before_the_first_step(config, tmp_path):
    told = []
    train(config, out=tmp_path / "a.nir", on_memory=told.append, on_step=lambda stats: told.append(None))
    assert told[0] > 1000 and told[1] is None and None not in told[:1]


def test_a_delay_line_in_the_configuration(config, tmp_path):
    overrides = ["graph.delay_line={copies = 3, step = 0.002}"]
    trained = train(config, out=tmp_path / "a.nir", overrides=overrides)
    assert {"w1_w0", "w1_d2", "w1_w2", "w1_d4", "w1_w4"} < set(trained.graph.nodes)
    with pytest.raises(BadInput, match="delay_line"):
        train(config, out=tmp_path / "a.nir", overrides=["graph.delay_line={copies = 3, step = 0.0001}"])
