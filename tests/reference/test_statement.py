"""Random graphs of every primitive, under random semantics: the float64 reference is the NumPy statement."""

from __future__ import annotations

import runpy
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

Statement = runpy.run_path(str(Path(__file__).with_name("statement.py")))["Statement"]
DT, STEPS, WIDTH = 1e-3, 18, 4
KINDS = ("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF", "Delay")


def neuron(rng, kind, gain):
    """A stateful node of `WIDTH` elements; a gain of 1/τ is made up for."""

    def between(low, high):
        return rng.uniform(low, high, WIDTH)

    if kind == "Delay":
        return nir.Delay(rng.integers(0, 4, WIDTH) * DT)
    values = {"r": between(1, 5)}
    if gain == "dirac" and kind in ("LI", "LIF"):
        values["r"] *= 0.01
    if kind.startswith("Cuba"):
        values |= {"tau_syn": between(3e-3, 8e-3), "tau_mem": between(1e-2, 3e-2), "w_in": between(0.5, 2)}
        values["w_in"] *= 0.005 if gain == "dirac" else 1
    elif kind in ("LI", "LIF"):
        values |= {"tau": between(5e-3, 3e-2)}
    if kind not in ("I", "IF"):
        values |= {"v_leak": between(-0.1, 0.1)}
    if kind in ("IF", "LIF", "CubaLIF"):
        values |= {"v_threshold": between(0.3, 1.0), "v_reset": between(-0.3, 0.0)}
    return getattr(nir, kind)(**values)


def link(rng, mean=0.3):
    """A node without memory from `WIDTH` values to as many."""
    weight = rng.normal(mean, 0.8, (WIDTH, WIDTH))
    choices = [
        nir.Linear(weight),
        nir.Affine(weight, rng.normal(0, 0.1, WIDTH)),
        nir.Scale(rng.uniform(0.3, 2, WIDTH)),
        nir.Threshold(rng.uniform(-0.2, 0.8, WIDTH)),
    ]
    return choices[rng.choice(4, p=(0.35, 0.35, 0.15, 0.15))]


