"""From a network to what the PEs hold: int8 rows, thresholds and offsets in integer-weight units."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Finding
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network, Population
from nirbridge_spinnaker2.quantise import LIMIT, Incoming, quantise
from nirbridge_spinnaker2.rows import Ints, Rows, conv_rows, dense_rows, identity_rows, pooled
from nirbridge_spinnaker2.wiring import Route, output_source, routes, shared_weights

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Projection:
    """Synapses from one population to another.

    name: the weight node, or the pool that ends in the neurons. q: integer weights in the node's
    shape. gain: product of 1/k² of the AvgPool2d nodes before it. kernel_bytes: a convolution's
    size on every PE, None for a list of synapses.
    """

    name: str
    source: int
    q: Ints
    gain: float
    rows: Rows
    kernel_bytes: int | None


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Layer:
    """A population of neurons in integer-weight units; arrays are (size,) float64.

    With f = 1 − decay (SPINNAKER2.md §2): v_scale c = w_scale/(f·r), for CubaLIF
    w_scale/(f_mem·r·f_syn·w_in), for IF w_scale/r; theta = v_threshold·c (+inf for read-outs);
    i_offset = f_mem·v_leak·c + b·w_scale (CubaLIF: b·w_scale/f_syn). V in graph units is V/c, I is
    I·i_unit, the summed input x (without bias) is a/w_scale.
    """

    index: int
    population: Population
    projections: tuple[Projection, ...]
    w_scale: float
    v_scale: Floats
    theta: Floats
    i_offset: Floats
    alpha: Floats
    delta: Floats
    i_unit: Floats
    kept: bool

    @property
    def name(self) -> str:
        return self.population.name

    @property
    def size(self) -> int:
        return self.population.size


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lowered:
    """layers: every neuron population in execution order; output: index of the layer that Output reads."""

    network: Network
    layers: tuple[Layer, ...]
    output: int

    def layer_of(self, population: int) -> int | None:
        """Index in ``layers`` of a population index, None for the Input."""
        return next((k for k, layer in enumerate(self.layers) if layer.index == population), None)


def lower(network: Network, target: Spinnaker2) -> tuple[Lowered | None, list[Finding]]:
    """Lower a network whose nodes passed the checks; None where an error was found."""
    found: list[Finding] = []
    inputs = network.of_kind("input")
    if len(inputs) != 1:
        found.append(_wrong(f"target 'spinnaker2' needs one Input node, got {len(inputs)}", None, "NB202"))
    per_target: list[list[Route]] = []
    for at in network.neurons:
        group, wrong = routes(network, at)
        per_target.append(group)
        found += wrong
    found += shared_weights(per_target, network)
    source, wrong = output_source(network)
    found += wrong
    layers = []
    for at, group in zip(network.neurons, per_target, strict=True):
        layer, wrong = _layer(network, at, group, target)
        layers.append(layer)
        found += wrong
    if source is None or any(finding.level == "error" for finding in found):
        return None, found
    output = network.neurons.index(source)
    return Lowered(network=network, layers=tuple(layers), output=output), found


def _layer(
    network: Network, at: int, group: Sequence[Route], target: Spinnaker2
) -> tuple[Layer, list[Finding]]:
    p = network.populations[at]
    found: list[Finding] = []
    behind = [pooled(route.before, network.populations[route.source].size) for route in group]
    incoming = [_incoming(route, gain) for route, (_, gain) in zip(group, behind, strict=True)]
    alone = len(group) == 1 and group[0].weight is None and behind[0][1] == 1.0
    result = quantise(incoming, rounding=target.rounding, scale_weights=target.scale_weights and not alone)
    partly = [route for route, item in zip(group, incoming, strict=True) if item.stored is not None]
    if partly and not result.kept:
        names = ", ".join(f"'{_node_name(route)}'" for route in group)
        message = f"node '{p.name}': its weight nodes {names} do not share one stored int8 scale"
        fix = "nirbridge convert IN OUT --pass quantize-weights:granularity=population"
        found.append(
            Finding(
                code="NB212",
                level="warning",
                node=p.name,
                message=f"{message}, so weights are {target.rounding}d again",
                fix=fix,
            )
        )
    projections = []
    for route, (row_of, gain), q in zip(group, behind, result.q, strict=True):
        name = _node_name(route)
        over = int(np.count_nonzero(np.abs(q) > LIMIT))
        if over:
            worst = int(np.abs(q).max())
            found.append(
                _wrong(
                    f"node '{name}': |q| reaches {worst}, above {LIMIT} at {over} of {q.size} weights",
                    name,
                    "NB212",
                    "quantise the float weights to ±127" if result.kept else "keep scale_weights on",
                )
            )
        if isinstance(route.weight and route.weight.node, nir.Conv2d) and p.cuba:
            message = f"Conv2d '{name}' feeds '{p.name}' ({type(p.node).__name__}), expected LIF or IF"
            found.append(_wrong(message, name, "NB202", "use LIF or IF, or unroll the Conv2d into a Linear"))
        projections.append(_projection(route, np.clip(q, -LIMIT, LIMIT), gain, row_of, p))
    if p.cuba and network.semantics.bias_path == "synapse" and np.any(_bias(group, p)):
        message = (
            f"node '{p.name}': its bias enters V as the current's steady state from step 0, not through I"
        )
        found.append(
            Finding(
                code="NB207",
                level="warning",
                node=p.name,
                message=message,
                fix="train without bias, or with semantics bias_path='membrane'",
            )
        )
    return _with_parameters(network, at, tuple(projections), group, result.w_scale, result.kept), found


def _incoming(route: Route, gain: float) -> Incoming:
    if route.weight is None:
        return Incoming(weight=np.ones(1), gain=gain)
    node: Any = route.weight.node
    stored = quantization_of(node, route.weight.name)
    return Incoming(weight=np.asarray(node.weight), gain=gain, stored=stored)


def _node_name(route: Route) -> str:
    return route.weight.name if route.weight is not None else route.before[-1].name


def _projection(route: Route, q: Ints, gain: float, row_of: NDArray[np.int32], p: Population) -> Projection:
    kernel_bytes = None
    if route.weight is None:
        rows = identity_rows(row_of, p.size, int(q[0]))
    elif isinstance(route.weight.node, nir.Conv2d):
        node = route.weight.node
        padding = 0 if isinstance(node.padding, str) else int(np.atleast_1d(node.padding)[0])
        rows = conv_rows(q, route.weight.in_shape, int(np.atleast_1d(node.stride)[0]), padding, row_of)
        kernel_bytes = q.size
    else:
        rows = dense_rows(q, row_of)
    return Projection(
        name=_node_name(route), source=route.source, q=q, gain=gain, rows=rows, kernel_bytes=kernel_bytes
    )


def _bias(group: Sequence[Route], p: Population) -> Floats:
    """Sum of the biases of all weight nodes, each once, (size,); a Conv2d has one per channel."""
    total = np.zeros(p.size)
    seen: set[str] = set()
    for route in group:
        bias = None if route.weight is None else getattr(route.weight.node, "bias", None)
        if route.weight is None or bias is None or route.weight.name in seen:
            continue
        seen.add(route.weight.name)
        values = np.asarray(bias, dtype=np.float64).reshape(-1)
        if isinstance(route.weight.node, nir.Conv2d):
            values = np.repeat(
                np.broadcast_to(values, np.shape(route.weight.node.weight)[:1]),
                p.size // np.shape(route.weight.node.weight)[0],
            )
        total += values
    return total


def _with_parameters(
    network: Network,
    at: int,
    projections: tuple[Projection, ...],
    group: Sequence[Route],
    w_scale: float,
    kept: bool,
) -> Layer:
    p = network.populations[at]
    bias = _bias(group, p)
    with np.errstate(divide="ignore", invalid="ignore"):  # r or w_in of 0 has its own finding
        v_scale = w_scale / (p.b_m * p.b_s) if p.cuba else w_scale / p.b_m
        theta, leak = p.threshold * v_scale, p.leak * v_scale
    offset = bias * w_scale / (1.0 - p.a_s) if p.cuba else bias * w_scale
    # with order "exact" the graph's I is the one after its decay: the PE's I times a_s
    after = p.a_s if network.semantics.order == "exact" else 1.0
    return Layer(
        index=at,
        population=p,
        projections=projections,
        w_scale=w_scale,
        v_scale=v_scale,
        theta=theta,
        i_offset=leak + offset,
        alpha=p.a_m,
        delta=p.a_s,
        i_unit=p.b_s / w_scale * after,
        kept=kept,
    )


def _wrong(message: str, node: str | None, code: str, fix: str = "keep one") -> Finding:
    return Finding(code=code, level="error", node=node, message=message, fix=fix)
