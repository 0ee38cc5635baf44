"""A spiking NIR graph from an ANN: IF neurons whose rate times their scale is the activation.

With λ the scale of a Relu layer, its IF neurons have threshold λ, subtract λ at a spike, and receive
the ANN's own values: a spike of a source with scale λ_u counts λ_u, so the next weight is W·λ_u. The
bias is added in every step as it is. After T steps a neuron with a steady input z in [0, λ] has sent
N = ⌊T·z/λ⌋ spikes, so |λ·N/T − z| ≤ λ/T (Rueckauer et al. 2017, doi 10.3389/fnins.2017.00682).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from functools import singledispatch
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.ann.forward import counted
from nirbridge.ann.shapes import shapes_of
from nirbridge.ann.types import (
    Ann,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Layer,
    Normalization,
    Op,
    Relu,
    Shape,
    Sum,
    Window,
)
from nirbridge.ann.windows import centred
from nirbridge.errors import Unsupported
from nirbridge.graph import make

Terms = dict[str, float]
"""What a value is summed from: node -> what one unit of its output counts in the ANN's values."""

MAX_DIAGONAL = 4096  # channels of a normalisation on flat values that follows no weight


@dataclass(slots=True)
class _Graph:
    """What grows while the layers are walked."""

    shapes: Mapping[str, Shape]
    scales: Mapping[str, float]
    nodes: dict[str, nir.NIRNode] = field(default_factory=dict)
    edges: list[tuple[str, str]] = field(default_factory=list)
    terms: dict[str, Terms] = field(default_factory=dict)

    def connect(self, value: str, node: str) -> float:
        """Edges from all terms of a value to a node; returns what one unit there counts.

        Terms that count differently go through a scaling node of their own first.
        """
        terms = self.terms[value]
        common = next(iter(terms.values()))
        if any(factor != common for factor in terms.values()):
            common = 1.0
        for source, factor in terms.items():
            if factor != common:
                source = self._scaled(source, factor, value, node)
            self.edges.append((source, node))
        return common

    def _scaled(self, source: str, factor: float, value: str, node: str) -> str:
        name = f"{source}_to_{node}"
        shape = self.shapes[value]
        channels = shape[0]
        if len(shape) == 1:
            self.nodes[name] = nir.Scale(scale=np.full(shape, factor, np.float32))
        else:
            weight = np.full((channels, 1, *(1,) * (len(shape) - 1)), factor, np.float32)
            self.nodes[name] = _conv(weight, np.zeros(channels, np.float32), _point(shape), channels, shape)
        self.edges.append((source, name))
        return name

    def put(self, name: str, node: nir.NIRNode, factor: float = 1.0) -> None:
        """Add a node that computes the layer of this name."""
        self.nodes[name] = node
        self.terms[name] = {name: factor}


def spiking_graph(ann: Ann, scales: Mapping[str, float], input_scale: float) -> nir.NIRGraph:
    """The graph of an ANN without max pools, with ``scales[layer]`` (λ) for each of its Relu layers.

    input_scale: what one unit of the graph's input in one step counts in the ANN's input. The output
    layer ends in an I node ``readout``: its V after T steps is T times the estimate of the scores.
    Names: ``input``, one node a layer under the layer's name, ``readout``, ``output``. The graph has
    no metadata. Raises `Unsupported` (NB209) for operators that have no spiking form.
    """
    shapes = shapes_of(ann)
    graph = _Graph(shapes, scales)
    graph.nodes["input"] = nir.Input(input_type={"input": np.array(ann.shape)})
    graph.terms[ann.input] = {"input": input_scale}
    for layer in ann.layers:
        _lower(layer.op, layer, graph)
    size = shapes[ann.output]
    factor = graph.connect(ann.output, "readout")
    graph.nodes["readout"] = nir.I(r=np.full(size, factor, np.float32))
    graph.nodes["output"] = nir.Output(output_type={"output": np.array(size)})
    graph.edges.append(("readout", "output"))
    return make(graph.nodes, graph.edges)


@singledispatch
def _lower(op: Op, layer: Layer, graph: _Graph) -> None:
    raise Unsupported(
        f"layer '{layer.name}' ({type(op).__name__}) has no spiking form",
        code="NB209",
        fix="replace it first (nirbridge.ann.replace_max_pools)",
    )


@_lower.register
def _(op: Dense, layer: Layer, graph: _Graph) -> None:
    factor = graph.connect(layer.inputs[0], layer.name)
    graph.put(layer.name, nir.Affine(weight=_times(op.weight, factor), bias=op.bias))


@_lower.register
def _(op: Convolution, layer: Layer, graph: _Graph) -> None:
    shape = graph.shapes[layer.inputs[0]]
    factor = graph.connect(layer.inputs[0], layer.name)
    graph.put(layer.name, _conv(_times(op.weight, factor), op.bias, op.window, op.groups, shape))


