"""Golden cases of on-chip EventProp, through the trainer's own kernels and its own update."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.graph import make
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import ChipEventProp
from nirbridge_spinnaker2.training.executor import Executor, events_of
from nirbridge_spinnaker2.training.formats import Format
from nirbridge_spinnaker2.training.forward import CURRENT, JUMP, LAMBDA_I, LAMBDA_V, V_POST, V_PRE
from nirbridge_spinnaker2.training.structure import matrices, stack_of
from nirbridge_spinnaker2.training.training import Training

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "spinnaker2"
OWN = Path(__file__).parent / "data" / "spinnaker2"
BATCHES = sorted([*OWN.glob("eventprop_*.npz"), *SHARED.glob("eventprop_*.npz")])
TRAININGS = sorted([*OWN.glob("training_*.npz"), *SHARED.glob("training_*.npz")])
TRACES = {"V_pre": V_PRE, "V_post": V_POST, "I": CURRENT, "lV": LAMBDA_V, "lI": LAMBDA_I}


def _id(path: Path) -> str:
    return f"spinnaker2-{path.stem}"


def _graph(case: dict[str, Any]) -> nir.NIRGraph:
    """The case's two layers in the form of SPINNAKER2.md §6."""
    dt, tau_s = float(case["c_dt"]), float(case["c_tau_s"])
    values = {
        "tau_mem": float(case["c_tau_m"]),
        "tau_syn": tau_s,
        "r": 1.0,
        "v_leak": 0.0,
        "v_threshold": float(case["c_vth"]),
        "v_reset": 0.0,
        "w_in": 1.0 / (1.0 - np.exp(-dt / tau_s)),
    }
    nodes: dict[str, nir.NIRNode] = {"input": nir.Input(np.array([case["w0"].shape[1]]))}
    edges = []
    before = "input"
    for at, name in enumerate(("hid", "out")):
        weight = case[f"w{at}"]
        nodes[f"w{at}"] = nir.Linear(weight)
        nodes[name] = nir.CubaLIF(**{key: np.full(len(weight), x) for key, x in values.items()})
        edges += [(before, f"w{at}"), (f"w{at}", name)]
        before = name
    nodes["output"] = nir.Output(np.array([len(case["w1"])]))
    graph = make(nodes, [*edges, ("out", "output")])
    return with_semantics(graph, Semantics(dt=dt, decay="exact", feedforward_delay=1))


def _close(found: Any, expected: Any, rtol: float, what: str) -> None:
    top = float(np.max(np.abs(expected), initial=0.0))
    worst = float(np.max(np.abs(np.asarray(found, np.float64) - expected), initial=0.0))
    assert worst <= rtol * top, f"{what}: max difference {worst:.3g} of a maximum of {top:.3g}"


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("path", BATCHES, ids=_id)
def test_batch(path: Path, arithmetic: Any) -> None:
    """Spikes and first spikes equal; states, adjoints and gradients within 1e-9 or 2e-5 of the maximum."""
    case = dict(np.load(path, allow_pickle=False))
    exact = arithmetic == "float64" and case["hid_I"].dtype == np.float64
    rtol = 1e-9 if exact else 2e-5
    stack = stack_of(build(_graph(case)))
    options = {name: float(case[f"c_{name}"]) for name in ("xi", "alpha_r", "beta_r")}
    executor = Executor(stack, Format(arithmetic), **options, threads=1)
    events = events_of(Spikes.from_dense(case["in_spikes"].transpose(1, 0, 2), float(case["c_dt"])), stack)
    labels = case["labels"]
    result = executor.run(
        events, np.arange(len(labels)), labels, stack.weights, learn=True, spikes=True, trace=True
    )
    hidden = stack.hidden
    parts = {"hid": slice(0, hidden), "out": slice(hidden, None)}
    trace = result.trace.transpose(1, 2, 0, 3)
    for name, part in parts.items():
        np.testing.assert_array_equal(
            result.spikes.transpose(1, 0, 2)[:, :, part], case[f"{name}_spikes"], err_msg=name
        )
        for key, row in TRACES.items():
            _close(trace[row][:, :, part], case[f"{name}_{key}"], rtol, f"{name}_{key}")
    np.testing.assert_array_equal(result.first, case["first_spike"])
    _close(result.loss.mean(axis=0), np.array([case["loss"], case["ce"]]), rtol, "loss, ce")
    _close(trace[JUMP][:, :, parts["out"]], case["grad_out"], rtol, "grad_out")
    sent = case["hid_spikes"].astype(bool)  # E crosses the chip only where the layer below spiked
    sent[-1] = False
    _close(trace[JUMP][:, :, parts["hid"]][sent], case["err_hid"][sent], rtol, "err_hid")
    each = matrices(stack, executor.gradients)
    for at in (0, 1):
        _close(each[f"w{at}"], case[f"gw{at}_per_sample"], rtol, f"gw{at}_per_sample")
        gradient = each[f"w{at}"].sum(axis=0)
        _close(gradient, case[f"gw{at}"], rtol, f"gw{at}")
        assert np.abs(gradient - case[f"gw{at}"]).max() <= 1e-5
    executor.close()


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("path", TRAININGS, ids=_id)
def test_training(path: Path, arithmetic: Any, monkeypatch: pytest.MonkeyPatch) -> None:
    """Loss, spike counts, weights after every update, Adam's moments after the last."""
    case = dict(np.load(path, allow_pickle=False))
    updates, steps, batch, inputs = case["in_spikes"].shape
    dt = float(case["c_dt"])
    samples = case["in_spikes"].transpose(0, 2, 1, 3).reshape(updates * batch, steps, inputs)
    data = Dataset(Spikes.from_dense(samples, dt), case["labels"].reshape(-1))
    trainer = ChipEventProp(
        format=arithmetic,
        batch=batch,
        **{name: float(case[name]) for name in ("lr", "gamma", "weight_decay", "beta1", "beta2", "eps")},
        **{name: float(case[f"c_{name}"]) for name in ("xi", "alpha_r", "beta_r")},
        device="host",
        threads=1,
    )
    monkeypatch.setattr(Training, "steps_an_epoch", int(case["steps_per_epoch"]))
    training = Training(trainer, _graph(case), data, None, np.random.default_rng(0), None, None)
    hidden = training.stack.hidden
    loss_tolerance, tolerance = (1e-9, 1e-9) if arithmetic == "float64" else (5e-6, 5e-6)
    for k in range(updates):
        result = training.step(training.events, np.arange(k * batch, (k + 1) * batch), training.labels)
        assert abs(result.loss[:, 0].mean() - case["loss"][k]) <= loss_tolerance
        counts = [int(result.counts[:, :hidden].sum()), int(result.counts[:, hidden:].sum())]
        if arithmetic == "float64":
            assert counts == case["n_spikes"][k].tolist()
        weights = matrices(training.stack, training.state.weights)
        for at in (0, 1):
            assert np.abs(weights[f"w{at}"] - case[f"w{at}_after"][k]).max() <= tolerance, f"update {k}"
    for name, flat in (("m", training.state.m), ("v", training.state.v)):
        for at, found in enumerate(matrices(training.stack, flat).values()):
            rtol = 1e-9 if arithmetic == "float64" else 1e-4
            _close(found, case[f"{name}{at}"], rtol, f"{name}{at}")
    training.executor.close()


def test_there_are_cases() -> None:
    assert BATCHES, "no golden case of a batch was found, not even our own"
    assert TRAININGS, "no golden case of a training was found, not even our own"
