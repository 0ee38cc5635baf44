"""Networks to write as ONNX, and their runs in onnxruntime and on the reference."""

from __future__ import annotations

from importlib.util import find_spec
from typing import Any

import nir
import numpy as np
import onnx
import pytest
from numpy.random import Generator
from numpy.typing import NDArray

from nirbridge.graph import make
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import Quantization
from nirbridge.io.onnx_out import to_model
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge_reference import Reference

Floats = NDArray[np.float32]


needs_runtime = pytest.mark.skipif(
    find_spec("onnxruntime") is None, reason="onnxruntime is not installed (extra 'test')"
)


def checked(graph: nir.NIRGraph, **options: Any) -> Any:
    """`to_model` of the graph, after the whole check of onnx."""
    exported = to_model(graph, **options)
    onnx.checker.check_model(exported.model, full_check=True)
    return exported


def entries(model: Any) -> dict[str, str]:
    return {entry.key: entry.value for entry in model.metadata_props}


def session(model: Any) -> Any:
    """The model in onnxruntime, on one thread."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = 1
    return onnxruntime.InferenceSession(
        model.SerializeToString(), options, providers=["CPUExecutionProvider"]
    )


def run_onnx(model: Any, x: Floats, graph: nir.NIRGraph) -> Floats:
    """Outputs (T, B, units) of all Outputs side by side, for x (T, B, units) of all Inputs side by side."""
    return chained(session(model), [x], graph)


def chained(run: Any, chunks: list[Floats], graph: nir.NIRGraph, states: Any = ()) -> Floats:
    """The same, chunk after chunk, with the states (`State`) carried over."""
    network = build(graph)
    batch = chunks[0].shape[1]
    held = {s.name: np.broadcast_to(s.start, (batch, *s.shape)) for s in states}
    names = [o.name for o in run.get_outputs()]
    results = []
    for x in chunks:
        feed, at = {}, 0
        for port, i in zip(run.get_inputs(), network.of_kind("input"), strict=False):
            p = network.populations[i]
            feed[port.name] = np.ascontiguousarray(x[:, :, at : at + p.size]).reshape(*x.shape[:2], *p.shape)
            at += p.size
        found = dict(zip(names, run.run(None, feed | held), strict=True))
        held = {s.name: found.pop(s.after) for s in states}
        results.append(np.concatenate([y.reshape(*x.shape[:2], -1) for y in found.values()], axis=2))
    return np.concatenate(results)


def run_reference(graph: nir.NIRGraph, x: Floats) -> Floats:
    """Outputs (T, B, units) of the reference in float32."""
    output = Reference(arithmetic="float32", threads=1).compile(graph).run_values(x.transpose(1, 0, 2)).output
    dense = output if isinstance(output, np.ndarray) else output.to_dense(build(graph).semantics.dt)
    return np.asarray(dense, np.float32).transpose(1, 0, 2)


def spikes(rng: Generator, steps: int, batch: int, units: int, rate: float = 0.3) -> Floats:
    """Random spikes (T, B, units)."""
    return (rng.random((steps, batch, units)) < rate).astype(np.float32)


def input_size(graph: nir.NIRGraph) -> int:
    network = build(graph)
    return sum(network.populations[at].size for at in network.of_kind("input"))


def ports(**shapes: tuple[int, ...]) -> dict[str, nir.NIRNode]:
    """Input and Output nodes: a name that starts with ``in`` is an Input."""
    return {
        name: nir.Input({"input": np.array(shape)})
        if name.startswith("in")
        else nir.Output({"output": np.array(shape)})
        for name, shape in shapes.items()
    }


def neurons(rng: Generator, kind: str, shape: tuple[int, ...]) -> nir.NIRNode:
    """A population whose neurons all differ."""

    def between(low: float, high: float) -> NDArray[np.float64]:
        return rng.uniform(low, high, shape)

    values: dict[str, Any] = {"r": between(0.5, 2)}
    if kind not in ("I", "IF"):
        values["v_leak"] = between(-0.1, 0.1)
    if kind.startswith("Cuba"):
        values |= {"tau_syn": between(0.002, 0.01), "tau_mem": between(0.005, 0.03), "w_in": between(2, 8)}
    elif kind not in ("I", "IF"):
        values["tau"] = between(0.005, 0.03)
    if kind.endswith("F"):
        values |= {"v_threshold": between(0.3, 1), "v_reset": between(-0.3, 0.1)}
    node: nir.NIRNode = getattr(nir, kind)(**values)
    return node


def linear(rng: Generator, post: int, pre: int, scale: float = 1.0, bias: bool = True) -> nir.NIRNode:
    weight = rng.normal(scale / 4, scale, (post, pre)).astype(np.float32)
    return nir.Affine(weight, rng.normal(0, 0.1, post).astype(np.float32)) if bias else nir.Linear(weight)


def feed_forward(rng: Generator, **semantics: Any) -> nir.NIRGraph:
    """12 → LIF 20 → CubaLIF 10, both seen."""
    nodes = ports(input=(12,), out_a=(20,), out_b=(10,)) | {
        "w1": linear(rng, 20, 12, 6), "a": neurons(rng, "LIF", (20,)),
        "w2": linear(rng, 10, 20, 6), "b": neurons(rng, "CubaLIF", (10,)),
    }  # fmt: skip
    edges = [("input", "w1"), ("w1", "a"), ("a", "w2"), ("w2", "b"), ("a", "out_a"), ("b", "out_b")]
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, **semantics))


def recurrent(rng: Generator, **semantics: Any) -> nir.NIRGraph:
    """Two populations, each with itself and both in a loop, and a read-out."""
    nodes = ports(input=(8,), out_a=(16,), out_b=(12,), out_r=(3,)) | {
        "w": linear(rng, 16, 8, 4), "a": neurons(rng, "CubaLIF", (16,)), "aa": linear(rng, 16, 16, 1.5),
        "ab": linear(rng, 12, 16, 4), "b": neurons(rng, "LIF", (12,)), "ba": linear(rng, 16, 12, 1.5, False),
        "u": linear(rng, 3, 12, 1, False), "r": neurons(rng, "LI", (3,)),
    }  # fmt: skip
    edges = [
        ("input", "w"), ("w", "a"), ("a", "aa"), ("aa", "a"), ("a", "ab"), ("ab", "b"), ("b", "ba"),
        ("ba", "a"), ("b", "b"), ("b", "u"), ("u", "r"), ("a", "out_a"), ("b", "out_b"), ("r", "out_r"),
    ]  # fmt: skip
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, **semantics))


def convolutional(rng: Generator, **semantics: Any) -> nir.NIRGraph:
    """Conv2d → IF → SumPool2d → grouped Conv2d 'same' → LIF → AvgPool2d → Flatten → Affine → IF."""
    kernel1 = rng.normal(0.1, 0.5, (4, 2, 3, 2)).astype(np.float32)
    kernel2 = rng.normal(0.1, 0.5, (6, 2, 2, 3)).astype(np.float32)
    nodes = ports(input=(2, 9, 8), out_a=(4, 9, 8), out_b=(6, 4, 4), out_c=(5,)) | {
        "conv1": nir.Conv2d((9, 8), kernel1, 1, (2, 1), (2, 2), 1, rng.normal(0, 0.1, 4).astype(np.float32)),
        "a": neurons(rng, "IF", (4, 9, 8)),
        "sum": nir.SumPool2d(np.array([3, 2]), np.array([2, 2]), np.array([0, 0])),
        "conv2": nir.Conv2d((4, 4), kernel2, 1, "same", 1, 2, np.zeros(6, np.float32)),
        "b": neurons(rng, "LIF", (6, 4, 4)),
        "avg": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([1, 1])),
        "flat": nir.Flatten({"input": np.array([6, 3, 3])}, 0, -1),
        "w": linear(rng, 5, 54, 2),
        "c": neurons(rng, "IF", (5,)),
    }  # fmt: skip
    edges = [
        ("input", "conv1"), ("conv1", "a"), ("a", "sum"), ("sum", "conv2"), ("conv2", "b"), ("b", "avg"),
        ("avg", "flat"), ("flat", "w"), ("w", "c"), ("a", "out_a"), ("b", "out_b"), ("c", "out_c"),
    ]  # fmt: skip
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, **semantics))


def with_delays(rng: Generator, **semantics: Any) -> nir.NIRGraph:
    """A delay for every synapse, feed-forward and in a loop, and a Delay node of its own."""
    first, back = linear(rng, 14, 10, 6), linear(rng, 14, 14, 1.5, False)
    first.metadata[DELAYS] = rng.integers(0, 9, (14, 10)).astype(np.int32)
    back.metadata[DELAYS] = rng.integers(1, 4, (14, 14)).astype(np.int32)
    nodes = ports(input=(10,), out_a=(14,), out_b=(6,)) | {
        "w": first, "a": neurons(rng, "CubaLIF", (14,)), "r": back,
        "d": nir.Delay(rng.integers(0, 6, 14) * 1e-3), "v": linear(rng, 6, 14, 3),
        "b": neurons(rng, "LIF", (6,)),
    }  # fmt: skip
    edges = [
        ("input", "w"), ("w", "a"), ("a", "r"), ("r", "a"), ("a", "d"), ("d", "v"), ("v", "b"),
        ("a", "out_a"), ("b", "out_b"),
    ]  # fmt: skip
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3, **semantics))


def quantised(rng: Generator, **semantics: Any) -> nir.NIRGraph:
    """The recurrent network with int8 weights: per tensor, per row, per column, with a zero point."""
    graph = recurrent(rng, **semantics)
    for (name, axis), zero in zip(
        {"w": -1, "aa": 0, "ab": 1, "ba": 0, "u": -1}.items(), (0, 0, 0, -3, 5), strict=True
    ):
        node: Any = graph.nodes[name]
        shape = node.weight.shape
        scale = rng.uniform(0.005, 0.02, 1 if axis < 0 else shape[axis]).astype(np.float32)
        integers = rng.integers(-128, 128, shape).astype(np.int8)
        q = Quantization(q=integers, scale=scale, zero_point=zero, axis=axis)
        node.weight = q.weight()
        node.metadata[QUANTIZED] = q.as_metadata()
    return graph


FIVE = {
    "feed-forward": feed_forward,
    "recurrent": recurrent,
    "conv": convolutional,
    "delays": with_delays,
    "int8": quantised,
}


def random_semantics(rng: Generator) -> Semantics:
    """Any semantics that a float32 step can state."""
    options: dict[str, Any] = {
        "decay": str(rng.choice(["euler", "exact"])),
        "decay_syn": [None, "euler", "exact"][rng.integers(3)],
        "gain": str(rng.choice(["matched", "euler", "unit", "dirac"])),
        "syn_input": str(rng.choice(["after", "before"])),
        "order": str(rng.choice(["current-first", "voltage-first", "exact"])),
        "integrate": str(rng.choice(["step", "time"])),
        "compare": str(rng.choice([">", ">="])),
        "reset": str(rng.choice(["value", "subtract"])),
        "floor": [None, "zero", "minus-threshold"][rng.integers(3)],
        "feedforward_delay": int(rng.integers(2)),
        "v_init": str(rng.choice(["zero", "leak"])),
        "profile": str(rng.choice(["canonical", "genn"])),
    }
    return Semantics(dt=1e-3, **options)


def random_graph(seed: int) -> nir.NIRGraph:
    """Spiking populations of four neurons wired at random through every kind of node, loops included.

    Weights are multiples of 1/256, and what is no spike goes through no weight: sums are exact in any
    order, so that a model must give the reference's numbers bit for bit.
    """
    rng = np.random.default_rng(seed)
    n, shape = 4, (4,)

    def grid(*size: int) -> Floats:
        return (rng.integers(-200, 500, size) / 256).astype(np.float32)

    spiking = [f"s{k}" for k in range(int(rng.integers(1, 5)))]
    values = [f"v{k}" for k in range(int(rng.integers(0, 3)))]
    nodes = ports(**dict.fromkeys(("in_a", "in_b")[: int(rng.integers(1, 3))], shape))
    inputs = list(nodes)
    nodes |= {name: neurons(rng, str(rng.choice(["IF", "LIF", "CubaLIF"])), shape) for name in spiking}
    nodes |= {name: neurons(rng, str(rng.choice(["I", "LI", "CubaLI"])), shape) for name in values}
    edges: set[tuple[str, str]] = set()

    def connect(source: str, target: str) -> None:
        """One path from a source that spikes, or straight from a value."""
        kinds = ["scale", "threshold", "delay", "edge"]
        kinds += [] if source in values else ["linear", "affine", "shared", "nested", "two"]
        kind, name = str(rng.choice(kinds)), f"p{len(nodes)}"
        if kind == "edge":
            edges.add((source, target))
            return
        if kind == "shared" and "shared" in nodes:
            edges.update({(source, "shared"), ("shared", target)})
            return
        if kind == "nested":
            inner = ports(input=shape, output=shape) | {
                "w": nir.Linear(grid(n, n)),
                "f": neurons(rng, "IF", shape),
            }
            chain = [("input", "w"), ("w", "f"), ("f", "output")]
            nodes[name] = make(inner, chain)
        elif kind == "two":
            nodes[f"{name}.1"] = nir.Affine(grid(n, n), grid(n))
            edges.add((source, f"{name}.1"))
            source = f"{name}.1"
            nodes[name] = nir.Threshold(rng.uniform(-0.5, 1, n))
        else:
            name = "shared" if kind == "shared" else name
            nodes[name] = {
                "scale": lambda: nir.Scale(rng.uniform(-1, 2, n)),
                "threshold": lambda: nir.Threshold(rng.uniform(-0.5, 0.8, n)),
                "delay": lambda: nir.Delay(
                    1e-3 * (rng.integers(0, 4, n) * rng.integers(2) + rng.integers(3))
                ),
                "linear": lambda: nir.Linear(grid(n, n)),
                "affine": lambda: nir.Affine(grid(n, n), grid(n)),
                "shared": lambda: nir.Linear(grid(n, n)),
            }[kind]()  # fmt: skip
        edges.update({(source, name), (name, target)})

    for at, name in enumerate(spiking):
        connect(str(rng.choice([*inputs, *spiking[:at]])), name)
    for _ in range(int(rng.integers(0, 5))):
        connect(str(rng.choice(spiking)), str(rng.choice(spiking)))
    for name in values:
        connect(str(rng.choice(spiking)), name)
        if rng.random() < 0.5:
            connect(name, str(rng.choice(spiking)))
    for name in [*spiking, *values]:
        nodes |= ports(**{f"out_{name}": shape})
        edges.add((name, f"out_{name}"))
    used = {a for a, _ in edges}
    for name in set(inputs) - used:
        edges.add((name, spiking[0]))
    return with_semantics(make(nodes, sorted(edges)), random_semantics(rng))
