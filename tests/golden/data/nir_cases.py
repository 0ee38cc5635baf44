"""Family nir: the worked example of the semantics, one neuron by hand, and a graph of every plain neuron."""

from __future__ import annotations

import json
from math import exp
from pathlib import Path
from typing import Any

import numpy as np
from nir_graph import Edges, Nodes, digest, write_graph

DT = 1e-3
WORKED_INPUT = [0, 1, 0, 4, 0, -2, -1, 1, 0, 1]
# V after each step to four decimals, and the steps with a spike, as the semantics' text prints them.
TABLE: dict[str, tuple[list[float], list[int]]] = {
    "canonical": ([0.0800, 0.7200, 0, 0, 0, -0.1961, -0.7631, -0.6064, -0.4013, 0.3386], [2, 3, 4]),
    "subtract": (
        [0.0800, 0.7200, 0.2792, 1.4214, 1.7553, 0.4714, -0.5290, -0.7040, -0.7500, -0.1974],
        [2, 3, 4, 5],
    ),
    "exact": ([0.0707, 0.6379, 0, 0, 0, -0.1078, -0.5621, -0.3981, -0.1962, 0.4755], [2, 3, 4]),
    "genn": ([0.0707, 0.1959, 0.8044, 0, 0, 0, -0.0865, -0.5244, -0.3480, -0.1368], [3, 4, 5]),
    "spinnaker2": ([0.4000, 0.7800, 0, 0.4024, 0, 0, -0.0345, -0.4804, -0.2345, 0.0347], [2, 4, 5]),
}


def worked_graph() -> tuple[Nodes, Edges]:
    """Input → Affine → CubaLIF ⇄ Affine, times in milliseconds."""
    nodes = {
        "input": {"type": "Input", "shape": np.array([1])},
        "w": {"type": "Affine", "weight": np.array([[0.5]]), "bias": np.array([0.03])},
        "loop": {"type": "Affine", "weight": np.array([[-0.4]]), "bias": np.array([0.05])},
        "lif": {
            "type": "CubaLIF",
            "tau_syn": np.array([5.0]),
            "tau_mem": np.array([20.0]),
            "r": np.array([20.0]),
            "w_in": np.array([5.0]),
            "v_leak": np.array([0.0]),
            "v_threshold": np.array([1.0]),
            "v_reset": np.array([0.0]),
        },
        "output": {"type": "Output", "shape": np.array([1])},
    }
    edges = [("input", "w"), ("w", "lif"), ("lif", "loop"), ("loop", "lif"), ("lif", "output")]
    return nodes, edges


def worked(row: str, inputs: list[int]) -> tuple[list[float], list[int], float]:
    """V after each step, spikes, and how close V came to the threshold."""
    w, b, w_loop, b_loop = 0.5, 0.03, -0.4, 0.05
    w_in, r, threshold = 5.0, 20.0, 1.0
    euler = row in ("canonical", "subtract", "spinnaker2")
    decay_m = 1 - 1 / 20 if euler else exp(-1 / 20)
    decay_s = 1 - 1 / 5 if euler else exp(-1 / 5)
    into_current, into_voltage = (1 - decay_s) * w_in, (1 - decay_m) * r
    if row == "exact_order":  # a spike is a Dirac pulse, and I decays while it charges the membrane
        into_current, into_voltage = w_in / 5, r * 5 / (20 - 5) * (decay_m - decay_s)
    late = 1 if row in ("genn", "spinnaker2") else 0
    past_synapse = 0.0
    if row == "spinnaker2":  # eight-bit weights of one scale, biases straight into the membrane's drive
        scale = 127 / 0.5
        w, w_loop = int(0.5 * scale) / scale, -int(0.4 * scale) / scale
        past_synapse, b, b_loop = w_in * (b + b_loop), 0.0, 0.0
    voltage, current, before = 0.0, 0.0, 0
    trace, spikes, margin = [], [], np.inf
    for t in range(len(inputs)):
        x = inputs[t - late] if t >= late else 0
        total = w * x + b + w_loop * before + b_loop
        current = decay_s * current + into_current * total
        voltage = decay_m * voltage + into_voltage * (current + past_synapse)
        margin = min(margin, abs(voltage / threshold - 1))
        before = int(voltage >= threshold) if row == "genn" else int(voltage > threshold)
        if before:
            voltage = voltage - threshold if row == "subtract" else 0.0
        trace.append(voltage)
        spikes.append(before)
    return trace, spikes, margin


