"""What `fit` does to a parameter in one step of plain gradient descent is the loss's finite difference."""

from __future__ import annotations

from dataclasses import replace
from itertools import pairwise

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.graph import make, read_metadata, replace_nodes
from nirbridge.graph.delays import KEY
from nirbridge.semantics import Semantics, semantics_of, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_eventprop import EventProp

INPUTS, HIDDEN, OUTPUTS, DT, END = 5, 6, 3, 1e-3, 0.05
SIZES = {"hidden": HIDDEN, "out": OUTPUTS}
FIELDS = {"tau_mem": 0.02, "tau_syn": 0.005, "v_threshold": 1.0, "v_reset": 0.0, "v_leak": 0.0}
STEP = 1e-3  # of the parameter, for a gradient of 1


def start(rng, *, spiking):
    """Parameters by (node, field) and weights by node; a weight is the jump of I."""
    found = {
        (node, field): mean + (0.1 * mean if mean else 0.1) * rng.uniform(-1, 1, n)
        for node, n in SIZES.items()
        for field, mean in FIELDS.items()
    }
    sizes = {"w1": (HIDDEN, INPUTS), "w_out": (OUTPUTS, HIDDEN), "r1": (HIDDEN, HIDDEN)}
    means = {"w1": (1.4, 0.5), "w_out": (1.0, 0.3) if spiking else (0.0, 0.5), "r1": (0.0, 0.2)}
    return found | {(name, "weight"): rng.normal(*means[name], size) for name, size in sizes.items()}


def graph_of(values, *, spiking):
    """Input → w1 → hidden (⇄ r1) → w_out → out: exact coupling, dirac gain, w_in = τ_syn (SEMANTICS §3)."""

    def neurons(name, fires):
        fields = {
            field: values[name, field] for field in FIELDS if fires or (field in FIELDS and "v_" not in field)
        }
        fields |= {"v_leak": values[name, "v_leak"], "w_in": values[name, "tau_syn"]}
        return (nir.CubaLIF if fires else nir.CubaLI)(r=np.ones(SIZES[name]), **fields)

    nodes = {
        "input": nir.Input(np.array([INPUTS])),
        **{name: nir.Linear(weight=values[name, "weight"]) for name in ("w1", "w_out", "r1")},
        "hidden": neurons("hidden", True),
        "out": neurons("out", spiking),
        "output": nir.Output(np.array([OUTPUTS])),
    }
    path = ("input", "w1", "hidden", "w_out", "out", "output")
    edges = [*pairwise(path), ("hidden", "r1"), ("r1", "hidden")]
    semantics = Semantics(
        dt=DT, decay="exact", order="exact", gain="dirac", compare=">=", arithmetic="float64"
    )
    return with_semantics(make(nodes, edges), semantics)


def data_of(rng):
    n = 18
    times = np.sort(rng.uniform(1e-3, 0.03, (2, n)), axis=1).reshape(-1)
    spikes = Spikes(
        times, rng.integers(0, INPUTS, 2 * n).astype(np.int32), np.array([0, n, 2 * n]), INPUTS, END
    )
    return Dataset(spikes, np.array([0, 2]), ("a", "b", "c"))


def fitted(values, data, *, spiking, graph=None, **options):
    """(mean loss of the start, spikes a neuron, graph after one step); graph: in place of `graph_of`."""
    fixed = {"loss": "ttfs-xent" if spiking else "xent-exp", "ttfs_tau0": 3e-3, "lr": 1e-9}
    fixed |= {"optimiser": "sgd", "momentum": 0.0, "ease_in": 1.0, "epochs": 1, "batch": 2, "clip": 0.0}
    fixed |= {"lift": 0.0, "inside": True, "slope_floor": 1e-9, "threads": 1}
    trainer = EventProp(**fixed | options)
    graph = graph_of(values, spiking=spiking) if graph is None else graph
    found = trainer.fit(graph, data, rng=np.random.default_rng(0))
    entry = read_metadata(found).training["curve"][0]
    assert entry["clamped_slopes"] == 0
    return entry["loss"], entry["spikes_per_neuron"], found


KINDS = {
    "v_threshold": "train_threshold",
    "v_reset": "train_v_reset",
    "v_leak": "train_v_leak",
    "tau_mem": "train_tau",
    "tau_syn": "train_tau",
}


