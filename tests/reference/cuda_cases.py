"""Random networks of every primitive and reading, and what a backend computes from them.

    NUMBA_ENABLE_CUDASIM=1 NUMBA_DISABLE_JIT=1 python cuda_cases.py OUT.npz

runs all of them in numba's CUDA simulator, a thousand times slower than compiled code: networks of a few
neurons, two samples, few steps, blocks of a few threads.
"""

from __future__ import annotations

import sys
import threading
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import nir
import numpy as np

from nirbridge.errors import BadInput, DoesNotFit
from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

DT = 1e-3
Nodes = dict[str, nir.NIRNode]


def neuron(kind: str, rng: np.random.Generator, size: int, **fixed: float) -> nir.NIRNode:
    """A node with random parameters, which ``fixed`` replaces by one value for all."""
    ranges = {"tau_syn": (3e-3, 1e-2), "tau_mem": (1e-2, 3e-2), "tau": (1e-2, 3e-2), "r": (2, 6)}
    ranges |= {"v_leak": (-0.1, 0.1), "v_threshold": (0.5, 1.0), "v_reset": (-0.3, 0.0), "w_in": (1, 3)}
    names = {
        "I": ("r",),
        "IF": ("r", "v_threshold", "v_reset"),
        "LI": ("tau", "r", "v_leak"),
        "LIF": ("tau", "r", "v_leak", "v_threshold", "v_reset"),
        "CubaLI": ("tau_syn", "tau_mem", "r", "v_leak", "w_in"),
        "CubaLIF": ("tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "v_reset", "w_in"),
    }[kind]
    values = {name: rng.uniform(*ranges[name], size) for name in names}
    values |= {name: np.full(size, value) for name, value in fixed.items() if name in names}
    return getattr(nir, kind)(**values)


def layered(
    rng: np.random.Generator, kind: str = "CubaLIF", readout: str = "LI", loop: bool = True, **fixed: float
) -> nir.NIRGraph:
    """Input → Affine → neurons ⇄ Linear, → Linear → read-out; without one the neurons are the output."""
    nodes: Nodes = {
        "input": nir.Input(np.array([5])),
        "w": nir.Affine(rng.normal(0.6, 1, (7, 5)), rng.normal(0, 0.05, 7)),
        "h": neuron(kind, rng, 7, **fixed),
    }
    edges = [("input", "w"), ("w", "h")]
    if loop:
        nodes["r"] = nir.Linear(rng.normal(0, 0.5, (7, 7)))
        edges += [("h", "r"), ("r", "h")]
    if not readout:
        nodes["output"] = nir.Output(np.array([7]))
        return make(nodes, [*edges, ("h", "output")])
    nodes["u"] = nir.Linear(rng.normal(0, 1, (3, 7)))
    nodes["out"] = neuron(readout, rng, 3, **{k: v for k, v in fixed.items() if k in ("v_leak",)})
    nodes["output"] = nir.Output(np.array([3]))
    return make(nodes, [*edges, ("h", "u"), ("u", "out"), ("out", "output")])


def images(rng: np.random.Generator) -> nir.NIRGraph:
    """Convolutions with padding and groups, one of them in a loop, both pools, Flatten, Scale."""
    nodes: Nodes = {
        "input": nir.Input(np.array([2, 6, 6])),
        "conv": nir.Conv2d((6, 6), rng.normal(0.3, 0.6, (4, 1, 3, 3)), 1, 1, 1, 2, rng.normal(0, 0.05, 4)),
        "sum": nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "a": nir.IF(r=np.ones((4, 3, 3)), v_threshold=np.full((4, 3, 3), 1.5)),
        "back": nir.Conv2d((3, 3), rng.normal(-0.1, 0.3, (4, 4, 3, 3)), 1, "same", 1, 1, np.zeros(4)),
        "avg": nir.AvgPool2d(np.array([2, 2]), np.array([1, 1]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 2, 2])}, 0, -1),
        "scale": nir.Scale(rng.uniform(0.5, 2, 16)),
        "u": nir.Affine(rng.normal(0, 1, (3, 16)), rng.normal(0, 0.1, 3)),
        "b": neuron("LIF", rng, 3),
        "output": nir.Output(np.array([3])),
    }
    path = ["input", "conv", "sum", "a", "avg", "flat", "scale", "u", "b", "output"]
    edges = [*pairwise(path), ("a", "back"), ("back", "a")]
    return make(nodes, edges)


