"""Latency-coded images: when each value fires, and that a graph trained on them runs on them."""

from __future__ import annotations

import json
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.data import Images, Latency
from nirbridge.data.latency import BLOCK, KEY, latency_in, with_latency
from nirbridge.errors import BadInput
from nirbridge.evaluate import run, train
from nirbridge.graph import read_metadata, write_metadata
from nirbridge.graph.stack import layered
from nirbridge.io.images import encoded
from nirbridge.plugins import parse
from nirbridge.semantics import Semantics, with_semantics

PIXEL = 1.0 / 255.0
CONFIG = """
[graph]
dt = 1e-3
hidden = [16]
input_mean = 4.0
input_sd = 1.0
[data]
train = "images.npz"
valid = "images.npz"
latency = 0.02
duration = 0.025
[trainer]
epochs = 12
batch = 10
lr = 1e-2
ease_in = 1.0
logit_scale = 20.0
threads = 1
"""


def images_of(rng: np.random.Generator, n: int) -> tuple[np.ndarray, np.ndarray]:
    """Two classes of 2 × 3 pixels: the left or the right column is bright; two pixels stay dark."""
    y = rng.integers(0, 2, n).astype(np.uint8)
    x = rng.integers(20, 90, (n, 2, 3)).astype(np.uint8)
    x[np.arange(n), :, 2 * y] = rng.integers(200, 256, (n, 2))
    x[:, :, 1] = [0, 1]
    return x, y


def graph():
    made = layered(inputs=6, hidden=[4], outputs=2, dt=1e-3, rng=np.random.default_rng(0))
    return with_semantics(made, Semantics(dt=1e-3, decay="exact"))


@settings(deadline=None, max_examples=40)
@given(st.integers(0, 10_000), st.integers(1, 7))
def test_each_pixel_above_one_fires_once_the_brighter_the_earlier(seed: int, n: int) -> None:
    x = np.random.default_rng(seed).integers(0, 256, (n, 3, 4)).astype(np.uint8)
    spikes = Latency(span=0.02).spikes(Images(x=x, scale=PIXEL))
    assert (spikes.n_samples, spikes.n_units, spikes.duration) == (n, 12, 0.02)
    for b in range(n):
        one = spikes.select([b])
        pixels = x[b].reshape(-1)
        assert sorted(one.units.tolist()) == np.flatnonzero(pixels > 1).tolist()
        expected = (1.0 - pixels[one.units].astype(float) / 255.0) * 0.02
        np.testing.assert_allclose(one.times, expected, atol=1e-15)


def test_samples_are_the_same_in_one_block_or_more() -> None:
    x = np.random.default_rng(0).integers(0, 256, (BLOCK + 3, 2)).astype(np.uint8)
    whole = Latency(span=0.02).spikes(Images(x=x, scale=PIXEL))
    end = Latency(span=0.02).spikes(Images(x=x[BLOCK:], scale=PIXEL))
    assert whole.n_samples == BLOCK + 3
    last = whole.select(np.arange(BLOCK, BLOCK + 3))
    assert last.times.tobytes() == end.times.tobytes() and last.units.tobytes() == end.units.tobytes()


@pytest.mark.parametrize("value", [-0.1, 1.5])
def test_values_without_a_latency_are_refused(value: float) -> None:
    x = np.full((3, 2), 0.5)
    x[1, 1] = value
    with pytest.raises(BadInput, match="sample 1 has values") as caught:
        Latency(span=0.02).spikes(Images(x=x))
    assert caught.value.code == "NB513"


def test_a_graph_says_by_which_code_it_takes_images() -> None:
    assert latency_in(graph()) is None
    code = Latency(span=0.03, above=0.25)
    assert latency_in(with_latency(graph(), code)) == code
    metadata = read_metadata(graph())
    for said in ({"span": 0.02}, {"span": "long", "above": 0.0}, {"span": 0.0, "above": 0.0}, [1], "latency"):
        broken = write_metadata(graph(), metadata.model_copy(update={KEY: said}))
        with pytest.raises(BadInput, match=KEY) as caught:
            latency_in(broken)
        assert caught.value.code == "NB401"


@pytest.fixture
def config(tmp_path: Path) -> Path:
    x, y = images_of(np.random.default_rng(3), 80)
    np.savez(tmp_path / "images.npz", x=x, y=y)
    path = tmp_path / "training.toml"
    path.write_text(CONFIG)
    return path


def test_a_graph_trained_on_images_runs_on_images(config: Path, tmp_path: Path) -> None:
    """The same accuracy as the training's validation: the same spikes, over the same duration."""
    trained = train(config, out=tmp_path / "net.nir")
    assert latency_in(trained.graph) == Latency(span=0.02)
    data = encoded(tmp_path / "images.npz", trained.graph)
    found = run(trained.graph, parse("targets", "reference"), data)
    assert found.accuracy == trained.curve[-1]["valid_accuracy"] >= 0.95
    with pytest.raises(BadInput, match="how it takes them"):
        encoded(tmp_path / "images.npz", graph())


def test_the_commands_take_images_too(config: Path, tmp_path: Path) -> None:
    def call(*words: str) -> dict:
        command = [sys.executable, "-m", "nirbridge", *words, "--json", "--quiet"]
        done = subprocess.run(command, cwd=tmp_path, capture_output=True, text=True, check=False)
        assert done.returncode == 0, done.stderr
        return json.loads(done.stdout)

    curve = call("train", str(config), "-o", "net.nir")["curve"]
    shown = call("run", "net.nir", "--target", "reference", "--data", "images.npz")
    assert shown["accuracy"] == curve[-1]["valid_accuracy"]


def test_images_without_a_latency_are_no_spikes(config: Path, tmp_path: Path) -> None:
    config.write_text(CONFIG.replace("latency = 0.02", ""))
    with pytest.raises(BadInput, match="no spikes in this") as caught:
        train(config, out=tmp_path / "net.nir")
    assert caught.value.code == "NB507" and "latency" in (caught.value.fix or "")