@pytest.mark.parametrize("mode", ["exact", "substep"])
@pytest.mark.parametrize("spiking", [False, True], ids=["membrane", "first-spike"])
@pytest.mark.parametrize("sharing", ["neuron", "layer"])
@pytest.mark.parametrize("field", KINDS)
def test_a_step_follows_the_finite_difference(field, sharing, spiking, mode):
    tau = field.startswith("tau")
    if sharing == "layer" and not tau:
        pytest.skip("only time constants are shared")
    compared = 0
    for seed in range(2):
        rng = np.random.default_rng(seed)
        values, data = start(rng, spiking=spiking), data_of(rng)
        how = {"mode": mode, "spiking": spiking, KINDS[field]: STEP, "tau_sharing": sharing}
        _, spikes, after = fitted(values, data, **how)
        for node in (
            ("hidden", "out") if spiking or field in ("v_leak", "tau_mem", "tau_syn") else ("hidden",)
        ):
            before, now = values[node, field], np.asarray(getattr(after.nodes[node], field))
            assert now.dtype == np.float64
            moved = np.log(now / before) if tau else now - before
            if sharing == "layer":
                np.testing.assert_allclose(moved, moved[0], rtol=1e-9)
                directions = [(-moved[0] / STEP, np.ones(len(before)))]
            else:
                directions = [(-moved[j] / STEP, np.eye(len(before))[j]) for j in range(0, len(before), 2)]
            for gradient, way in directions:
                ends = []
                for h in (-2e-6, -1e-6, 1e-6, 2e-6):
                    there = before * np.exp(h * way) if tau else before + h * way
                    ends.append(fitted(values | {(node, field): there}, data, **how))
                if {count for _, count, _ in ends} == {spikes}:
                    at = [loss for loss, _, _ in ends]
                    slope = (at[0] - 8 * at[1] + 8 * at[2] - at[3]) / 12e-6
                    assert gradient == pytest.approx(slope, rel=1e-4, abs=1e-6)
                    compared += abs(slope) > 1e-4
    assert compared >= 2, "too few differences say anything"


@pytest.mark.parametrize("mode", ["exact", "substep"])
@pytest.mark.parametrize("loss", ["ttfs-mse", "ttfs-rel-mse", "mse-trace", "xent-timestep"])
def test_a_step_of_the_weights_follows_the_finite_difference(loss, mode, tmp_path):
    spiking = loss.startswith("ttfs")
    rng = np.random.default_rng(1)
    values, data = start(rng, spiking=spiking), data_of(rng)
    how = {"mode": mode, "spiking": spiking, "loss": loss, "lr": STEP, "ttfs_label": 8e-3}
    if loss == "mse-trace":  # of each class its own, in four bins
        np.save(tmp_path / "traces.npy", rng.normal(0, 0.3, (OUTPUTS, 4, OUTPUTS)))
        how["target"] = str(tmp_path / "traces.npy")
    _, spikes, after = fitted(values, data, **how)
    compared = 0
    for name, shape in (("w1", (HIDDEN, INPUTS)), ("w_out", (OUTPUTS, HIDDEN)), ("r1", (HIDDEN, HIDDEN))):
        moved = after.nodes[name].weight - values[name, "weight"]
        for at in [(0, 0), (1, 2), (2, 4), (2, 1)]:
            ends = []
            for h in (-1e-6, 1e-6):
                there = values[name, "weight"].copy()
                there[at] += h
                ends.append(fitted(values | {(name, "weight"): there}, data, **how))
            if {count for _, count, _ in ends} == {spikes}:
                slope = (ends[1][0] - ends[0][0]) / 2e-6
                assert -moved[at] / STEP == pytest.approx(slope, rel=1e-4, abs=1e-6)
                compared += abs(slope) > 1e-4
        assert moved.shape == shape
    assert compared >= 4


@pytest.mark.parametrize("spiking", [False, True], ids=["membrane", "first-spike"])
def test_a_step_of_the_delays_follows_the_finite_difference(spiking):
    """In exact time, where steps of 0.1 us cost nothing: a delay moves by hundreds of them."""
    tick, rate = 1e-7, 1e10  # [s], steps for a gradient of 1 a step

    def step(values, steps, train_delay):
        graph = graph_of(values, spiking=spiking)
        nodes = {
            name: nir.Linear(values[name, "weight"], metadata={KEY: item}) for name, item in steps.items()
        }
        semantics = replace(semantics_of(graph), dt=tick)
        graph = with_semantics(replace_nodes(graph, nodes), semantics)
        how = {"mode": "exact", "spiking": spiking, "lr": 1e-12, "max_delay": 0.02}
        return fitted(values, data, graph=graph, train_delay=train_delay, **how)

    rng = np.random.default_rng(0)
    values, data = start(rng, spiking=spiking), data_of(rng)
    shapes = {name: values[name, "weight"].shape for name in ("w1", "r1", "w_out")}
    steps = {name: rng.integers(20_000, 50_000, shape).astype(np.int32) for name, shape in shapes.items()}
    _, spikes, after = step(values, steps, rate)
    for name in steps:
        moved, compared = after.nodes[name].metadata[KEY] - steps[name], 0
        for at in [(0, 0), (1, 2), (2, 1), (2, 4)]:
            ends = []
            for h in (-50, 50):
                there = {**steps, name: steps[name].copy()}
                there[name][at] += h
                ends.append(step(values, there, 1e-9))
            if {count for _, count, _ in ends} == {spikes}:
                slope = (ends[1][0] - ends[0][0]) / 100
                assert moved[at] == pytest.approx(-rate * slope, rel=1e-3, abs=0.6)
                compared += abs(moved[at]) > 10
        assert compared >= 2
