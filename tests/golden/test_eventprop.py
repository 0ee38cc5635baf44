"""The fast kernels' loss and gradients against the golden cases that are plain stacks."""

from __future__ import annotations

import json
import os
from pathlib import Path

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop.adam import total_gradient
from nirbridge_eventprop.executor import Executor
from nirbridge_eventprop.losses import LOSSES
from nirbridge_eventprop.stack import stack_of

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "eventprop"
OWN = Path(__file__).parent / "data" / "eventprop"


def plain(path: Path) -> bool:
    """True for a stack that the fast kernels train; `test_eventprop_grid.py` runs every case of the grid."""
    case = dict(np.load(path))
    if str(case["time_model"]) != "grid" or str(case["grid_mode"]) not in ("step", "substep"):
        return False
    layers = range(1, len(case["sizes"]))
    if any(case[f"t_ref_{layer}"].any() or case[f"alif_b_{layer}"].any() for layer in layers):
        return False
    if str(case["loss"]).replace("_", "-") not in LOSSES or any(n.startswith("delay_steps") for n in case):
        return False
    latencies = case.get("conn_latency", np.zeros(len(case["conn"]), int))
    arcs = zip(case["conn"], latencies, strict=True)
    return all(pre == post or (post == pre + 1 and latency == 0) for (pre, post), latency in arcs)


CASES = sorted(path for path in [*OWN.glob("*.npz"), *SHARED.glob("*.npz")] if plain(path))


def graph_of(case) -> nir.NIRGraph:
    """Weights are jumps of I: exact coupling, dirac gain, w_in = τ_syn (SEMANTICS §3)."""
    sizes, kinds = case["sizes"], case["kinds"]
    names = ["input"] + [f"layer{at}" for at in range(1, len(sizes))]
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([sizes[0]]))}
    edges = []
    for at in range(1, len(sizes)):
        shared = {
            "tau_syn": case[f"tau_syn_{at}"],
            "tau_mem": case[f"tau_mem_{at}"],
            "r": np.ones(sizes[at]),
            "v_leak": case[f"v_leak_{at}"],
            "w_in": case[f"tau_syn_{at}"].copy(),
        }
        if kinds[at] == "li":
            nodes[names[at]] = nir.CubaLI(**shared)
        else:
            threshold, reset = case[f"v_th_{at}"], case[f"v_reset_{at}"]
            nodes[names[at]] = nir.CubaLIF(v_threshold=threshold, v_reset=reset, **shared)
    for c, (pre, post) in enumerate(case["conn"]):
        nodes[f"w{c}"] = nir.Linear(weight=case[f"w_{c}"].T.copy())
        edges += [(names[pre], f"w{c}"), (f"w{c}", names[post])]
    nodes["output"] = nir.Output(np.array([sizes[-1]]))
    edges.append((names[-1], "output"))
    semantics = Semantics(
        dt=float(case["dt"]), decay="exact", order="exact", gain="dirac", compare=">=", arithmetic="float64"
    )
    return with_semantics(make(nodes, edges), semantics)


@pytest.mark.parametrize("path", CASES, ids=[f"eventprop-{path.stem}" for path in CASES])
def test_case(path):
    case = dict(np.load(path))
    stack = stack_of(build(graph_of(case)))
    dt, n_steps = float(case["dt"]), int(case["n_steps"])
    spikes = Spikes(
        case["in_steps"] * dt, case["in_units"], case["in_offsets"], int(case["sizes"][0]), n_steps * dt
    )
    omega = LOSSES[str(case["loss"]).replace("_", "-")].omega(n_steps, dt)
    kind = "crossing" if str(case["grid_mode"]) == "step" else "substep"
    executor = Executor(stack, threads=1, shards=2, slope=kind, slope_floor=0.01)
    options = {"omega": omega, "omega_read": omega}
    first = executor.run(spikes, case["labels"], stack.weights, **options)
    assert first.loss.mean() == pytest.approx(float(case["loss_value"]), rel=1e-9)
    np.testing.assert_allclose(first.logits, case["readout"], rtol=1e-9, atol=1e-12)
    assert first.counts.sum() == len(case["spk_units"])
    regular = None
    parameters = json.loads(str(case["loss_params"]))
    if "rate_reg" in parameters:
        rate = parameters["rate_reg"]
        counts = first.counts.mean(axis=0)
        strength = np.where(counts > rate["nu"], rate["rho_upper"], rate["rho_lower"])
        regular = strength * (counts - rate["nu"]) / stack.par[5]
    executor.run(spikes, case["labels"], stack.weights, regular=regular, learn=True, **options)
    total = np.zeros_like(stack.weights)
    total_gradient(executor.gradients, stack.gradient_factor / int(case["n_samples"]), total)
    for place in stack.nodes:
        block = total[place.offset : place.offset + place.rows * place.width]
        found = block.reshape(place.rows, place.width)[:, : place.columns]
        expected = case[f"g_w_{place.name[1:]}"]
        assert np.linalg.norm(found - expected) <= 1e-9 * np.linalg.norm(expected)


def test_there_are_cases():
    assert CASES, "no golden case was found, not even our own in tests/golden/data/eventprop"
