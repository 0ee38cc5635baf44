"""Spikes, loss and every gradient of the exact time model against golden cases, within their tolerances."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact import Connection, Engine, Layer, RateTerm, by_parameter, event_network
from nirbridge_eventprop.exact.losses import LOSSES

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "eventprop"
OWN = Path(__file__).parent / "data" / "eventprop"
CASES = sorted([*OWN.glob("exact_*.npz"), *SHARED.glob("exact_*.npz")])
LAYER = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "t_ref", "alif_b", "alif_tau")


def network_of(case):
    layers = [
        Layer(spiking=case["kinds"][at] == "lif", **{name: case[f"{name}_{at}"] for name in LAYER})
        for at in range(1, len(case["sizes"]))
    ]
    connections = [
        Connection(pre=int(pre), post=int(post), weight=case[f"w_{c}"], delay=case.get(f"delay_{c}"))
        for c, (pre, post) in enumerate(case["conn"])
    ]
    return event_network(int(case["sizes"][0]), layers, connections)


def engine_of(case):
    options = json.loads(str(case["loss_params"]))
    sigma, rate = options.pop("silent_sigma", 0.0), options.pop("rate_reg", None)
    if "target" in case:
        options["target"] = case["target"]
    loss = LOSSES[str(case["loss"]).replace("_", "-")](**options)
    network = network_of(case)
    return network, Engine(network, loss, sigma=sigma, rate=RateTerm(**rate) if rate else None, shards=2)


def spikes_of(case):
    return Spikes(
        case["in_times"], case["in_units"], case["in_offsets"], int(case["sizes"][0]), float(case["T"])
    )


def close(found, expected):
    """2-norm to 1e-6 relative, arrays under 1e-9 absolutely."""
    size = np.linalg.norm(expected)
    return np.linalg.norm(found - expected) <= (1e-6 * size if size > 1e-9 else 1e-9)


def neuron_numbers(case):
    first = np.concatenate([[0, 0], np.cumsum(case["sizes"][1:])])
    return first[case["spk_layers"]] + case["spk_units"]


@pytest.mark.parametrize("path", CASES, ids=[f"eventprop-{path.stem}" for path in CASES])
def test_exact_case(path):
    case = dict(np.load(path))
    network, engine = engine_of(case)
    result = engine.run(spikes_of(case), case["labels"])
    engine.close()
    numbers = neuron_numbers(case)
    for b, tape in enumerate(result.tapes):
        mine = slice(case["spk_offsets"][b], case["spk_offsets"][b + 1])
        order, wanted = (
            np.lexsort((tape.spikes["unit"], tape.spikes["time"])),
            np.lexsort((numbers[mine], case["spk_times"][mine])),
        )
        if "ties" in path.stem:  # equal times may be listed in any order
            order = np.lexsort((tape.spikes["unit"], tape.spikes["time"].round(9)))
            wanted = np.lexsort((numbers[mine], case["spk_times"][mine].round(9)))
        np.testing.assert_array_equal(tape.spikes["unit"][order], numbers[mine][wanted])
        np.testing.assert_allclose(
            tape.spikes["time"][order], case["spk_times"][mine][wanted], rtol=0, atol=1e-9
        )
    assert result.clamped == 0
    assert result.loss.mean() == pytest.approx(float(case["loss_value"]), rel=1e-9)
    np.testing.assert_allclose(result.loss, case["loss_per_sample"], rtol=1e-9)
    np.testing.assert_allclose(result.readout, case["readout"], rtol=1e-9, atol=1e-12)
    found = by_parameter(network, engine.sums, result.loss.size)
    compared = 0
    for name in case:
        if not name.startswith("g_"):
            continue
        what, _, number = name[2:].rpartition("_")
        if what in ("w", "delay"):
            value = (found.weight if what == "w" else found.delay)[int(number)]
        else:
            value = found.layer[int(number) - 1][what]
        assert close(value, case[name]), f"{name}: {value} instead of {case[name]}"
        compared += 1
    assert compared >= 2


def test_there_are_cases():
    if not SHARED.is_dir():
        pytest.skip(f"no golden cases in {SHARED}: exact time is held by finite differences only")
    assert CASES, f"no exact case in {SHARED}"
