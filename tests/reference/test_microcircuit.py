"""The cortical microcircuit of examples/: its numbers, a synaptic potential, a short run at 1 %."""

from __future__ import annotations

import importlib.util
import json
from pathlib import Path

import numpy as np
import pytest

from nirbridge.network import build
from nirbridge_reference import Reference

PATH = Path(__file__).resolve().parents[2] / "examples" / "microcircuit.py"


@pytest.fixture(scope="module")
def model():
    spec = importlib.util.spec_from_file_location("microcircuit", PATH)
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_full_scale_has_the_published_numbers(model):
    assert model.NEURONS.sum() == 77_169
    assert model.synapses().sum() == pytest.approx(0.3e9, rel=0.02)


def test_a_synapse_moves_the_membrane_by_0_15_mv(model):
    i, v, peak = model.WEIGHT, 0.0, 0.0
    network = build(model.microcircuit(0.01, np.random.default_rng(0)))
    p = network.populations[network.index("L4E")]
    for _ in range(100):
        v = p.a_m[0] * v + p.b_m[0] * i
        i = p.a_s[0] * i
        peak = max(peak, v)
    assert p.b_s[0] == pytest.approx(1.0)
    assert peak == pytest.approx(0.15, abs=0.002)


def test_scaling_keeps_the_mean_input(model):
    full = model.constant_current(1.0, "dc")
    assert full == pytest.approx(model.TAU_SYN * model.WEIGHT * model.BACKGROUND * model.BACKGROUND_HZ)
    indegree = model.synapses() / model.NEURONS[:, None]
    mean = model.TAU_SYN * (model.weights() * indegree) @ model.PUBLISHED_HZ
    s = 0.1
    scaled = model.TAU_SYN * (model.weights() / np.sqrt(s) * indegree * s) @ model.PUBLISHED_HZ
    assert scaled + model.constant_current(s, "dc") == pytest.approx(mean + full)


def test_a_short_run_at_one_percent(model):
    rng = np.random.default_rng(3)
    graph = model.microcircuit(0.01, rng)
    program = Reference(threads=1).compile(graph)
    assert sum(p.size for p in program.lowered.network.populations if p.spiking) == 771
    recording = program.run(model.poisson(0.01, 0.1, rng), record=["L5I", "L4E"])
    for at, name in enumerate(model.NAMES):
        rate = recording.counts[name]["spikes"].sum() / (0.1 * round(model.NEURONS[at] * 0.01))
        assert rate < 60
    assert recording.spikes["L5I"].times.size > 0
    assert recording.counts["L23E"]["updates"].sum() == 1000 * 207


def test_a_constant_background_starts_from_spread_membranes(model):
    rng = np.random.default_rng(0)
    events = model.kick(0.2, 0.5, rng)
    assert set(events.times) == {0.0} and events.n_units == 15435
    heights = events.values * model.POTENTIAL / np.sqrt(0.2)
    assert heights.min() > 0 and heights.max() <= model.THRESHOLD + 0.2
    program = Reference(threads=1).compile(model.microcircuit(0.02, rng, "dc"))
    recording = program.run(model.kick(0.02, 0.01, rng), record=["L4E:v"])
    early = recording.traces["L4E:v"][0, 20]
    assert 2 < early.std() < 8  # mV


def test_a_run_that_does_not_fit_is_refused_before_it_starts(model, monkeypatch, capsys):
    gib = 2**30
    assert 4 < model.memory(1.0, 1.0, "dc") / gib < 6
    assert model.memory(1.0, 1.0, "poisson") > 50 * gib
    monkeypatch.setattr(model, "free", lambda: 20.0 * gib)
    monkeypatch.setattr("sys.argv", ["microcircuit.py", "--scale", "1"])
    with pytest.raises(SystemExit) as caught:
        model.main()
    said = capsys.readouterr().err
    assert caught.value.code == 2
    assert "takes about" in said and "20.0 GiB are free" in said and "--background dc (5." in said
    for wrong in (["--scale", "0"], ["--scale", "1.5"], ["--seconds", "0.1"]):
        monkeypatch.setattr("sys.argv", ["microcircuit.py", *wrong])
        with pytest.raises(SystemExit) as caught:
            model.main()
        assert caught.value.code == 2


def test_a_small_run_prints_and_keeps_its_rates(model, monkeypatch, capsys, tmp_path):
    out = tmp_path / "row.json"
    arguments = ["microcircuit.py", "--scale", "0.01", "--seconds", "0.5", "--json", str(out)]
    monkeypatch.setattr("sys.argv", arguments)
    model.main()
    row = json.loads(out.read_text())
    assert set(row["rates_hz"]) == set(model.NAMES) and row["neurons"] == 771
    assert row["rates_hz"]["L6I"] > 0.5 and "published" in capsys.readouterr().out