def signals(rng: np.random.Generator) -> nir.NIRGraph:
    """Conv1d, delays that differ, one of them in a loop, a Threshold of a sum, two inputs, two outputs."""
    nodes: Nodes = {
        "in_a": nir.Input(np.array([2, 6])),
        "in_b": nir.Input(np.array([4])),
        "conv": nir.Conv1d(6, rng.normal(0.4, 0.5, (2, 2, 3)), 2, 1, 1, 1, np.zeros(2)),
        "flat": nir.Flatten({"input": np.array([2, 3])}, 0, -1),
        "late": nir.Delay(np.arange(4) * DT),
        "w": nir.Linear(rng.normal(0.3, 1, (6, 4))),
        "h": neuron("LIF", rng, 6),
        "loop": nir.Delay(np.array([0, 1, 2, 3, 1, 0]) * DT),
        "r": nir.Linear(rng.normal(0, 0.7, (6, 6))),
        "over": nir.Threshold(np.linspace(-0.5, 1.5, 6)),
        "sum": neuron("I", rng, 6),
        "out_a": nir.Output(np.array([6])),
        "out_b": nir.Output(np.array([6])),
    }
    edges = [("in_a", "conv"), ("conv", "flat"), ("flat", "h"), ("in_b", "late"), ("late", "w"), ("w", "h")]
    edges += [("h", "loop"), ("loop", "r"), ("r", "h"), ("h", "out_a")]
    edges += [("h", "over"), ("flat", "over"), ("over", "sum"), ("sum", "out_b")]
    return make(nodes, edges)


def chain(rng: np.random.Generator) -> nir.NIRGraph:
    """I, LI and CubaLI send numbers through dense weights."""
    nodes: Nodes = {"input": nir.Input(np.array([5]))}
    kinds = ["I", "LI", "CubaLI"]
    for at, kind in enumerate(kinds):
        nodes[f"w{at}"] = nir.Affine(rng.normal(0, 0.7, (5, 5)), rng.normal(0, 0.1, 5))
        nodes[f"n{at}"] = neuron(kind, rng, 5)
    nodes["output"] = nir.Output(np.array([5]))
    return make(nodes, list(pairwise(nodes)))


EVEN = {
    "v_leak": 0.0,
    "v_reset": 0.0,
    "r": 20.0,
    "tau_mem": 0.02,
    "tau_syn": 0.005,
    "v_threshold": 1.0,
    "w_in": 5.0,
}
Build = Callable[[np.random.Generator], nir.NIRGraph]
# name: graph, fields of the semantics, options of the target
CASES: dict[str, tuple[Build, dict[str, object], dict[str, object]]] = {
    "cubalif": (layered, {}, {}),
    "cubalif voltage-first": (layered, {"order": "voltage-first", "reset": "subtract"}, {}),
    "cubalif exact": (
        layered,
        {"order": "exact", "decay": "exact", "gain": "dirac"},
        {"arithmetic": "float64"},
    ),
    "cubalif before": (
        layered,
        {"syn_input": "before", "gain": "unit", "multi_spike": True, "compare": ">="},
        {},
    ),
    "cubalif voltage-first before": (layered, {"order": "voltage-first", "syn_input": "before"}, {}),
    "cubalif multi subtract": (layered, {"multi_spike": True, "reset": "subtract", "floor": "zero"}, {}),
    "lif": (lambda rng: layered(rng, "LIF", ""), {"compare": ">=", "floor": "minus-threshold"}, {}),
    "lif double": (lambda rng: layered(rng, "LIF", "CubaLI"), {"v_init": "leak"}, {"arithmetic": "float64"}),
    "if": (lambda rng: layered(rng, "IF", "I"), {"integrate": "step", "reset": "subtract"}, {}),
    "numbers": (chain, {}, {}),
    "images": (images, {}, {}),
    "images double": (images, {}, {"arithmetic": "float64"}),
    "signals": (signals, {}, {}),
    "values delayed": (layered, {"delayed": "value", "feedforward_delay": 1}, {}),
    "ode": (lambda rng: layered(rng, "LIF", ""), {}, {"semantics": "ode"}),
    "genn": (layered, {}, {"semantics": "genn", "reset": "subtract"}),
    "snntorch": (
        lambda rng: layered(rng, readout="", **EVEN),
        {},
        {"semantics": "snntorch", "reset": "subtract"},
    ),
    "snntorch value next-step": (
        lambda rng: layered(rng, "LIF", "", **EVEN),
        {},
        {"semantics": "snntorch", "reset": "value", "reset_at": "next-step"},
    ),
    "snntorch subtract next-step": (
        lambda rng: layered(rng, readout="", **EVEN),
        {},
        {"semantics": "snntorch", "reset": "subtract", "reset_at": "next-step"},
    ),
    "norse": (lambda rng: layered(rng, readout="CubaLI"), {}, {"semantics": "norse", "reset": "subtract"}),
    "spyx": (lambda rng: layered(rng, v_leak=0.0), {}, {"semantics": "spyx"}),
    "spyx lif": (lambda rng: layered(rng, "LIF", v_leak=0.0), {}, {"semantics": "spyx"}),
    "rockpool": (lambda rng: layered(rng, v_leak=0.0), {}, {"semantics": "rockpool"}),
    "sinabs": (lambda rng: layered(rng, "IF", "LI", False, v_leak=0.0), {}, {"semantics": "sinabs"}),
    "spinnaker2": (layered, {}, {"semantics": "spinnaker2"}),
    "nengo": (lambda rng: layered(rng, readout="", **EVEN), {}, {"semantics": "nengo"}),
    "lava-dl": (lambda rng: layered(rng, readout="", **EVEN), {}, {"semantics": "lava-dl"}),
    "loihi": (lambda rng: layered(rng, readout="", **EVEN), {}, {"semantics": "loihi", "weight_scale": 64.0}),
}  # fmt: skip
STEPS = 16