def worked_case(row: str) -> dict[str, Any]:
    if row in TABLE:
        trace, spikes, _ = worked(row, WORKED_INPUT)
        printed, steps = TABLE[row]
        assert np.abs(np.array(trace) - printed).max() <= 0.5001e-4, row
        assert np.flatnonzero(spikes).tolist() == steps, row
    # a chip takes no negative spikes
    inputs = [abs(x) for x in WORKED_INPUT] if row == "spinnaker2" else WORKED_INPUT
    trace, spikes, margin = worked(row, inputs)
    options: dict[str, Any] = {"time_unit": 1e-3}
    options |= {
        "subtract": {"reset": "subtract"},
        "exact": {"decay": "exact"},
        "exact_order": {"decay": "exact", "order": "exact", "gain": "dirac"},
        "spinnaker2": {"decay": "euler", "reset": "value"},
    }.get(row, {})
    return case(
        graph="worked.nir",
        profile=row if row in ("genn", "spinnaker2") else "canonical",
        options=options,
        x=np.array(inputs, np.float32)[:, None],
        kind="spikes" if row == "spinnaker2" else "values",
        node="lif",
        spikes=np.array(spikes)[:, None],
        trace=np.array(trace)[:, None],
        margin=margin,
    )


def mixed_graph(rng: np.random.Generator) -> tuple[Nodes, Edges]:
    """5 inputs → 8 LIF ⇄ → 6 IF → Delay → 3 LI; the inputs also reach 3 I; LI and I meet at the output."""

    def spread(mean: float, n: int) -> np.ndarray:
        return mean * rng.uniform(0.7, 1.3, n)

    nodes = {
        "input": {"type": "Input", "shape": np.array([5])},
        "w_lif": {"type": "Linear", "weight": rng.normal(2.0, 2.0, (8, 5))},
        "loop": {"type": "Linear", "weight": rng.normal(0.0, 2.5, (8, 8))},
        "lif": {
            "type": "LIF",
            "tau": spread(0.012, 8),
            "r": spread(3.0, 8),
            "v_leak": rng.normal(0.1, 0.1, 8),
            "v_threshold": spread(1.0, 8),
            "v_reset": rng.normal(-0.1, 0.1, 8),
        },
        "w_if": {"type": "Affine", "weight": rng.normal(0.2, 0.3, (6, 8)), "bias": rng.normal(0, 0.02, 6)},
        "if": {
            "type": "IF",
            "r": spread(1.0, 6),
            "v_threshold": spread(1.0, 6),
            "v_reset": rng.normal(0.0, 0.05, 6),
        },
        "delay": {"type": "Delay", "delay": DT * (rng.integers(0, 6, 6) + 0.3)},
        "w_li": {"type": "Linear", "weight": rng.normal(0.0, 1.0, (3, 6))},
        "li": {"type": "LI", "tau": spread(0.02, 3), "r": spread(1.0, 3), "v_leak": rng.normal(0, 0.1, 3)},
        "w_i": {"type": "Linear", "weight": rng.normal(0.0, 0.1, (3, 5))},
        "i": {"type": "I", "r": spread(1.0, 3)},
        "output": {"type": "Output", "shape": np.array([3])},
    }
    edges = [
        ("input", "w_lif"),
        ("w_lif", "lif"),
        ("lif", "loop"),
        ("loop", "lif"),
        ("lif", "w_if"),
        ("w_if", "if"),
        ("if", "delay"),
        ("delay", "w_li"),
        ("w_li", "li"),
        ("li", "output"),
        ("input", "w_i"),
        ("w_i", "i"),
        ("i", "output"),
    ]
    return nodes, edges


