"""Every golden case of the family loihi2, bit for bit: u, v and spikes of Lava's process models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.spikes import Spikes
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Layer, filled
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.simulate import Outcome, events, simulate
from nirbridge_loihi2.tables import tables
from nirbridge_loihi2.weights import stored

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "loihi2"
OWN = Path(__file__).parent / "data" / "loihi2"
CASES = sorted([*OWN.glob("*.npz"), *SHARED.glob("*.npz")])
MISSING = {
    "conv": "convolution layers",
    "sdnn": "sigma-delta layers",
    "rf": "resonate-and-fire layers",
    "rf_iz": "resonate-and-fire layers",
    "quantise": "the scheme mlgenn-netx",
    "pilotnet": "convolution layers",
}


def input_spikes(grid: np.ndarray) -> Spikes:
    """Golden inputs (n_in, T) of 0/1 or signed values, one step a second."""
    unit, step = np.nonzero(grid)
    return Spikes.from_events(
        step,
        unit,
        np.zeros(len(step)),
        n_samples=1,
        n_units=grid.shape[0],
        duration=grid.shape[1],
        values=grid[unit, step],
    )


def run(network: IntegerNetwork, spikes: Spikes, steps: int) -> Outcome:
    every = range(len(network.layers))
    traces = [(k, state) for k in every for state in ("u", "v")]
    (outcome,) = simulate(tables(network), events(spikes, 1.0), steps, keep=every, traces=traces)
    return outcome


def assert_layer(network: IntegerNetwork, outcome: Outcome, k: int, s: Any, u: Any, v: Any) -> None:
    """Spikes s (n…, T), states u and v (T, n…) of layer k, exactly."""
    n = network.layers[k].size
    first = sum(layer.size for layer in network.layers[:k])
    mine = (outcome.neuron >= first) & (outcome.neuron < first + n)
    grid = np.zeros((n, len(u)), np.int64)
    grid[outcome.neuron[mine] - first, outcome.step[mine]] = 1
    np.testing.assert_array_equal(outcome.traces[k, "u"], u.reshape(len(u), n))
    np.testing.assert_array_equal(outcome.traces[k, "v"], v.reshape(len(v), n))
    np.testing.assert_array_equal(grid, s.reshape(n, len(u)))
    assert outcome.counts[k, 0] == grid.sum()


def check_layer_case(case: dict[str, Any]) -> None:
    n = case["W"].shape[0]
    mode = None if str(case["sign"]) == "auto" else str(case["sign"])
    bits, exponent = int(case["num_weight_bits"]), int(case["weight_exp"])
    mantissa, shift = case["bias_mant"].astype(np.int64), case["bias_exp"].astype(np.int64)
    interval, offset = case.get("reset", (0, 0))
    layer = Layer(
        name="lif",
        shape=(n,),
        decay_u=filled(int(case["du"]) + 1, n),
        decay_v=filled(int(case["dv"]), n),
        threshold=filled(int(case["vth"]), n),
        bias=np.where(shift >= 0, mantissa << np.maximum(shift, 0), mantissa >> np.maximum(-shift, 0)),
        reset_interval=int(interval),
        reset_offset=int(offset),
    )
    connections = [
        Connection(
            name="W",
            source=INPUT,
            target=0,
            weight=stored(case["W"], mode=mode, bits=bits),
            exponent=exponent,
            delay=case.get("delays"),
            graded=int(case["msg"]) > 0,
        )
    ]
    if "Wrec" in case:
        recurrent = stored(case["Wrec"], mode=mode, bits=bits)
        connections.append(
            Connection(
                name="Wrec",
                source=0,
                target=0,
                weight=recurrent,
                exponent=exponent,
                delay=case.get("delays_rec"),
            )
        )
    network = IntegerNetwork(n_inputs=case["W"].shape[1], layers=(layer,), connections=tuple(connections))
    outcome = run(network, input_spikes(case["inp"]), case["inp"].shape[1])
    assert_layer(network, outcome, 0, case["s"], case["u"], case["v"])


def check_netx_case(case: dict[str, Any], folder: Path) -> None:
    options: dict[str, Any] = {}
    if "reset_interval" in case:
        options = {
            "reset_interval": int(case["reset_interval"]),
            "reset_offset": int(case["reset_offset"]),
        }
    if "input_bias" in case:
        options["input_bias"] = case["input_bias"]
    try:
        network = read_net(folder / str(case["net"]), **options).network
    except Unsupported as error:
        pytest.skip(f"not implemented yet: {error.message}")
    steps = int(case["T"]) if "T" in case else case["inp"].shape[1]
    grid = case.get("inp", np.zeros((network.n_inputs, steps), np.int64))
    outcome = run(network, input_spikes(grid), steps)
    assert f"s{len(network.layers)}" not in case
    for k in range(len(network.layers)):
        assert_layer(network, outcome, k, case[f"s{k}"], case[f"u{k}"], case[f"v{k}"])


@pytest.mark.parametrize("path", CASES, ids=[f"loihi2-{path.stem}" for path in CASES])
def test_case(path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        case: dict[str, Any] = {key: file[key] for key in file.files}
    kind = str(case.get("kind", "pilotnet" if path.stem == "pilotnet" else ""))
    if kind:
        pytest.skip(f"not implemented yet: {MISSING.get(kind, f'cases of kind {kind}')}")
    if "net" in case:
        check_netx_case(case, path.parent)
    else:
        check_layer_case(case)


def test_there_are_cases() -> None:
    assert CASES, "no golden case was found, not even our own in tests/golden/data/loihi2"