@_lower.register
def _(op: Normalization, layer: Layer, graph: _Graph) -> None:
    shape = graph.shapes[layer.inputs[0]]
    channels = shape[0]
    if len(shape) == 1 and channels > MAX_DIAGONAL:
        raise Unsupported(
            f"layer '{layer.name}' normalises {channels} flat values and follows no weight that it could "
            f"be folded into, expected at most {MAX_DIAGONAL}",
            code="NB209",
            fix="normalise right after a Gemm or Conv",
        )
    factor = graph.connect(layer.inputs[0], layer.name)
    scale, shift = _times(op.scale, factor), op.shift.astype(np.float32)
    if len(shape) == 1:
        graph.put(layer.name, nir.Affine(weight=np.diag(scale), bias=shift))
        return
    weight = scale.reshape(channels, 1, *(1,) * (len(shape) - 1))
    graph.put(layer.name, _conv(weight, shift, _point(shape), channels, shape))


@_lower.register
def _(op: AveragePool, layer: Layer, graph: _Graph) -> None:
    shape, window = graph.shapes[layer.inputs[0]], op.window
    even = window.left == window.right and set(window.dilation) == {1}
    border = any((*window.left, *window.right)) and not op.count_padding
    pool = f"{layer.name}_pool" if border else layer.name
    factor = graph.connect(layer.inputs[0], pool)
    if even and len(shape) == 3:
        kernel, stride, padding = (np.array(v) for v in (window.kernel, window.stride, window.left))
        graph.put(pool, nir.AvgPool2d(kernel_size=kernel, stride=stride, padding=padding), factor)
    else:
        one = np.float32(1.0 / np.prod(window.kernel))
        weight = np.full((shape[0], 1, *window.kernel), one, np.float32)
        zeros = np.zeros(shape[0], np.float32)
        graph.put(pool, _conv(weight, zeros, window, shape[0], shape), factor)
    if border:  # a window at the border divides by the places that lie inside
        more = np.prod(window.kernel) / counted(window, shape[1:])
        scale = np.ascontiguousarray(np.broadcast_to(more, graph.shapes[layer.name])).astype(np.float32)
        graph.edges.append((pool, layer.name))
        graph.put(layer.name, nir.Scale(scale=scale), factor)


@_lower.register
def _(op: Flatten, layer: Layer, graph: _Graph) -> None:
    shape = graph.shapes[layer.inputs[0]]
    if len(shape) == 1:
        graph.terms[layer.name] = graph.terms[layer.inputs[0]]
        return
    factor = graph.connect(layer.inputs[0], layer.name)
    node = nir.Flatten(input_type={"input": np.array(shape)}, start_dim=0, end_dim=-1)
    graph.put(layer.name, node, factor)


@_lower.register
def _(op: Relu, layer: Layer, graph: _Graph) -> None:
    shape, scale = graph.shapes[layer.name], graph.scales[layer.name]
    factor = graph.connect(layer.inputs[0], layer.name)
    threshold = np.full(shape, scale / factor, np.float32)
    neurons = nir.IF(r=np.ones(shape, np.float32), v_threshold=threshold, v_reset=np.zeros(shape, np.float32))
    graph.put(layer.name, neurons, scale)


@_lower.register
def _(op: Sum, layer: Layer, graph: _Graph) -> None:
    total: Terms = {}
    for name in layer.inputs:
        for source, factor in graph.terms[name].items():
            total[source] = total.get(source, 0.0) + factor
    graph.terms[layer.name] = total


def _times(weight: NDArray[Any], factor: float) -> NDArray[np.float32]:
    return np.asarray(weight.astype(np.float64) * factor, np.float32)


def _point(shape: Shape) -> Window:
    axes = len(shape) - 1
    one, zero = (1,) * axes, (0,) * axes
    return Window(kernel=one, stride=one, dilation=one, left=zero, right=zero)


def _conv(
    weight: NDArray[np.float32], bias: NDArray[np.float32], window: Window, groups: int, shape: Shape
) -> nir.NIRNode:
    weight, window = centred(weight, window)
    if len(shape) == 2:
        return nir.Conv1d(
            input_shape=shape[1],
            weight=weight,
            stride=window.stride[0],
            padding=window.left[0],
            dilation=window.dilation[0],
            groups=groups,
            bias=bias,
        )
    return nir.Conv2d(
        input_shape=(shape[1], shape[2]),
        weight=weight,
        stride=(window.stride[0], window.stride[1]),
        padding=(window.left[0], window.left[1]),
        dilation=(window.dilation[0], window.dilation[1]),
        groups=groups,
        bias=bias,
    )
