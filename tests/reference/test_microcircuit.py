"""The cortical microcircuit of examples/: its numbers, a synaptic potential, a short run at 1 %."""

from __future__ import annotations

import importlib.util
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
