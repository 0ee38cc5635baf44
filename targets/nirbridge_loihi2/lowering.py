"""From a quantised graph to integers: one scale per population, decays of 4096, thresholds (LOIHI2.md §3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network
from nirbridge_loihi2.arcs import Arc, arcs
from nirbridge_loihi2.late import Injection, injection, joined, sharing
from nirbridge_loihi2.layers import INPUT, MAX_THRESHOLD, Connection, IntegerNetwork, Ints, Layer
from nirbridge_loihi2.netx_graph import KEY
from nirbridge_loihi2.weights import import_rule

BIAS_MANTISSA, BIAS_EXPONENT = 4095, 7  # 13 bits signed, 0 to 7


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Scaling:
    """How a population's integers relate to the graph's units.

    scale: of the stored weights, W = q·scale; quantum: Δ = g·scale with g = b_s·b_m, so
    V = v·Δ/64; current: (n,), I = u·current; input_bias: (n,), x = a·scale + input_bias.
    """

    scale: float
    quantum: float
    current: NDArray[np.float64]
    input_bias: NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lowered:
    """An integer network with the way back: layer k is ``populations[k]`` of the graph's network.

    inputs: which messages the host sends on which input channel of the chip. lag: ticks by which each
    population comes later than the graph's own semantics say: none where these delay every arc too.
    """

    network: IntegerNetwork
    inputs: Injection
    populations: tuple[int, ...]
    scaling: tuple[Scaling, ...]
    lag: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Integers:
    """A weight node's integers, in the shape of its weight, with W = values·scale."""

    values: Ints
    scale: float


def lags(network: Network) -> tuple[int, ...]:
    """Ticks by which every population comes after the Input on a chip where each synapse takes a step.

    The longest chain of arcs without delay: so much later than in the graph. Where the graph's own
    semantics delay every arc, the fewest arcs between neurons from the Input: just as in the graph.
    """
    into = {at: arcs(network, at) for at in network.neurons}
    lag = [0] * len(network.populations)
    if network.semantics.feedforward_delay == 1:
        reached = set(network.of_kind("input"))
        hops = 0
        while reached:
            hops += 1
            reached = {at for at in into if lag[at] == 0 and any(arc.source in reached for arc in into[at])}
            for at in reached:
                lag[at] = hops
    else:
        for at in network.neurons:
            lag[at] = max((lag[arc.source] + 1 for arc in into[at] if arc.delay == 0), default=0)
    for at in network.of_kind("output"):
        lag[at] = max((lag[arc.source] for arc in arcs(network, at)), default=0)
    return tuple(lag)


def waits(network: Network, arc: Arc, lag: tuple[int, ...]) -> Ints:
    """Steps beyond the one that every synapse takes, in the shape of `Arc.used`: the graph's own delay,
    and what keeps paths of unequal length in step."""
    extra = 0
    if network.semantics.feedforward_delay == 0:
        extra = lag[arc.target] - lag[arc.source] - (1 if arc.delay == 0 else 0)
    return arc.steps + extra


def integers(arc: Arc) -> Integers | None:
    """The integers of a weight node, or None where it holds floats, or integers of several scales.

    They stand in ``nirbridge_q``; or, wider than it can hold, in the weights themselves, where the node
    says so (``nirbridge_netx`` with ``weights`` ``integers``: units of the quantum, as a `.net` file has).
    """
    q = quantization_of(arc.node, str(arc.name))
    if q is not None:
        if q.scale.size != 1 or q.zero_point != 0:
            return None
        return Integers(q.q.astype(np.int64), float(q.scale[0]))
    if arc.node.metadata.get(KEY, {}).get("weights") != "integers":
        return None
    weight = np.asarray(arc.node.weight, dtype=np.float64)
    return Integers(weight.astype(np.int64), 1.0) if np.all(weight == np.rint(weight)) else None


def quantum_of(scale: float, gain: NDArray[np.float64]) -> float:
    """Δ, what one integer step of a weight adds to V in a step without decay."""
    return float(scale * gain.mean())


def decays(network: Network, at: int) -> tuple[Ints, Ints]:
    """d_u and d_v of 4096, (n,): iDecay = round(4096(1−a_s)), 4096 without a synapse; vDecay alike."""
    p = network.populations[at]
    decay_u = np.rint(4096 * (1.0 - p.a_s)) if p.cuba else np.full(p.size, 4096.0)
    return decay_u.astype(np.int64), np.rint(4096 * (1.0 - p.a_m)).astype(np.int64)