def inputs(rng: np.random.Generator, units: int, samples: int = 2) -> Spikes:
    """Graded spikes: several in a channel and step, values of 1 and 2, steps without any."""
    counts = (rng.random((samples, STEPS, units)) < 0.4) * rng.integers(1, 3, (samples, STEPS, units))
    counts[:, rng.integers(0, STEPS, 3)] = 0
    return Spikes.from_dense(counts, DT)


def quantities(graph: nir.NIRGraph) -> list[str]:
    """Everything that can be recorded."""
    names = []
    for name, node in graph.nodes.items():
        if isinstance(node, nir.IF | nir.LIF | nir.CubaLIF):
            names.append(name)
        if hasattr(node, "r"):
            names += [f"{name}:v", f"{name}:i", f"{name}:x"]
    return names


def results(name: str, samples: int = 2, **options: object) -> dict[str, np.ndarray]:
    """What the target computes from a case: output, spikes, traces and counts, by name."""
    build, fields, own = CASES[name]
    rng = np.random.default_rng(list(CASES).index(name))
    graph = with_semantics(build(rng), Semantics(dt=DT, **fields))
    units = sum(int(np.prod(n.input_type["input"])) for n in graph.nodes.values() if isinstance(n, nir.Input))
    program = Reference(**{**own, **options}).compile(graph)
    recording = program.run(inputs(rng, units, samples), record=quantities(graph))
    arrays = {f"trace {key}": value for key, value in recording.traces.items()}
    spikes = dict(recording.spikes)
    if isinstance(recording.output, Spikes):
        spikes["output"] = recording.output
    else:
        arrays["output"] = recording.output
    for key, value in spikes.items():
        arrays[f"spikes {key}"] = value.to_dense(DT)
    for node, counts in recording.counts.items():
        arrays |= {f"counts {node} {key}": np.asarray(value) for key, value in counts.items()}
    return arrays


# what explodes: the reset of neurons that send it, what leads out of them
EXPLOSIONS: dict[str, tuple[str, nir.NIRNode]] = {
    "spikes": ("subtract", nir.LI(tau=np.full(3, 0.01), r=np.ones(3), v_leak=np.zeros(3))),
    "spikes that leave no trace": (
        "value",
        nir.LIF(tau=np.full(3, 0.01), r=np.full(3, -1.0), v_leak=np.zeros(3), v_threshold=np.ones(3)),
    ),
}


