"""Golden cases of SpiNNaker2: inference through the real target, mapping, power, cost."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference.cost import jetson_model
from nirbridge_spinnaker2 import Spinnaker2
from nirbridge_spinnaker2.eventprop_run import eventprop_run
from nirbridge_spinnaker2.memory import (
    Demand,
    FanIn,
    coefficients,
    region_bytes,
    slices,
    smallest_split,
    usable_bytes,
)
from nirbridge_spinnaker2.power import Scenario, busy_cycles, chip_power, clock, energy_terms
from nirbridge_spinnaker2.published import power_bracket

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "spinnaker2"
OWN = Path(__file__).parent / "data" / "spinnaker2"
INFERENCE = sorted([*OWN.glob("inference_*.npz"), *SHARED.glob("inference_*.npz")])
CHECKS = [check for path in SHARED.glob("checks.json") for check in json.loads(path.read_text())["checks"]]
NEURONS = {"LIF": nir.LIF, "CubaLIF": nir.CubaLIF, "IF": nir.IF}


def _id(path: Path) -> str:
    return f"spinnaker2-{path.stem}"


def _weight_node(case: Any, projection: dict[str, Any], in_shape: tuple[int, ...]) -> nir.NIRNode:
    name = projection["name"]
    weight = case[f"{name}.weight"]
    bias = case.get(f"{name}.bias")
    metadata = {}
    if f"{name}.q_in" in case:
        scale = np.atleast_1d(case[f"{name}.q_scale"])
        metadata["nirbridge_q"] = {
            "q": case[f"{name}.q_in"],
            "scale": scale,
            "zero_point": 0,
            "bits": 8,
            "axis": -1,
        }
    if projection["kind"] == "conv2d":
        return nir.Conv2d(
            input_shape=in_shape[1:],
            weight=weight,
            stride=tuple(projection["stride"]),
            padding=tuple(projection["padding"]),
            dilation=1,
            groups=1,
            bias=np.zeros(len(weight), np.float32) if bias is None else bias,
        )
    if bias is None:
        return nir.Linear(weight=weight, metadata=metadata)
    return nir.Affine(weight=weight, bias=bias, metadata=metadata)


def _neurons(case: Any, population: dict[str, Any]) -> nir.NIRNode:
    shape = tuple(population["shape"])
    fields = {
        key.split(".")[1]: value.reshape(shape)
        for key, value in case.items()
        if key.startswith(f"{population['name']}.")
        and key.split(".")[1] in ("tau", "tau_mem", "tau_syn", "w_in", "r", "v_leak", "v_threshold")
    }
    return NEURONS[population["type"]](**fields, v_reset=np.zeros(shape, np.float32))


def _graph(case: Any, spec: dict[str, Any]) -> nir.NIRGraph:
    shapes = {"input": tuple(spec["input_shape"])}
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(input_type={"input": np.array(shapes["input"])})}
    edges: list[tuple[str, str]] = []
    for population in spec["populations"]:
        nodes[population["name"]] = _neurons(case, population)
        shapes[population["name"]] = tuple(population["shape"])
    for projection in spec["projections"]:
        at, shape = projection["pre"], shapes[projection["pre"]]
        if "pool" in projection:
            k, pool = np.array([projection["pool"]] * 2), f"{projection['name']}_pool"
            nodes[pool] = nir.SumPool2d(kernel_size=k, stride=k, padding=np.array([0, 0]))
            edges.append((at, pool))
            at, shape = pool, (shape[0], shape[1] // k[0], shape[2] // k[1])
        if projection["kind"] == "linear" and len(shape) > 1:
            flat = f"{projection['name']}_flat"
            nodes[flat] = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
            edges.append((at, flat))
            at = flat
        nodes[projection["name"]] = _weight_node(case, projection, shape)
        edges += [(at, projection["name"]), (projection["name"], projection["post"])]
    last = spec["populations"][-1]["name"]
    nodes["output"] = nir.Output(output_type={"output": np.array(shapes[last])})
    edges.append((last, "output"))
    semantics = Semantics(
        dt=spec["dt"],
        decay="exact" if spec["integrator"] == "exponential" else "euler",
        reset="subtract" if spec["reset"] == "subtract" else "value",
        compare=">",
    )
    return with_semantics(make(nodes, edges), semantics)


def _close(found: Any, expected: Any, tolerance: float, what: str) -> None:
    worst = float(np.max(np.abs(np.asarray(found, np.float64) - expected), initial=0.0))
    assert worst <= tolerance, f"{what}: max difference {worst:.3g}, allowed {tolerance:.3g}"


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("path", INFERENCE, ids=_id)
def test_inference(path: Path, arithmetic: Any) -> None:
    """q and spikes equal; derived parameters 1e-9; V and I within 1e-9 or 1e-5 of the largest threshold."""
    case = dict(np.load(path, allow_pickle=False))
    spec = json.loads(str(case["spec"]))
    target = Spinnaker2(
        rounding=spec["rounding"], scale_weights=spec["scale_weights"], arithmetic=arithmetic, threads=1
    )
    program = target.compile(_graph(case, spec))
    layers = {layer.name: layer for layer in program.lowered.layers}
    for layer in layers.values():
        for projection in layer.projections:
            np.testing.assert_array_equal(projection.q, case[f"{projection.name}.q"])
        for key, found in (
            ("w_scale", layer.w_scale),
            ("v_scale", layer.v_scale),
            ("theta", layer.theta),
            ("alpha", layer.alpha),
            ("syn_decay", layer.delta),
            ("i_offset", layer.i_offset),
        ):
            if f"{layer.name}.{key}" in case:
                expected = case[f"{layer.name}.{key}"]
                _close(
                    found, expected, 1e-9 * max(float(np.abs(expected).max()), 1e-30), f"{layer.name}.{key}"
                )
    record = []
    for layer in layers.values():
        record += [layer.name, f"{layer.name}:v"] + [f"{layer.name}:i"] * layer.population.cuba
    recording = program.run(
        Spikes.from_dense(case["in_spikes"].transpose(1, 0, 2), spec["dt"]), record=record
    )
    ticks = len(case["in_spikes"])
    for name, layer in layers.items():
        found = recording.spikes[name].to_dense(spec["dt"])[:, :ticks].transpose(1, 0, 2)
        np.testing.assert_array_equal(found, case[f"{name}.spikes"])
        tolerance = (1e-9 if arithmetic == "float64" else 1e-5) * float(np.abs(layer.theta).max())
        traces = {"V": ("v", layer.v_scale), "I": ("i", 1.0 / layer.i_unit)}
        for key, (quantity, scale) in traces.items():
            if f"{name}.{key}" in case:
                trace = recording.traces[f"{name}:{quantity}"][:, :ticks].transpose(1, 0, 2) * scale
                _close(trace, case[f"{name}.{key}"], tolerance, f"{name}.{key}")


@pytest.mark.parametrize("path", sorted(SHARED.glob("lif_trace.npz")), ids=_id)
def test_trace(path: Path) -> None:
    """One LIF neuron as the vendor's simulator recorded it; weight and threshold times 102.02, unscaled."""
    case = np.load(path, allow_pickle=False)
    dt, scale = float(case["dt"]), float(case["scale"])
    one = np.ones(1)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([1])}),
        "w": nir.Affine(weight=case["weight"] * scale * np.ones((1, 1)), bias=case["bias"] * one),
        "lif": nir.LIF(
            tau=case["tau"] * one,
            r=case["r"] * one,
            v_leak=case["v_leak"] * one,
            v_threshold=case["v_threshold"].astype(np.float64) * scale * one,
            v_reset=0 * one,
        ),
        "output": nir.Output(output_type={"output": np.array([1])}),
    }
    graph = with_semantics(
        make(nodes, [("input", "w"), ("w", "lif"), ("lif", "output")]), Semantics(dt=dt, decay="euler")
    )
    program = Spinnaker2(scale_weights=False, arithmetic="float64").compile(graph)
    (layer,) = program.lowered.layers
    assert layer.projections[0].q.tolist() == [[102]]
    recording = program.run(Spikes.from_dense(case["x"][None, :, None], dt), record=["lif", "lif:v"])
    v = recording.traces["lif:v"][0, 1:, 0] * layer.v_scale[0] / scale
    spikes = recording.spikes["lif"].to_dense(dt)[0, 1:, 0]
    np.testing.assert_array_equal(spikes, case["spikes_ref"])
    _close(v, case["v"], 1e-12, "v")
    _close(v, case["v_ref"], 1e-6, "v_ref")


