"""Random valid graphs of every NIR primitive, as a hypothesis strategy that all tests may use.

A graph is grown from its Input node by node; each kind of node is one small method that knows which
shapes it takes. The structure is drawn by hypothesis, so that it shrinks; values come from a seed.
"""

from __future__ import annotations

from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from hypothesis import strategies as st
from numpy.random import Generator
from numpy.typing import NDArray

from nirbridge.graph import make
from nirbridge.network.operators import output_shape
from nirbridge.semantics import Semantics, with_semantics

Shape = tuple[int, ...]
DT = 1e-3
SPIKING = ("IF", "LIF", "CubaLIF")
NEURONS = (*SPIKING, "I", "LI", "CubaLI")
PLAIN = ("Linear", "Affine", "Scale", "Threshold", "Delay")
KINDS: dict[int, tuple[str, ...]] = {
    1: (*PLAIN, *NEURONS),
    2: ("Conv1d", "Flatten", "Linear", "Scale", "Threshold", "Delay", *NEURONS),
    3: ("Conv2d", "SumPool2d", "AvgPool2d", "Flatten", "Scale", "Threshold", "Delay", *NEURONS),
}
EVERY = sorted({kind for kinds in KINDS.values() for kind in kinds} | {"Input", "Output", "NIRGraph"})