def front(rng, flat):
    """Input and the nodes that bring it to `WIDTH` values: (nodes, edges, name of the last)."""
    if flat == "line":
        return {"in": nir.Input(np.array([WIDTH]))}, [], "in"
    if flat == "signal":
        padding = rng.choice(["same", "valid", "1"])
        padding = int(padding) if padding == "1" else str(padding)
        bias = rng.normal(0, 0.1, 4)
        conv = nir.Conv1d(7, rng.normal(0.2, 0.6, (4, 1, 3)), 1, padding, 2, 2, bias)
        nodes = {"in": nir.Input(np.array([2, 7])), "conv": conv}
        size = {"same": 7, "valid": 3, 1: 5}[padding]
        path = ["in", "conv", "flat"]
    else:
        weight = rng.normal(0.1, 0.6, (2, 2, 3, 2))
        bias = rng.normal(0, 0.1, 2)
        stride = (int(rng.integers(1, 3)), 1)
        conv = nir.Conv2d((6, 5), weight, stride, (1, 0), (1, 2), 1, bias)
        pool = (nir.SumPool2d if rng.random() < 0.5 else nir.AvgPool2d)(
            np.array([2, 2]), np.array([2, 1]), np.array([1, 0])
        )
        nodes = {"in": nir.Input(np.array([2, 6, 5])), "conv": conv, "pool": pool}
        rows = (6 + 2 - 2 - 1) // stride[0] + 1
        columns = 5 - 2 * 1
        size = ((rows + 2 - 2) // 2 + 1) * (columns - 2 + 1)
        path = ["in", "conv", "pool", "flat"]
    channels = 4 if flat == "signal" else 2
    nodes["flat"] = nir.Flatten({"input": np.array([channels, size])}, 0, -1)
    if flat == "image":
        nodes["flat"] = nir.Flatten({"input": np.array([2, (rows + 2 - 2) // 2 + 1, columns - 1])}, 0, -1)
    nodes["to"] = nir.Linear(rng.normal(0.2, 0.5, (WIDTH, channels * size)))
    path.append("to")
    return nodes, list(pairwise(path)), "to"


def network(rng, gain):
    """Layers of random kinds, links of one or two nodes between them, skips, loops, several Outputs."""
    nodes, edges, last = front(rng, rng.choice(["line", "signal", "image"]))
    names = [last]
    for k in range(int(rng.integers(2, 5))):
        name = f"{rng.choice(list('abz'))}{k}"
        nodes[name] = neuron(rng, str(rng.choice(KINDS)), gain)
        before = names[-1]
        for step in range(int(rng.integers(0 if k else 1, 3))):
            nodes[f"{name}_{step}"] = link(rng)
            edges.append((before, f"{name}_{step}"))
            before = f"{name}_{step}"
        edges.append((before, name))
        names.append(name)
    layers = names[1:]
    for k in range(int(rng.integers(1, 4))):  # forward: a skip; backward or to itself: a loop
        a, b = (str(rng.choice(layers)) for _ in range(2))
        nodes[f"x{k}"] = link(rng, -0.1)
        edges += [(a, f"x{k}"), (f"x{k}", b)]
    for k, name in enumerate(dict.fromkeys([layers[-1], str(rng.choice(layers))])):
        nodes[f"out{k}"] = nir.Output(np.array([WIDTH]))
        edges.append((name, f"out{k}"))
    return make(nodes, edges)


def semantics(rng):
    def one(*choices):
        return choices[int(rng.integers(len(choices)))]

    fields = {
        "decay": one("euler", "exact"),
        "decay_syn": one(None, "euler", "exact"),
        "gain": one("matched", "euler", "unit", "dirac"),
        "syn_input": one("after", "before"),
        "order": one("current-first", "voltage-first"),
        "integrate": one("step", "time"),
        "compare": one(">", ">="),
        "reset": one("value", "subtract"),
        "multi_spike": one(False, True),
        "floor": one(None, "zero", "minus-threshold"),
        "feedforward_delay": one(0, 0, 1),
        "delayed": one("state", "value"),
        "v_init": one("zero", "leak"),
    }
    if rng.random() < 0.2:
        fields |= {"order": "exact", "decay": "exact", "decay_syn": None, "syn_input": "after"}
        fields["gain"] = "dirac"
    return Semantics(dt=DT, arithmetic="float64", **fields)


SEEDS = range(60)


@pytest.mark.parametrize("seed", SEEDS)
def test_the_reference_is_the_statement(seed):
    rng = np.random.default_rng(seed)
    rules = semantics(rng)
    graph = network(rng, rules.gain)
    shape = tuple(int(n) for n in graph.nodes["in"].input_type["input"])
    values = (rng.random((STEPS, *shape)) < 0.4) * rng.integers(1, 4, (STEPS, *shape)).astype(float)
    said = Statement(graph, rules, {"in": values})
    neurons = [n for n, node in graph.nodes.items() if hasattr(node, "r")]
    spiking = [n for n in neurons if hasattr(graph.nodes[n], "v_threshold")]
    record = [*spiking, *(f"{n}:v" for n in neurons)]
    grown = (t for t in range(STEPS) if any(np.abs(said.state(n, t)[:2]).max() > 1e4 for n in neurons))
    steps = next(grown, STEPS)  # a loop may grow without bound
    assert steps >= 1
    program = Reference(threads=1).compile(with_semantics(graph, rules))
    found = program.run_values(values[:steps].reshape(1, steps, -1), record=record)
    for t in range(steps):
        for n in neurons:
            sent, v, _ = said.state(n, t)
            here, place = found.traces[f"{n}:v"][0, t], f"{n} in step {t}"
            np.testing.assert_allclose(here, v, rtol=1e-9, atol=1e-9, err_msg=place)
            if n in spiking:
                np.testing.assert_array_equal(found.spikes[n].to_dense(DT)[0, t], sent, err_msg=place)
    populations = program.lowered.network.populations
    outputs = [populations[k].name for k in program.lowered.network.of_kind("output")]
    output = found.output.to_dense(DT) if isinstance(found.output, Spikes) else found.output
    for t in range(steps):
        expected = np.concatenate([said.x(n, t) for n in outputs])
        np.testing.assert_allclose(output[0, t], expected, rtol=1e-6, atol=1e-6, err_msg=f"output {t}")


def test_every_primitive_and_a_spike_of_each_kind_is_among_the_graphs():
    seen, options = set(), set()
    for seed in SEEDS:
        rng = np.random.default_rng(seed)
        rules = semantics(rng)
        seen |= {type(node).__name__ for node in network(rng, rules.gain).nodes.values()}
        options |= {(k, getattr(rules, k)) for k in ("order", "gain", "delayed")}
    primitives = "Affine AvgPool2d Conv1d Conv2d CubaLI CubaLIF Delay Flatten I IF Input LI LIF Linear Output"
    assert seen == {*primitives.split(), "Scale", "SumPool2d", "Threshold"}
    assert len(options) >= 9
