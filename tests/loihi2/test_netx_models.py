"""NetX files of sigma-delta and resonate-and-fire layers, against plain statements of LOIHI2.md §1."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.spikes import Spikes
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.simulate import Outcome, events, simulate
from nirbridge_loihi2.tables import tables

STEPS = 50


def write(path: Path, *layers: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for at, layer in enumerate(layers):
            for key, value in layer.items():
                inner = value if isinstance(value, dict) else {"": value}
                for name, item in inner.items():
                    file[f"layer/{at}/{key}/{name}".rstrip("/")] = item
    return path


def sigma_delta(threshold: int, **fields: Any) -> dict[str, Any]:
    return {"type": "SDNN", "vThMant": threshold, "refDelay": 1, "gradedSpike": True, **fields}


def files(path: Path, **fields: Any) -> Path:
    weight = np.array([[60, -40, 7], [20, 50, -30]], np.float32)
    return write(
        path,
        {"type": np.array([b"input"], "S10"), "shape": [3], "neuron": sigma_delta(2)},
        {"type": np.array([b"dense"], "S10"), "shape": [2], "weight": weight, "bias": np.array([1.0, -2.0]),
         "neuron": sigma_delta(1, **fields)},
    )  # fmt: skip


def values(grid: np.ndarray) -> Spikes:
    unit, step = np.nonzero(grid)
    return Spikes.from_events(
        step,
        unit,
        np.zeros(len(step)),
        n_samples=1,
        n_units=len(grid),
        duration=STEPS,
        values=grid[unit, step],
    )


def run(path: Path, spikes: Spikes) -> tuple[Outcome, int]:
    network = read_net(path).network
    every = range(len(network.layers))
    traces = [(k, state) for k in every for state in ("u", "v")]
    (found,) = simulate(tables(network), events(spikes, 1.0), STEPS, keep=every, traces=traces)
    return found, len(network.layers)


def test_sigma_delta_layers_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    grid = np.cumsum(rng.integers(-2, 3, (3, STEPS)), axis=1)
    found, n_layers = run(files(tmp_path / "a.net"), values(grid))
    assert n_layers == 2
    weight = np.array([[60, -40, 7], [20, 50, -30]])
    before, rest = np.zeros(3, int), np.zeros(3, int)
    sigma, act, left, arrived = (np.zeros(2, int) for _ in range(4))
    bias = np.array([1, -2]) << 12
    wanted = []
    for t in range(STEPS):
        now = grid[:, t] << 12
        delta = now - before + rest
        out = np.where(np.abs(delta) >= 2 << 12, delta, 0)
        before, rest = now, delta - out
        sigma = sigma + arrived
        new = np.maximum(sigma + bias, 0)
        change = new - act + left
        sent = np.where(np.abs(change) >= 1 << 12, change, 0)
        act, left = new, change - sent
        arrived = weight @ (out >> 6)
        wanted.append((sigma, act, out >> 6, sent >> 6))
    np.testing.assert_array_equal(found.traces[1, "u"], [row[0] for row in wanted])
    np.testing.assert_array_equal(found.traces[1, "v"], [row[1] for row in wanted])
    messages = np.zeros((STEPS, 5), int)
    messages[found.step, found.neuron] = found.value
    np.testing.assert_array_equal(messages, [np.concatenate(row[2:]) for row in wanted])
    assert np.count_nonzero(messages[:, 3:]) > 5


@pytest.mark.parametrize("fields", [{"messageBits": 16}, {"sigma_output": 1}, {"activation": "sigmoid"}])
def test_fields_of_sigma_delta_layers_that_are_not_deployed(tmp_path: Path, fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match=next(iter(fields))) as raised:
        read_net(files(tmp_path / "a.net", **fields))
    assert raised.value.code == "NB201"


def test_sigma_delta_layers_have_no_reset(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="have no reset"):
        read_net(files(tmp_path / "a.net"), reset_interval=16)


def resonator(path: Path, **fields: Any) -> Path:
    rng = np.random.default_rng(1)
    weight = {
        "real": rng.integers(-40, 60, (2, 3)).astype("f4"),
        "imag": rng.integers(-40, 60, (2, 3)).astype("f4"),
    }
    neuron = {"type": "RF", "sinDecay": 1200, "cosDecay": 3800, "vThMant": 60, "refDelay": 1}
    return write(
        path,
        {"type": np.array([b"input"], "S10"), "shape": [3]},
        {"type": np.array([b"dense"], "S10"), "shape": [2], "weight": weight, "neuron": neuron, **fields},
    )


def test_resonate_and_fire_layers_of_a_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(2)
    grid = (rng.random((3, STEPS)) < 0.3).astype(int)
    found, _ = run(resonator(tmp_path / "a.net"), values(grid))
    network = read_net(tmp_path / "a.net").network
    real_w, imag_w = np.split(network.connections[0].weight, 2)

    def scaled(c: int, x: np.ndarray) -> np.ndarray:
        return np.sign(c * x) * (np.abs(c * x) >> 12)

    re, im, arrived = np.zeros(2, int), np.zeros(2, int), (np.zeros(2, int), np.zeros(2, int))
    spikes = np.zeros((STEPS, 2), int)
    for t in range(STEPS):
        new_re = scaled(3800, re) - scaled(1200, im) + (arrived[0] << 6)
        new_im = scaled(1200, re) + scaled(3800, im) + (arrived[1] << 6)
        spikes[t] = (new_re >= 60 << 6) & (new_im >= 0) & (im < 0)
        re, im = new_re, new_im
        arrived = real_w @ grid[:, t], imag_w @ grid[:, t]
        np.testing.assert_array_equal(found.traces[0, "u"][t], re)
        np.testing.assert_array_equal(found.traces[0, "v"][t], im)
    grid_found = np.zeros((STEPS, 2), int)
    grid_found[found.step, found.neuron] = 1
    np.testing.assert_array_equal(grid_found, spikes)
    assert spikes.sum() > 0


def test_resonate_and_fire_layers_that_are_not_deployed(tmp_path: Path) -> None:
    for fields in ({"bias": np.ones(2)}, {"weight": np.ones((2, 3), "f4")}, {"delay": 3}):
        with pytest.raises(Unsupported):
            read_net(resonator(tmp_path / "a.net", **fields))


def test_graded_lif_layers_are_noted(tmp_path: Path) -> None:
    neuron = {"type": "CUBA", "iDecay": 742, "vDecay": 200, "vThMant": 300, "gradedSpike": True}
    path = write(
        tmp_path / "a.net",
        {
            "type": np.array([b"dense"], "S10"),
            "shape": [2],
            "weight": np.ones((2, 3), "f4"),
            "neuron": neuron,
        },
    )
    assert [f.code for f in read_net(path).findings] == ["NB205"]