def mixed(nodes: Nodes, x: np.ndarray) -> tuple[dict[str, np.ndarray], dict[str, np.ndarray], float]:
    """Spikes and traces by node, (steps, neurons), under Euler decay, and the margin."""
    lif, fire, leaky = nodes["lif"], nodes["if"], nodes["li"]
    lags = [int(d / DT + 0.5) for d in nodes["delay"]["delay"]]
    v_lif, v_if, v_li, v_i = np.zeros(8), np.zeros(6), np.zeros(3), np.zeros(3)
    steps, margin = len(x), np.inf
    spikes = {"lif": np.zeros((steps, 8), int), "if": np.zeros((steps, 6), int)}
    traces = {"lif": np.zeros((steps, 8)), "if": np.zeros((steps, 6)), "output": np.zeros((steps, 3))}
    for t in range(steps):
        before = spikes["lif"][t - 1] if t else np.zeros(8)
        drive = nodes["w_lif"]["weight"] @ x[t] + nodes["loop"]["weight"] @ before
        for j in range(8):
            gain = DT / lif["tau"][j]
            v_lif[j] = (1 - gain) * v_lif[j] + gain * (lif["v_leak"][j] + lif["r"][j] * drive[j])
            margin = min(margin, abs(v_lif[j] / lif["v_threshold"][j] - 1))
            if v_lif[j] > lif["v_threshold"][j]:
                spikes["lif"][t, j], v_lif[j] = 1, lif["v_reset"][j]
        drive = nodes["w_if"]["weight"] @ spikes["lif"][t] + nodes["w_if"]["bias"]
        for j in range(6):
            v_if[j] += fire["r"][j] * drive[j]
            margin = min(margin, abs(v_if[j] / fire["v_threshold"][j] - 1))
            if v_if[j] > fire["v_threshold"][j]:
                spikes["if"][t, j], v_if[j] = 1, fire["v_reset"][j]
        late = np.array([spikes["if"][t - lag, j] if t >= lag else 0 for j, lag in enumerate(lags)])
        drive, straight = nodes["w_li"]["weight"] @ late, nodes["w_i"]["weight"] @ x[t]
        for j in range(3):
            gain = DT / leaky["tau"][j]
            v_li[j] = (1 - gain) * v_li[j] + gain * (leaky["v_leak"][j] + leaky["r"][j] * drive[j])
            v_i[j] += nodes["i"]["r"][j] * straight[j]
        traces["lif"][t], traces["if"][t], traces["output"][t] = v_lif, v_if, v_li + v_i
    return spikes, traces, float(margin)


def case(
    *,
    graph: str,
    profile: str = "canonical",
    options: dict[str, Any],
    x: np.ndarray,
    kind: str,
    node: str,
    spikes: np.ndarray | None,
    trace: np.ndarray,
    margin: float,
) -> dict[str, Any]:
    return {
        "graph": graph,
        "profile": profile,
        "options": json.dumps(options),
        "dt": DT,
        "input": x.astype(np.float32),
        "input_kind": kind,
        "node": node,
        "expected_spikes": np.zeros((0, 0), np.int32) if spikes is None else spikes.astype(np.int32),
        "expected_trace": trace,
        "trace_kind": "v" if spikes is not None else "output",
        "trace_scale": 1.0,
        "start": 0,
        "tolerance_spikes": 0,
        "tolerance_trace": 2e-6 if spikes is None else 1e-9,  # outputs are kept in float32
        "margin": margin,
        "evidence": "reference",
        "source": "generated; explicit float64 loop",
    }


def nir_cases(folder: Path) -> dict[str, dict[str, Any]]:
    """The cases; writes the graphs and their digests into ``folder``."""
    folder.mkdir(parents=True, exist_ok=True)
    rng = np.random.default_rng(18)
    graphs = {"worked.nir": worked_graph(), "mixed.nir": mixed_graph(rng)}
    for name, (nodes, edges) in graphs.items():
        write_graph(folder / name, nodes, edges)
    digests = {name: digest(*graph) for name, graph in sorted(graphs.items())}
    (folder / "digests.json").write_text(json.dumps(digests, indent=1) + "\n", encoding="utf-8")
    cases = {f"worked_{row}": worked_case(row) for row in (*TABLE, "exact_order")}
    x = (rng.random((80, 5)) < 0.25).astype(float)
    spikes, traces, margin = mixed(graphs["mixed.nir"][0], x)
    assert margin > 1e-4, margin
    assert min(found.sum() for found in spikes.values()) > 20
    for node in ("lif", "if", "output"):
        cases[f"mixed_{node}"] = case(
            graph="mixed.nir",
            options={"decay": "euler"},
            x=x,
            kind="spikes",
            node=node,
            spikes=spikes.get(node),
            trace=traces[node],
            margin=margin,
        )
    return cases