@pytest.mark.parametrize("check", CHECKS, ids=lambda check: f"spinnaker2-checks-{check['id']}")
def test_check(check: dict[str, Any]) -> None:
    """One entry of checks.json."""
    found = KINDS[check["kind"]](check["inputs"])
    _compare(found, check["expected"], check["rel_tol"], check["id"])


def _compare(found: Any, expected: Any, rel_tol: float, where: str) -> None:
    if isinstance(expected, dict):
        for key, value in expected.items():
            _compare(found[key], value, rel_tol, f"{where}.{key}")
    elif isinstance(expected, list):
        assert len(found) == len(expected), where
        for at, value in enumerate(expected):
            _compare(found[at], value, rel_tol, f"{where}[{at}]")
    elif isinstance(expected, float) and rel_tol > 0:
        assert found == pytest.approx(expected, rel=rel_tol), where
    else:
        assert found == expected, where


def _chip_power(inputs: dict[str, Any]) -> dict[str, Any]:
    scenario = Scenario(**{k: inputs[k] for k in ("used_rail", "idle_pes", "board_mw")})
    values = coefficients().corner_values()["central"]
    return {"power_mw": 1e3 * chip_power(values, scenario, inputs["used_pes"], inputs["duty"])}


def _eventprop_cost(inputs: dict[str, Any]) -> dict[str, Any]:
    options = {k: v for k, v in inputs.items() if k not in ("scenario", "corner")}
    values = coefficients().corner_values()[inputs["corner"]]
    return dict(eventprop_run(values, Scenario(**inputs["scenario"]), **options))


