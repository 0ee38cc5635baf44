"""Every golden case of the family loihi2, bit for bit: states and spikes of Lava's process models."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge.passes.mlgenn_netx import decay, mlgenn_netx
from nirbridge.spikes import Spikes
from nirbridge_loihi2.convolution import Window
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Kind, Layer, filled
from nirbridge_loihi2.mapping import demands, partition, place
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.simulate import Outcome, events, simulate
from nirbridge_loihi2.tables import tables
from nirbridge_loihi2.weights import stored

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "loihi2"
OWN = Path(__file__).parent / "data" / "loihi2"
CASES = sorted([*OWN.glob("*.npz"), *SHARED.glob("*.npz")])


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
    interval, offset = case.get("reset", (0, 0))
    layer = Layer(
        name="lif",
        shape=(n,),
        decay_u=filled(int(case["du"]) + 1, n),
        decay_v=filled(int(case["dv"]), n),
        threshold=filled(int(case["vth"]), n),
        bias=biases(case),
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
    network = read_net(folder / str(case["net"]), **options).network
    steps = int(case["T"]) if "T" in case else case["inp"].shape[1]
    grid = case.get("inp", np.zeros((network.n_inputs, steps), np.int64))
    outcome = run(network, input_spikes(grid), steps)
    assert f"s{len(network.layers)}" not in case
    for k in range(len(network.layers)):
        assert_layer(network, outcome, k, case[f"s{k}"], case[f"u{k}"], case[f"v{k}"])


def biases(case: dict[str, Any]) -> np.ndarray:
    mantissa, shift = case["bias_mant"].astype(np.int64), case["bias_exp"].astype(np.int64)
    return np.where(shift >= 0, mantissa << np.maximum(shift, 0), mantissa >> np.maximum(-shift, 0))


def check_conv_case(case: dict[str, Any]) -> None:
    *source, steps = case["inp"].shape
    stride, padding, dilation = (
        (int(a), int(b)) for a, b in (case[k] for k in ("stride", "padding", "dilation"))
    )
    weight = case["W"].astype(np.int64)
    window = Window.over(
        tuple(source), weight, stride=stride, padding=padding, dilation=dilation, groups=int(case["groups"])
    )
    assert window.target == case["s"].shape[:3]
    n = int(np.prod(window.target))
    interval, offset = case.get("reset", (0, 0))
    layer = Layer(
        name="lif",
        shape=window.target,
        decay_u=filled(int(case["du"]) + 1, n),
        decay_v=filled(int(case["dv"]), n),
        threshold=filled(int(case["vth"]), n),
        bias=np.repeat(biases(case), n // window.target[0]),
        reset_interval=int(interval),
        reset_offset=int(offset),
    )
    connection = Connection(
        name="W", source=INPUT, target=0, weight=weight, graded=int(case["msg"]) > 0, window=window
    )
    network = IntegerNetwork(n_inputs=int(np.prod(source)), layers=(layer,), connections=(connection,))
    outcome = run(network, input_spikes(case["inp"].reshape(-1, steps)), steps)
    assert_layer(network, outcome, 0, case["s"], case["u"], case["v"])


def sent(outcome: Outcome, first: int, shape: tuple[int, int]) -> np.ndarray:
    """The values that the neurons from ``first`` on sent, (n, T)."""
    grid = np.zeros(shape, np.int64)
    mine = (outcome.neuron >= first) & (outcome.neuron < first + shape[0])
    grid[outcome.neuron[mine] - first, outcome.step[mine]] = outcome.value[mine]
    return grid


def check_sigma_delta_case(case: dict[str, Any]) -> None:
    n, n_in = case["W"].shape
    steps = case["inp"].shape[1]
    spike_exp, state_exp = int(case["spike_exp"]), int(case["state_exp"])

    def layer(kind: Kind, size: int, threshold: int, bias: np.ndarray) -> Layer:
        return Layer(
            name=kind,
            shape=(size,),
            decay_u=filled(0, size),
            decay_v=filled(0, size),
            threshold=filled(threshold, size),
            bias=bias << (spike_exp + state_exp),
            spiking=kind != "sigma",
            kind=kind,
            spike_exp=spike_exp,
            state_exp=state_exp,
        )

    network = IntegerNetwork(
        n_inputs=n_in,
        layers=(
            layer("delta", n_in, int(case["vth_delta"]), filled(0, n_in)),
            layer("sigma-delta", n, int(case["vth"]), case["bias"]),
            layer("sigma", n, 0, filled(0, n)),
        ),
        connections=(
            Connection(name="W", source=0, target=1, weight=stored(case["W"]), graded=True),
            Connection(
                name="sigma",
                source=1,
                target=2,
                weight=stored(int(case["W_sigma"]) * np.eye(n, dtype=np.int64)),
                graded=True,
            ),
        ),
    )
    outcome = run(network, input_spikes(case["inp"]), steps)
    np.testing.assert_array_equal(sent(outcome, 0, (n_in, steps)), case["s_delta"])
    np.testing.assert_array_equal(sent(outcome, n_in, (n, steps)), case["s"])
    np.testing.assert_array_equal(outcome.traces[1, "u"], case["sigma"])
    np.testing.assert_array_equal(outcome.traces[1, "v"], case["act"])
    np.testing.assert_array_equal(outcome.traces[2, "u"].T, case["out"])


def check_resonate_case(case: dict[str, Any]) -> None:
    assert int(case["state_exp"]) == 6
    assert int(case["decay_bits"]) == 12
    n, n_in = case["W_real"].shape
    layer = Layer(
        name="rf",
        shape=(n,),
        decay_u=filled(int(case["sin_decay"]), n),
        decay_v=filled(int(case["cos_decay"]), n),
        threshold=filled(int(case["vth"]), n),
        bias=filled(0, n),
        kind="rf" if str(case["kind"]) == "rf" else "rf-iz",
    )
    weight = np.concatenate([stored(case["W_real"]), stored(case["W_imag"])])
    network = IntegerNetwork(
        n_inputs=n_in,
        layers=(layer,),
        connections=(Connection(name="W", source=INPUT, target=0, weight=weight),),
    )
    outcome = run(network, input_spikes(case["inp"]), case["inp"].shape[1])
    assert_layer(network, outcome, 0, case["s"], case["real"], case["imag"])


def check_quantiser_case(case: dict[str, Any]) -> None:
    found = mlgenn_netx(
        (case["ff"].T, case["rec"].T),
        bits=int(case["bits"]),
        percentile=float(case["percentile"]),
        gain=float(case["gain"]),
    )
    assert found.scale == float(case["scale"])
    np.testing.assert_array_equal(found.q[0], case["q_ff"])
    np.testing.assert_array_equal(found.q[1], case["q_rec"])
    assert found.threshold(float(case["v_thresh"])) == int(case["vThMant"])
    assert decay(float(case["tau_syn"]), float(case["dt"])) == int(case["iDecay"])
    assert decay(float(case["tau_mem"]), float(case["dt"])) == int(case["vDecay"])


def check_pilotnet(case: dict[str, Any], folder: Path) -> None:
    """Spikes and synaptic operations by layer, and by core under our placement, dummy columns included."""
    network = read_net(folder / "pilotnet.net", reset_interval=16, reset_offset=3).network
    parts = [partition(demand) for demand in demands(network)]
    silent = Spikes.from_events([], [], [], n_samples=1, n_units=1, duration=1.0)
    steps, n_layers = case["spikes"].shape
    tab = tables(network, [part.per_core for part in parts])
    (outcome,) = simulate(tab, events(silent, 1.0), steps, activity=True)
    np.testing.assert_array_equal(outcome.activity[:, :n_layers], case["spikes"])
    np.testing.assert_array_equal(outcome.activity[:, n_layers : 2 * n_layers], case["synops"])
    of_layer = [outcome.activity[:, 3 * n_layers :][:, a:b] for a, b in core_ranges(tab)]
    np.testing.assert_array_equal(np.concatenate(of_layer[::-1], axis=1), case["core_synops"])
    memory = [core.memory for core in place(parts).cores]
    np.testing.assert_allclose(memory, case["chip_core_memory"], atol=0.002)


def core_ranges(tab: Any) -> list[tuple[int, int]]:
    return [(int(a), int(a + n)) for a, n in zip(tab.core_at, tab.core_n, strict=True)]


CHECKS = {
    "conv": check_conv_case,
    "sdnn": check_sigma_delta_case,
    "rf": check_resonate_case,
    "rf_iz": check_resonate_case,
    "quantise": check_quantiser_case,
}


@pytest.mark.parametrize("path", CASES, ids=[f"loihi2-{path.stem}" for path in CASES])
def test_case(path: Path) -> None:
    with np.load(path, allow_pickle=False) as file:
        case: dict[str, Any] = {key: file[key] for key in file.files}
    if path.stem == "pilotnet":
        check_pilotnet(case, path.parent)
    elif "kind" in case:
        CHECKS[str(case["kind"])](case)
    elif "net" in case:
        check_netx_case(case, path.parent)
    else:
        check_layer_case(case)


def test_there_are_cases() -> None:
    assert CASES, "no golden case was found, not even our own in tests/golden/data/loihi2"
