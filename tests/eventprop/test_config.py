"""What a configuration gives the trainer: its start, targets beside the file, drawn time constants."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.evaluate import train
from nirbridge.graph import read_metadata
from nirbridge.semantics import semantics_of
from nirbridge_eventprop import EventProp

EXACT = Path(__file__).resolve().parents[2] / "examples" / "yin_yang_exact.toml"
SMALL = ["trainer.epochs=1", "trainer.lr=1e-30", "trainer.lift=0.0", "data.train=yin-yang:train:8"]
SMALL += ["data.valid=yin-yang:validation:8", "trainer.threads=1"]


def test_the_example_of_continuous_time_trains_from_its_start(tmp_path):
    """At a rate too small to move a weight: N(1.5, 0.78) and N(0.93, 0.1), spikes delivered at once."""
    trained = train(EXACT, out=tmp_path / "a.nir", overrides=SMALL).graph
    assert semantics_of(trained).feedforward_delay == 0
    w1, w_out = (np.asarray(trained.nodes[name].weight) for name in ("w1", "w_out"))
    assert w1.shape == (200, 5) and w_out.shape == (3, 200)
    assert w1.mean() == pytest.approx(1.5, abs=0.1) and w1.std() == pytest.approx(0.78, abs=0.06)
    assert w_out.mean() == pytest.approx(0.93, abs=0.02) and w_out.std() == pytest.approx(0.1, abs=0.02)
    metadata = read_metadata(trained)
    assert metadata.readout == "first-spike" and metadata.training["options"]["mode"] == "exact"
    assert type(trained.nodes["out"]).__name__ == "CubaLIF"


@pytest.mark.parametrize("mode", ["step", "substep"])
def test_the_same_start_serves_the_grid(mode, tmp_path):
    trained = train(EXACT, out=tmp_path / "a.nir", overrides=[*SMALL, f"trainer.mode={mode}"]).graph
    assert semantics_of(trained).feedforward_delay == 0
    assert read_metadata(trained).training["options"]["mode"] == mode


def test_a_target_file_lies_beside_the_configuration(tmp_path):
    config = tmp_path / "there" / "mine.toml"
    config.parent.mkdir()
    config.write_text(EXACT.read_text().replace('"ttfs-xent"', '"ttfs-mse"\ntarget = "times.npy"'))
    times = np.where(np.eye(3, dtype=bool), 0.01, 0.03)
    np.save(config.parent / "times.npy", times)
    found = train(config, out=tmp_path / "a.nir", overrides=SMALL).curve[0]["loss"]
    values = [*SMALL, "trainer.ttfs_label=0.01", "trainer.ttfs_other=0.03", 'trainer.target=""']
    assert train(config, out=tmp_path / "b.nir", overrides=values).curve[0]["loss"] == found


def test_time_constants_are_drawn_around_their_means(tmp_path):
    overrides = [*SMALL, "graph.tau_shape=4.0", "trainer.train_tau=1e-3"]
    hidden = train(EXACT, out=tmp_path / "a.nir", overrides=overrides).graph.nodes["hidden1"]
    for tau, mean in ((hidden.tau_mem, 0.02), (hidden.tau_syn, 0.005)):
        assert np.mean(tau) == pytest.approx(mean, rel=0.15)
        assert np.std(tau) == pytest.approx(mean / 2, rel=0.25), "a gamma distribution of shape 4"


def test_a_step_a_hop_takes_no_drawn_time_constants(tmp_path):
    config = tmp_path / "mine.toml"
    config.write_text(EXACT.read_text().split("[trainer]")[0] + "[trainer]\nepochs = 1\n")
    overrides = ["graph.tau_shape=4.0", "data.train=yin-yang:train:8"]
    with pytest.raises(BadInput, match="tau_shape") as caught:
        train(config, out=tmp_path / "a.nir", trainer="spinnaker2", overrides=overrides)
    assert caught.value.code == "NB703"


def test_spikes_lie_inside_the_step_unless_told_otherwise() -> None:
    assert EventProp().mode == "substep"