def _partition(inputs: dict[str, Any]) -> dict[str, Any]:
    demand = Demand(
        name="p",
        neurons=inputs["neurons"],
        cuba=inputs["model"] == "CubaLIF",
        fan_in=tuple(FanIn(n_pre=p["n_pre"], source_pes=p.get("source_pes")) for p in inputs["projections"]),
        **{k: inputs[k] for k in ("delays", "record_spikes", "record_v", "ticks")},
    )
    pes = smallest_split(demand, inputs["max_atoms"])
    assert pes is not None
    sizes = slices(demand.neurons, pes)
    regions = region_bytes(demand, sizes[0], pes)
    total = sum(regions.values())
    return {
        "pes": pes,
        "slices": sizes,
        "bytes_first_pe": regions,
        "total_first_pe": total,
        "headroom_first_pe": usable_bytes() - total,
    }


def _inference_cost(inputs: dict[str, Any]) -> dict[str, Any]:
    scenario = Scenario(**inputs["scenario"])
    values = coefficients().corner_values()[inputs["corner"]]
    ticks, seconds = inputs["ticks"], inputs["ticks"] * inputs["tick_s"]
    budget = clock(values, scenario) * inputs["tick_s"]
    pes = inputs["pes"]
    busy = [busy_cycles(values, ticks=ticks, neurons=p["neurons"], synops=p["synops_total"]) for p in pes]
    peak = [busy_cycles(values, ticks=1, neurons=p["neurons"], synops=p["synops_peak"]) for p in pes]
    energy = sum(energy_terms(values, scenario, busy, seconds).values())
    return {
        "busy_cycles": busy,
        "peak_cycles": peak,
        "tick_cycles": budget,
        "overrun": [p > budget for p in peak],
        "time_ms": seconds * 1e3,
        "power_mw": energy / seconds * 1e3,
        "energy_mj": energy * 1e3,
    }


def _bracket(inputs: dict[str, Any]) -> dict[str, Any]:
    assert inputs["idle_pes"] == "sleep-0.5V"
    return {
        rail: [1e3 * w + inputs["board_mw"] for w in power_bracket(inputs["used_pes"], rail)]
        for rail in ("0.5V", "0.8V")
    }


def _gpu_model(inputs: dict[str, Any]) -> dict[str, Any]:
    assert inputs["device"] == "jetson-orin-nano"
    model = jetson_model(inputs["batch"], inputs["hidden"])
    latency, total = 1e3 * model["latency_s"], 1e3 * model["total_j"]
    return {
        "latency_ms": latency,
        "energy_total_mj": total,
        "energy_dynamic_mj": 1e3 * model["dynamic_j"],
        "edp_uj_s": latency * total,
    }


KINDS = {
    "gpu_model": _gpu_model,
    "chip_power": _chip_power,
    "eventprop_cost": _eventprop_cost,
    "partition": _partition,
    "inference_cost": _inference_cost,
    "bracket": _bracket,
}


def test_there_are_cases() -> None:
    assert INFERENCE, "no golden case was found, not even our own in tests/golden/data/spinnaker2"
