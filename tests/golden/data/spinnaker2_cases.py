"""Family spinnaker2: eight-bit weights and the chip's tick, population by population."""

from __future__ import annotations

import json
from math import exp
from typing import Any

import numpy as np

TICKS, BATCH, DT = 50, 2, 1e-3


def fraction(tau: float, integrator: str) -> float:
    """Share of a state that one tick takes away."""
    return DT / tau if integrator == "euler" else 1 - exp(-DT / tau)


def integers(case: dict[str, Any], incoming: list[str]) -> tuple[dict[str, np.ndarray], float]:
    """Integer weights of the projections into one population, and their common scale."""
    if f"{incoming[0]}.q_in" in case:
        return {name: case[f"{name}.q_in"] for name in incoming}, 1 / float(case[f"{incoming[0]}.q_scale"])
    largest = max(float(np.abs(case[f"{name}.weight"]).max()) for name in incoming)
    scale = 127.0 / largest
    return {
        name: np.trunc(case[f"{name}.weight"].astype(np.float64) * scale).astype(np.int8) for name in incoming
    }, scale


def prepare(case: dict[str, Any], spec: dict[str, Any]) -> None:
    """Adds q and the derived parameters of every population to the case."""
    integrator = spec["integrator"]
    for population in spec["populations"]:
        name, n = population["name"], population["shape"][0]
        incoming = [p["name"] for p in spec["projections"] if p["post"] == name]
        q, scale = integers(case, incoming)
        for projection, found in q.items():
            case[f"{projection}.q"] = found
        cuba = population["type"] == "CubaLIF"
        bias = sum((case.get(f"{p}.bias", np.zeros(n)).astype(np.float64) for p in incoming), np.zeros(n))
        values = {key: np.zeros(n) for key in ("v_scale", "theta", "i_offset", "alpha", "syn_decay")}
        for j in range(n):
            tau = float(case[f"{name}.tau_mem" if cuba else f"{name}.tau"][j])
            f = fraction(tau, integrator)
            gain = f * float(case[f"{name}.r"][j])
            into_current = 1.0
            if cuba:
                f_syn = fraction(float(case[f"{name}.tau_syn"][j]), integrator)
                gain *= f_syn * float(case[f"{name}.w_in"][j])
                into_current = f_syn
                values["syn_decay"][j] = 1 - f_syn
            values["v_scale"][j] = scale / gain
            values["theta"][j] = float(case[f"{name}.v_threshold"][j]) * scale / gain
            values["alpha"][j] = 1 - f
            leak = f * float(case[f"{name}.v_leak"][j]) * scale / gain
            values["i_offset"][j] = leak + bias[j] * scale / into_current
        if not cuba:
            del values["syn_decay"]
        case[f"{name}.w_scale"] = scale
        case |= {f"{name}.{key}": value for key, value in values.items()}


def run(case: dict[str, Any], spec: dict[str, Any]) -> dict[str, Any]:
    """The case with spikes, V after the reset and I, each (ticks, batch, neurons), and the margin."""
    prepare(case, spec)
    spikes = {"input": case["in_spikes"]}
    for population in spec["populations"]:
        name, shape = population["name"], (TICKS, BATCH, population["shape"][0])
        spikes[name] = case[f"{name}.spikes"] = np.zeros(shape, np.uint8)
        case[f"{name}.V"] = np.zeros(shape)
        if population["type"] == "CubaLIF":
            case[f"{name}.I"] = np.zeros(shape)
    margin = np.inf
    for b in range(BATCH):
        v = {p["name"]: np.zeros(p["shape"][0]) for p in spec["populations"]}
        i = {p["name"]: np.zeros(p["shape"][0]) for p in spec["populations"]}
        for t in range(TICKS):
            for population in spec["populations"]:
                name = population["name"]
                arrived = np.zeros(population["shape"][0], np.int64)
                for projection in spec["projections"]:
                    if projection["post"] == name and t > 0:
                        sent = spikes[projection["pre"]][t - 1, b].astype(np.int64)
                        arrived += case[f"{projection['name']}.q"].astype(np.int64) @ sent
                for j in range(len(arrived)):
                    drive = float(arrived[j])
                    if population["type"] == "CubaLIF":
                        i[name][j] = case[f"{name}.syn_decay"][j] * i[name][j] + drive
                        drive = case[f"{name}.I"][t, b, j] = i[name][j]
                    theta = case[f"{name}.theta"][j]
                    value = case[f"{name}.alpha"][j] * v[name][j] + drive + case[f"{name}.i_offset"][j]
                    margin = min(margin, abs(value - theta) / theta)
                    if value > theta:
                        spikes[name][t, b, j] = 1
                        value = value - theta if spec["reset"] == "subtract" else 0.0
                    v[name][j] = case[f"{name}.V"][t, b, j] = value
    assert margin > 5e-5, f"a spike hangs on rounding: {margin}"
    assert all(found.any() for found in spikes.values()), "a population is silent"
    return {"spec": json.dumps(spec), **case, "margin": margin}


