"""Spikes, loss and every gradient of the grid modes against golden cases, within their tolerances."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.losses import LOSSES
from nirbridge_eventprop.exact.network import Layer
from nirbridge_eventprop.grid import Engine, GridConnection, by_parameter, grid_network
from nirbridge_eventprop.grid.parity import bena, mlgenn

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "eventprop"
OWN = Path(__file__).parent / "data" / "eventprop"
FILES = [*OWN.glob("*.npz"), *SHARED.glob("*.npz")]
LAYER = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "t_ref", "alif_b", "alif_tau")
GRADIENT = {"step": 1e-9, "substep": 1e-6, "mlgenn": 1e-9, "bena": 1e-9}


def of_modes(*modes):
    """Golden files of these grid modes; a name starts with its mode."""
    found = sorted(path for path in FILES if path.stem.split("_")[0] in modes)
    return pytest.mark.parametrize("path", found, ids=[f"eventprop-{path.stem}" for path in found])


def network_of(case):
    layers = [
        Layer(spiking=case["kinds"][at] == "lif", **{name: case[f"{name}_{at}"] for name in LAYER})
        for at in range(1, len(case["sizes"]))
    ]
    latency = case.get("conn_latency", np.zeros(len(case["conn"]), int))
    connections = [
        GridConnection(
            pre=int(pre),
            post=int(post),
            weight=case[f"w_{c}"],
            latency=int(latency[c]),
            delay=case.get(f"delay_steps_{c}", 0),
            moves=f"delay_steps_{c}" in case,
        )
        for c, (pre, post) in enumerate(case["conn"])
    ]
    return grid_network(int(case["sizes"][0]), layers, connections, float(case["dt"]))


def spikes_of(case):
    dt = float(case["dt"])
    times = case["in_steps"] * dt if "in_steps" in case else case["in_times"]
    return Spikes(
        times, case["in_units"], case["in_offsets"], int(case["sizes"][0]), int(case["n_steps"]) * dt
    )


def close(found, expected, tolerance):
    """2-norm, relative; arrays under 1e-9 absolutely."""
    size = np.linalg.norm(expected)
    return np.linalg.norm(found - expected) <= (tolerance * size if size > 1e-9 else 1e-9)


def rate_term(rate, counts, network):
    """r/θ of hidden neurons from a batch's counts (EVENTPROP.md §6)."""
    mean = counts.mean(axis=0)
    strength = np.where(mean > rate["nu"], rate["rho_upper"], rate["rho_lower"])
    term = strength * (mean - rate["nu"]) / network.cells.theta
    term[network.n_hidden :] = 0.0
    return term


def compare_gradients(found, case, tolerance):
    compared = 0
    for name in case:
        if not name.startswith("g_"):
            continue
        what, _, number = name[2:].rpartition("_")
        if what in ("w", "delay"):
            value = (found.weight if what == "w" else found.delay)[int(number)]
        else:
            value = found.layer[int(number) - 1][what]
        assert close(value, case[name], tolerance), f"{name}: {value} instead of {case[name]}"
        compared += 1
    assert compared >= 2


@of_modes("step", "substep")
def test_grid_case(path):
    case = dict(np.load(path))
    assert str(case["time_model"]) == "grid"
    mode = str(case["grid_mode"])
    options = json.loads(str(case["loss_params"]))
    sigma, rate = options.pop("silent_sigma", 0.0), options.pop("rate_reg", None)
    if "target" in case:
        options["target"] = case["target"]
    network = network_of(case)
    loss = LOSSES[str(case["loss"]).replace("_", "-")](**options)
    engine = Engine(network, loss, mode=mode, sigma=sigma, inside=True, shards=2)
    spikes = spikes_of(case)
    result = engine.run(spikes, case["labels"], keep=True)
    if rate:
        result = engine.run(
            spikes, case["labels"], regular=rate_term(rate, result.counts, network), keep=True
        )
    engine.close()
    first = np.concatenate([[0, 0], np.cumsum(case["sizes"][1:])])
    neurons = first[case["spk_layers"]] + case["spk_units"]
    for b, (step, neuron, time) in enumerate(result.spikes):
        mine = slice(case["spk_offsets"][b], case["spk_offsets"][b + 1])
        order = np.lexsort((time, neuron, step))
        wanted = np.lexsort((case["spk_times"][mine], neurons[mine], case["spk_steps"][mine]))
        np.testing.assert_array_equal(step[order], case["spk_steps"][mine][wanted])
        np.testing.assert_array_equal(neuron[order], neurons[mine][wanted])
        np.testing.assert_allclose(time[order], case["spk_times"][mine][wanted], rtol=0, atol=1e-9)
    assert result.clamped == 0
    assert result.loss.mean() == pytest.approx(float(case["loss_value"]), rel=1e-9)
    np.testing.assert_allclose(result.loss, case["loss_per_sample"], rtol=1e-9)
    np.testing.assert_allclose(result.readout, case["readout"], rtol=1e-9, atol=1e-12)
    compare_gradients(by_parameter(network, engine.total(), result.loss.size), case, GRADIENT[mode])


@of_modes("mlgenn", "bena")
def test_parity_case(path):
    """Other programs' order of operations: same spikes, loss, gradients, and what mlGeNN itself computed."""
    case = dict(np.load(path))
    mode = str(case["grid_mode"])
    options = json.loads(str(case["loss_params"]))
    network, spikes = network_of(case), spikes_of(case)
    if mode == "mlgenn":
        result = mlgenn.run(network, spikes, case["labels"], **options.get("rate_reg_mlgenn", {}))
    else:
        result = bena.run(network, spikes, case["labels"], **options)
    first = np.concatenate([[0, 0], np.cumsum(case["sizes"][1:])])
    for b, (step, neuron) in enumerate(result.spikes):
        mine = slice(case["spk_offsets"][b], case["spk_offsets"][b + 1])
        np.testing.assert_array_equal(step, case["spk_steps"][mine])
        np.testing.assert_array_equal(neuron, (first[case["spk_layers"]] + case["spk_units"])[mine])
    assert result.loss == pytest.approx(float(case["loss_value"]), rel=1e-9)
    np.testing.assert_allclose(result.readout, case["readout"], rtol=1e-9, atol=1e-12)
    compare_gradients(result.gradients, case, GRADIENT[mode])
    real = {name[5:]: value for name, value in case.items() if name.startswith("real_g_")}
    assert bool(real) == (mode == "mlgenn")
    if real:
        compare_gradients(result.gradients, real, 2e-5)


def test_there_are_cases():
    assert any(path.stem.split("_")[0] in GRADIENT for path in FILES), "no golden case of the grid was found"