@dataclass
class Growing:
    """A graph on the way: the node that was added last, and its output shape."""

    rng: Generator
    dtype: Any
    unit: float
    nodes: dict[str, Any] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    last: str = ""
    shape: Shape = ()

    def add(self, kind: str, node: nir.NIRNode, shape: Shape | None = None) -> str:
        """Append a node behind the last one; returns its name."""
        name = f"n{len(self.nodes)}_{kind.lower()}"
        self.nodes[name] = node
        self.edges.append((self.last, name))
        self.shape = output_shape(node, name, self.shape) if shape is None else shape
        self.last = name
        return name

    def start(self, shape: Shape, name: str = "input") -> None:
        self.nodes[name] = nir.Input(input_type={"input": np.array(shape)})
        self.last, self.shape = name, shape

    def array(self, values: Any) -> NDArray[Any]:
        return np.asarray(values).astype(np.float32).astype(self.dtype)

    def uniform(self, low: float, high: float, shape: Shape) -> NDArray[Any]:
        return self.array(self.rng.uniform(low, high, shape))

    def weight(self, shape: Shape, fan_in: int) -> NDArray[Any]:
        """Strong enough that neurons with matched gains of about 0.1 fire."""
        return self.array(self.rng.normal(3.0 / fan_in, 8.0 / np.sqrt(fan_in), shape))

    def tau(self, shape: Shape) -> NDArray[Any]:
        return self.uniform(0.004 / self.unit, 0.03 / self.unit, shape)

    def neuron(self, kind: str, resets: bool) -> nir.NIRNode:
        shape = self.shape
        values: dict[str, Any] = {"r": self.uniform(0.5, 2.0, shape)}
        if kind not in ("I", "IF"):
            values["v_leak"] = self.array(self.rng.normal(0, 0.05, shape))
        if kind in ("LI", "LIF"):
            values["tau"] = self.tau(shape)
        if kind.startswith("Cuba"):
            values |= {"tau_mem": self.tau(shape), "tau_syn": self.tau(shape)}
            values["w_in"] = self.uniform(1.0, 4.0, shape)
        if kind in SPIKING:
            values["v_threshold"] = self.uniform(0.5, 1.5, shape)
            values["v_reset"] = self.array(self.rng.normal(0, 0.1, shape) if resets else np.zeros(shape))
        node: nir.NIRNode = getattr(nir, kind)(**values)
        return node

    def dense(self, kind: str, size: int) -> nir.NIRNode:
        lead, n = self.shape[:-1], self.shape[-1]
        weight = self.weight((*lead, size, n), n)
        if kind == "Linear":
            return nir.Linear(weight=weight)
        return nir.Affine(weight=weight, bias=self.array(self.rng.normal(0, 0.1, (*lead, size))))

    def conv(self, options: dict[str, Any], n_out: int) -> nir.NIRNode:
        axes = len(self.shape) - 1
        kernel = options.pop("kernel")[:axes]
        weight_shape = (n_out, self.shape[0] // options["groups"], *kernel)
        weight = self.weight(weight_shape, int(np.prod(weight_shape[1:])))
        bias = self.array(self.rng.normal(0, 0.1, n_out))
        if axes == 1:
            one = {k: v if isinstance(v, str | int) else v[0] for k, v in options.items()}
            return nir.Conv1d(input_shape=self.shape[1], weight=weight, bias=bias, **one)
        return nir.Conv2d(input_shape=self.shape[1:], weight=weight, bias=bias, **options)


@st.composite
def graphs(
    draw: st.DrawFn,
    *,
    dtype: Any = np.float64,
    largest: int = 6,
    resets: bool = True,
    nested: bool = True,
    semantics: dict[str, Any] | None = None,
) -> nir.NIRGraph:
    """A valid graph with dt and semantics.

    resets: with a v_reset other than 0. nested: some with a subgraph. semantics: fields that are fixed.
    """
    fixed = semantics or {}
    chosen = Semantics(**{"dt": DT, "arithmetic": "float64", **draw(options_of_semantics(fixed)), **fixed})
    rng = np.random.default_rng(draw(st.integers(0, 2**32 - 1), label="seed"))
    growing = Growing(rng, dtype, chosen.time_unit)
    growing.start(draw(input_shapes()))
    for _ in range(draw(st.integers(1, largest))):
        _grow(draw, growing, resets)
    if not any(type(node).__name__ in SPIKING for node in growing.nodes.values()):
        growing.add("LIF", growing.neuron("LIF", resets), growing.shape)
    if draw(st.booleans()):
        _second_input(draw, growing)
    growing.nodes["output"] = nir.Output(output_type={"output": np.array(growing.shape)})
    growing.edges.append((growing.last, "output"))
    if nested and draw(st.booleans()):
        _nest_some(draw, growing)
    return with_semantics(make(growing.nodes, growing.edges), chosen)


def input_shapes() -> st.SearchStrategy[Shape]:
    """A vector, channels × length, or channels × height × width."""
    size = st.integers(1, 5)
    return st.one_of(
        st.tuples(size),
        st.tuples(st.integers(1, 4), st.integers(4, 8)),
        st.tuples(st.integers(1, 4), st.integers(4, 6), st.integers(4, 6)),
    )


def options_of_semantics(fixed: dict[str, Any]) -> st.SearchStrategy[dict[str, Any]]:
    """Fields of canonical semantics that go together with each other and with those that are fixed."""
    decay = st.just(fixed["decay"]) if "decay" in fixed else st.sampled_from(["euler", "exact"])

    def rest(decay: str) -> st.SearchStrategy[dict[str, Any]]:
        exact = st.fixed_dictionaries(
            {"decay": st.just("exact"), "gain": st.just("dirac"), "order": st.just("exact"), **free}
        )
        stepped = st.fixed_dictionaries(
            {
                "decay": st.just(decay),
                "gain": st.sampled_from(["matched", "matched", "euler", "unit"]),
                "order": st.sampled_from(["current-first", "voltage-first"]),
                **free,
            }
        )
        return st.one_of(stepped, exact) if decay == "exact" else stepped

    free = {
        "time_unit": st.sampled_from([1.0, 1e-3]),
        "reset": st.sampled_from(["value", "subtract"]),
        "compare": st.sampled_from([">", ">="]),
        "feedforward_delay": st.sampled_from([0, 1]),
        "integrate": st.sampled_from(["step", "step", "time"]),
        "syn_input": st.sampled_from(["after", "after", "before"]),
    }
    return decay.flatmap(rest)


def _grow(draw: st.DrawFn, g: Growing, resets: bool) -> None:
    kind = draw(st.sampled_from(KINDS[len(g.shape)]))
    if kind in NEURONS:
        neuron = g.add(kind, g.neuron(kind, resets), g.shape)
        if kind in SPIKING and draw(st.booleans()):
            _loop(draw, g, neuron)
    elif kind in ("Linear", "Affine"):
        g.add(kind, g.dense(kind, draw(st.integers(1, 6))))
        if len(g.shape) == 1 and draw(st.integers(0, 3)) == 0:
            _branch(draw, g)
    elif kind == "Scale":
        g.add(kind, nir.Scale(scale=draw_scale(draw, g)))
    elif kind == "Threshold":
        g.add(kind, nir.Threshold(threshold=g.uniform(0.1, 1.5, g.shape)))
    elif kind == "Delay":
        steps = g.rng.integers(0, 4, g.shape)
        g.add(kind, nir.Delay(delay=g.array(steps * DT / g.unit)), g.shape)
    elif kind == "Flatten":
        start = draw(st.integers(0, len(g.shape) - 1))
        flatten = nir.Flatten(input_type={"input": np.array(g.shape)}, start_dim=start, end_dim=-1)
        g.add(kind, flatten)
    elif kind.startswith("Conv"):
        node = draw_conv(draw, g)
        if node is not None:
            g.add(kind, node)
    elif min(g.shape[1:]) >= 2:
        sizes = {
            "kernel_size": np.array([2, draw(st.integers(1, 2))]),
            "stride": np.array([draw(st.integers(1, 2)), draw(st.integers(1, 2))]),
            "padding": np.array([draw(st.integers(0, 1)), 0]),
        }
        g.add(kind, getattr(nir, kind)(**sizes))


def draw_scale(draw: st.DrawFn, g: Growing) -> NDArray[Any]:
    """Of every neuron its own, constant in a channel, or negative too."""
    which = draw(st.sampled_from(["each", "channel", "signed", "one"]))
    if which == "one":
        return g.array(np.ones(g.shape))
    scale = g.uniform(0.3, 2.0, g.shape)
    if which == "signed":
        scale *= g.array(g.rng.choice([-1, 1], g.shape))
    if which == "channel":
        scale = np.broadcast_to(scale.reshape(g.shape[0], -1)[:, :1], (g.shape[0], int(np.prod(g.shape[1:]))))
        scale = scale.reshape(g.shape).copy()
    return scale


def draw_conv(draw: st.DrawFn, g: Growing) -> nir.NIRNode | None:
    """A Conv that fits the shape, or None where no kernel does."""
    space = g.shape[1:]
    kernel = tuple(draw(st.integers(1, min(3, n))) for n in space)
    groups = draw(st.sampled_from(sorted({1, g.shape[0]})))
    padding = draw(st.sampled_from(["same", "valid", "numbers"]))
    stride, dilation = (1,) * len(space), (1,) * len(space)
    if padding != "same":
        stride = tuple(draw(st.integers(1, 2)) for _ in space)
        if all(2 * (k - 1) + 1 <= n for k, n in zip(kernel, space, strict=True)):
            dilation = tuple(draw(st.integers(1, 2)) for _ in space)
    numbers = tuple(draw(st.integers(0, 1)) for _ in space)
    options = {
        "kernel": kernel,
        "stride": stride,
        "dilation": dilation,
        "padding": numbers if padding == "numbers" else padding,
        "groups": groups,
    }
    return g.conv(options, groups * draw(st.integers(1, 2)))


def _loop(draw: st.DrawFn, g: Growing, neuron: str) -> None:
    """A recurrent weight on a neuron, with or without a Delay; for images a Scale."""
    name = f"{neuron}_r"
    if len(g.shape) == 1:
        g.nodes[name] = nir.Linear(weight=g.array(0.3 * g.weight((g.shape[0], g.shape[0]), g.shape[0])))
    else:
        g.nodes[name] = nir.Scale(scale=g.uniform(-1, 1, g.shape))
    g.edges += [(neuron, name), (name, neuron)]
    if draw(st.booleans()):
        late = f"{neuron}_d"
        g.nodes[late] = nir.Delay(delay=g.array(g.rng.integers(0, 3, g.shape) * DT / g.unit))
        g.edges.remove((neuron, name))
        g.edges += [(neuron, late), (late, name)]


def _branch(draw: st.DrawFn, g: Growing) -> None:
    """A second weight from an earlier vector, summed with the last node in the next neuron."""
    total = g.shape
    vectors = [a for a, b in g.edges if b == g.last]
    source = draw(st.sampled_from(vectors))
    n = np.shape(g.nodes[g.last].weight)[-1]
    side = f"{g.last}_side"
    g.nodes[side] = nir.Affine(weight=g.weight((*total, n), n), bias=g.array(g.rng.normal(0, 0.1, total)))
    g.edges.append((source, side))
    main = g.last
    kind = draw(st.sampled_from(SPIKING))
    joined = g.add(kind, g.neuron(kind, True), total)
    g.edges.append((side, joined))
    assert (main, joined) in g.edges


def _second_input(draw: st.DrawFn, g: Growing) -> None:
    """Another Input that reaches the last node's successor through a weight of its own."""
    shape = g.shape
    if len(shape) != 1:
        return
    n = draw(st.integers(1, 3))
    g.nodes["also"] = nir.Input(input_type={"input": np.array([n])})
    g.nodes["also_w"] = nir.Linear(weight=g.weight((shape[0], n), n))
    kind = draw(st.sampled_from(SPIKING))
    joined = g.add(kind, g.neuron(kind, False), shape)
    g.edges += [("also", "also_w"), ("also_w", joined)]


def _nest_some(draw: st.DrawFn, g: Growing) -> None:
    """One neuron with its loop, or one other node, becomes a subgraph ``sub_…`` with ports."""
    ports = {n for n, node in g.nodes.items() if isinstance(node, nir.Input | nir.Output)}
    neurons = sorted(n for n, node in g.nodes.items() if type(node).__name__ in NEURONS)
    chosen = draw(st.sampled_from(neurons))
    members = {chosen, f"{chosen}_r", f"{chosen}_d"} & set(g.nodes) - ports
    shape = tuple(int(n) for n in g.nodes[chosen].input_type["input"])
    outer = f"sub_{chosen}"
    inner: dict[str, nir.NIRNode] = {name: g.nodes.pop(name) for name in sorted(members)}
    inner["input"] = nir.Input(input_type={"input": np.array(shape)})
    inner["output"] = nir.Output(output_type={"output": np.array(shape)})
    edges = [(a, b) for a, b in g.edges if a in members and b in members]
    edges += [("input", chosen), (chosen, "output")]
    rest = [(a, b) for a, b in g.edges if not (a in members and b in members)]
    g.edges = [(outer if a in members else a, outer if b in members else b) for a, b in rest]
    g.nodes[outer] = make(inner, edges)


def input_size(graph: nir.NIRGraph) -> int:
    """Units of all Inputs together."""
    return sum(
        int(np.prod(node.input_type["input"])) for node in graph.nodes.values() if isinstance(node, nir.Input)
    )