def neurons(rng: np.random.Generator, name: str, kind: str, n: int) -> dict[str, np.ndarray]:
    values = {
        "r": rng.uniform(0.8, 1.5, n),
        "v_leak": rng.normal(0, 0.05, n),
        "v_threshold": rng.uniform(0.8, 1.3, n),
    }
    if kind == "LIF":
        values["tau"] = rng.uniform(0.008, 0.03, n)
    else:
        values["tau_mem"] = rng.uniform(0.008, 0.03, n)
        values["tau_syn"] = rng.uniform(0.003, 0.01, n)
        values["w_in"] = rng.uniform(0.7, 1.5, n)
    return {f"{name}.{key}": value.astype(np.float32) for key, value in values.items()}


def population(name: str, kind: str, n: int) -> dict[str, Any]:
    return {"name": name, "type": kind, "shape": [n]}


def projection(name: str, pre: str, post: str) -> dict[str, Any]:
    return {"name": name, "pre": pre, "post": post, "kind": "linear"}


def feed_forward(rng: np.random.Generator) -> dict[str, Any]:
    """10 → 12 LIF → 4 LIF, exponential decay, reset by subtraction, a bias in front of the second."""
    spec = {
        "dt": DT,
        "integrator": "exponential",
        "reset": "subtract",
        "rounding": "truncate",
        "scale_weights": True,
        "input_shape": [10],
        "populations": [population("hid", "LIF", 12), population("out", "LIF", 4)],
        "projections": [projection("l0", "input", "hid"), projection("l1", "hid", "out")],
    }
    case = {
        "in_spikes": (rng.random((TICKS, BATCH, 10)) < 0.2).astype(np.uint8),
        **neurons(rng, "hid", "LIF", 12),
        **neurons(rng, "out", "LIF", 4),
        "l0.weight": rng.normal(2.0, 4.0, (12, 10)).astype(np.float32),
        "l1.weight": rng.normal(1.5, 3.0, (4, 12)).astype(np.float32),
        "l1.bias": rng.normal(0.1, 0.2, 4).astype(np.float32),
    }
    return run(case, spec)


def prequantised(rng: np.random.Generator) -> dict[str, Any]:
    """8 → 10 CubaLIF ⇄ → 3 CubaLIF, Euler decay, reset to zero, integers given with the weights."""
    spec = {
        "dt": DT,
        "integrator": "euler",
        "reset": "zero",
        "rounding": "truncate",
        "scale_weights": True,
        "input_shape": [8],
        "populations": [population("hid", "CubaLIF", 10), population("out", "CubaLIF", 3)],
        "projections": [
            projection("win", "input", "hid"),
            projection("wrec", "hid", "hid"),
            projection("wout", "hid", "out"),
        ],
        "prequantised": True,
    }
    case = {
        "in_spikes": (rng.random((TICKS, BATCH, 8)) < 0.25).astype(np.uint8),
        **neurons(rng, "hid", "CubaLIF", 10),
        **neurons(rng, "out", "CubaLIF", 3),
    }
    for name, shape, mean, scale in (
        ("win", (10, 8), 30, 0.2),
        ("wrec", (10, 10), -5, 0.2),
        ("wout", (3, 10), 30, 0.15),
    ):
        q = np.clip(np.rint(rng.normal(mean, 45, shape)), -127, 127).astype(np.int8)
        case[f"{name}.q_in"], case[f"{name}.q_scale"] = q, scale
        case[f"{name}.weight"] = (q * scale).astype(np.float32)
    return run(case, spec)


def spinnaker2_cases() -> dict[str, dict[str, Any]]:
    rng = np.random.default_rng(31)
    return {
        "inference_small_lif_ff": feed_forward(rng),
        "inference_small_prequantised": prequantised(rng),
    }