def lost(what: str, **options: object) -> str:
    """Why a run is refused whose loop returns more spikes than came in."""
    reset, out = EXPLOSIONS[what]
    nodes = {
        "input": nir.Input(np.array([3])),
        "w": nir.Linear(3 * np.eye(3)),
        "h": nir.IF(r=np.ones(3), v_threshold=np.ones(3)),
        "r": nir.Linear(np.full((3, 3), 3.0)),
        "out": out,
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "r"), ("r", "h"), ("h", "out"), ("out", "output")]
    semantics = Semantics(dt=DT, gain="unit", multi_spike=True, reset=reset, floor="zero")
    program = Reference(**options).compile(with_semantics(make(nodes, edges), semantics))
    counts = np.zeros((2, 60, 3))
    counts[1, 2] = 1
    try:
        program.run(Spikes.from_dense(counts.astype(int), DT))
    except BadInput as error:
        return str(error)
    return "not refused"


def in_the_simulator(threads: int = 4) -> dict[str, np.ndarray]:
    """All cases on backend cuda, and again where only the way of summing, the tape or the memory differs."""
    from nirbridge_reference import cuda_run, cuda_tables, lower

    found: dict[str, np.ndarray] = {}

    def keep(label: str, name: str, **options: object) -> None:
        got = results(name, backend="cuda", **{"threads": threads, **options})
        found.update({f"{label}|{key}": value for key, value in got.items()})

    for name in CASES:
        keep(name, name)
    for count in (1, 3, 33):
        keep(f"cubalif#{count} threads", "cubalif", threads=count)
    keep("cubalif#chosen threads", "cubalif", threads=0)
    lower.FEW_FROM, usual = ((0, 1.0),), lower.FEW_FROM
    for name in ("cubalif", "numbers", "signals"):
        keep(f"{name}#dense as sparse", name)
    lower.FEW_FROM = usual
    for label, cost, wide in (
        ("rows", 0, 1),
        ("row by row or by target", 0, 512),
        ("by target", 10**9, 10**9),
    ):
        cuda_tables.ROW_COST, cuda_tables.WIDE_ROW = cost, wide
        keep(f"images#{label}", "images")
    cuda_run.FIRST_TAPE = 3
    keep("cubalif#a short tape", "cubalif")
    launched: list[int] = []
    launch = cuda_run.CudaLoop._launch

    def counting(self: cuda_run.CudaLoop, events: object, batch: np.ndarray, *rest: object) -> object:
        launched.append(len(batch))
        return launch(self, events, batch, *rest)

    cuda_run.CudaLoop._launch = counting
    cuda_run.CudaLoop._free = lambda self: 16_000.0  # four samples of 4 kB
    keep("cubalif#little memory", "cubalif", samples=5)
    found["launched"] = np.array(launched)
    for name, free in (("tables", 100.0), ("sample", 3_000.0)):
        cuda_run.CudaLoop._free = lambda self, free=free: free
        try:
            results("cubalif", backend="cuda", threads=threads)
        except DoesNotFit as error:
            limit = error.placement.limits[0]
            found[f"refused {name}"] = np.array([str(error), limit.used > limit.limit == free])
    cuda_run.CudaLoop._free = lambda self: np.inf
    graph = with_semantics(layered(np.random.default_rng(0)), Semantics(dt=DT))
    program = Reference(backend="cuda", threads=threads).compile(graph)
    recording = program.run(inputs(np.random.default_rng(0), 5, 3))
    cost = program.cost(recording)
    found["cost"] = np.array([cost.latency.value, recording.wall_s, cost.batch])
    for what in EXPLOSIONS:
        found[f"lost {what}"] = np.array(lost(what, backend="cuda", threads=threads))
    return found


def one_shared_array() -> None:
    """Let a simulated block allocate its shared array under a lock.

    The simulator gives the array to the thread that asks first, without one: of two threads that ask at
    once each may get its own. It knows an array by the line that asks, which here is one for all.
    """
    from numba.cuda.simulator.kernelapi import FakeCUDAShared

    lock, allocate = threading.Lock(), FakeCUDAShared.array

    def array(self: FakeCUDAShared, shape: int, dtype: object) -> np.ndarray:
        with lock:
            return allocate(self, shape, dtype)

    FakeCUDAShared.array = array


if __name__ == "__main__":
    one_shared_array()
    sys.setswitchinterval(1e-5)  # the simulator waits for its threads in a busy loop
    np.savez(Path(sys.argv[1]), **in_the_simulator())