def biases(
    network: Network, at: int, into: tuple[Arc, ...], quantum: float
) -> tuple[Ints, NDArray[np.float64]]:
    """Integer bias (n,) as mantissa<<exponent of the chip, and B (n,) in the graph's units.

    ``round(64·leak/Δ) + round(64·g·B·4096/(iDecay·Δ))``, leak = (1−a_m)·v_leak; the exponent is the
    smallest with which a neuron's mantissa has 13 bits.
    """
    p = network.populations[at]
    b = np.zeros(p.size)
    for item in into:
        if item.bias is not None:
            b += item.bias
    decay_u, _ = decays(network, at)
    total = np.rint(64 * p.leak / quantum)
    total += np.rint(64 * p.b_m * p.b_s * b * 4096 / (np.maximum(decay_u, 1) * quantum))
    exponent = np.ceil(np.log2(np.maximum(np.abs(total) / BIAS_MANTISSA, 1.0)))
    step = 2.0 ** np.minimum(exponent, BIAS_EXPONENT)
    return (np.rint(total / step) * step).astype(np.int64), b


def lower(network: Network, reset_interval: int = 0, reset_offset: int = 0) -> Lowered:
    """The integers of a network without findings of level error.

    reset_interval, reset_offset: with an interval the layer k hops behind the first is reset where
    ``t mod interval = (offset + 1 + k) mod interval``, as NetX's importer does.
    """
    lag = lags(network)
    order = sorted(network.neurons, key=lag.__getitem__)  # where every arc costs a step no order is given
    place = {at: k for k, at in enumerate(order)}
    (input_at,) = network.of_kind("input")
    inputs = input_channels(network, lag)
    first = lag[order[0]]
    layers: list[Layer] = []
    connections: list[Connection] = []
    scaling: list[Scaling] = []
    for at in order:
        p = network.populations[at]
        into = arcs(network, at)
        found = [(arc, q) for arc in into if arc.node is not None and (q := integers(arc)) is not None]
        scale = found[0][1].scale if found else 1.0
        quantum = quantum_of(scale, p.b_m * p.b_s)
        decay_u, decay_v = decays(network, at)
        bias, input_bias = biases(network, at, into, quantum)
        threshold = np.rint(p.threshold / quantum) if p.spiking else np.full(p.size, MAX_THRESHOLD)
        weights = [q.values.reshape(-1) for _, q in found]
        layers.append(
            Layer(
                name=p.name,
                shape=p.shape,
                decay_u=decay_u,
                decay_v=decay_v,
                threshold=threshold.astype(np.int64),
                bias=bias,
                spiking=p.spiking,
                reset_interval=reset_interval,
                reset_offset=reset_offset + 1 + lag[at] - first,
                weight_bits=import_rule(np.concatenate(weights)).bits if weights else 8,
                driven=any(arc.node is None for arc in into),
            )
        )
        scaling.append(
            Scaling(scale=scale, quantum=quantum, current=quantum / (64 * p.b_m), input_bias=input_bias)
        )
        mine: list[Connection] = []
        for arc, q in found:
            weight = q.values
            delay = np.where(arc.used, waits(network, arc, lag), 0)
            if arc.source == input_at and arc.window is None:
                weight, delay = inputs.split(weight, delay)
            mine.append(
                Connection(
                    name=str(arc.name),
                    source=INPUT if arc.source == input_at else place[arc.source],
                    target=place[at],
                    weight=weight,
                    delay=delay if np.any(delay) else None,
                    graded=arc.source == input_at,
                    window=arc.window,
                )
            )
        connections += sharing(joined(mine) if inputs.n_late else mine)
    chip = IntegerNetwork(n_inputs=inputs.size, layers=tuple(layers), connections=tuple(connections))
    late = lag if network.semantics.feedforward_delay == 0 else (0,) * len(lag)
    return Lowered(network=chip, inputs=inputs, populations=tuple(order), scaling=tuple(scaling), lag=late)


def input_channels(network: Network, lag: tuple[int, ...]) -> Injection:
    """The input channels that the chip needs, late ones included."""
    (input_at,) = network.of_kind("input")
    arriving = [
        (q.values, waits(network, arc, lag))
        for at in network.neurons
        for arc in arcs(network, at)
        if arc.source == input_at and arc.node is not None and arc.window is None
        if (q := integers(arc)) is not None
    ]
    return injection(network.populations[input_at].size, arriving)
