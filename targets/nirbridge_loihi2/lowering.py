"""From a quantised graph to integers: one scale per population, decays of 4096, thresholds (LOIHI2.md §3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.delays import steps_of
from nirbridge.graph.quantization import Quantization, quantization_of
from nirbridge.network import Network, Synapses, synapses
from nirbridge_loihi2.late import Injection, injection, joined
from nirbridge_loihi2.layers import INPUT, MAX_THRESHOLD, Connection, IntegerNetwork, Ints, Layer
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
    population comes later than with zero feed-forward delay.
    """

    network: IntegerNetwork
    inputs: Injection
    populations: tuple[int, ...]
    scaling: tuple[Scaling, ...]
    lag: tuple[int, ...]


def lags(network: Network) -> tuple[int, ...]:
    """Ticks by which every population is late on a chip where each synapse takes a step.

    The longest chain of arcs without delay; where the graph's own semantics delay every arc, the
    fewest arcs from the Input, as `Network.depth` counts.
    """
    if network.semantics.feedforward_delay == 1:
        lag = [max(depth, 0) for depth in network.depth]
    else:
        lag = [0] * len(network.populations)
        for at in network.neurons:
            lag[at] = max((lag[s.source] + 1 for s in synapses(network, at) if s.delay == 0), default=0)
    for at in network.of_kind("output"):
        lag[at] = max((lag[s.source] for s in synapses(network, at)), default=0)
    return tuple(lag)


def waits(network: Network, item: Synapses, lag: tuple[int, ...]) -> Ints:
    """Steps beyond the one that every synapse takes, (n_post, n_pre): the graph's own delay, and what
    keeps paths of unequal length in step."""
    extra = 0
    if network.semantics.feedforward_delay == 0:
        extra = lag[item.target] - lag[item.source] - (1 if item.delay == 0 else 0)
    assert item.node is not None and item.name is not None and item.weight is not None
    steps = steps_of(item.node, item.name)
    own = np.zeros(item.weight.shape, np.int64) if steps is None else steps.astype(np.int64)
    return own + extra


def integers(item: Synapses) -> Quantization | None:
    """The integers of a weight node, or None where it holds floats."""
    assert item.node is not None and item.name is not None
    return quantization_of(item.node, item.name)


def quantum_of(scale: float, gain: NDArray[np.float64]) -> float:
    """Δ, what one integer step of a weight adds to V in a step without decay."""
    return float(scale * gain.mean())


def decays(network: Network, at: int) -> tuple[Ints, Ints]:
    """d_u and d_v of 4096, (n,): iDecay = round(4096(1−a_s)), 4096 without a synapse; vDecay alike."""
    p = network.populations[at]
    decay_u = np.rint(4096 * (1.0 - p.a_s)) if p.cuba else np.full(p.size, 4096.0)
    return decay_u.astype(np.int64), np.rint(4096 * (1.0 - p.a_m)).astype(np.int64)


def biases(
    network: Network, at: int, into: tuple[Synapses, ...], quantum: float
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


def lower(network: Network) -> Lowered:
    """The integers of a network without findings of level error."""
    lag = lags(network)
    place = {at: k for k, at in enumerate(network.neurons)}
    (input_at,) = network.of_kind("input")
    inputs = input_channels(network, lag)
    layers: list[Layer] = []
    connections: list[Connection] = []
    scaling: list[Scaling] = []
    for at in network.neurons:
        p = network.populations[at]
        into = synapses(network, at)
        found = [(item, q) for item in into if (q := integers(item)) is not None]
        scale = float(found[0][1].scale[0])
        quantum = quantum_of(scale, p.b_m * p.b_s)
        decay_u, decay_v = decays(network, at)
        bias, input_bias = biases(network, at, into, quantum)
        threshold = np.rint(p.threshold / quantum) if p.spiking else np.full(p.size, MAX_THRESHOLD)
        weights = [q.q.astype(np.int64) for _, q in found]
        layers.append(
            Layer(
                name=p.name,
                shape=p.shape,
                decay_u=decay_u,
                decay_v=decay_v,
                threshold=threshold.astype(np.int64),
                bias=bias,
                spiking=p.spiking,
                weight_bits=import_rule(np.concatenate(weights, axis=1)).bits,
            )
        )
        scaling.append(
            Scaling(scale=scale, quantum=quantum, current=quantum / (64 * p.b_m), input_bias=input_bias)
        )
        mine: list[Connection] = []
        for (item, _), weight in zip(found, weights, strict=True):
            delay = np.where(weight != 0, waits(network, item, lag), 0)
            if item.source == input_at:
                weight, delay = inputs.split(weight, delay)
            mine.append(
                Connection(
                    name=str(item.name),
                    source=INPUT if item.source == input_at else place[item.source],
                    target=place[at],
                    weight=weight,
                    delay=delay if np.any(delay) else None,
                    graded=item.source == input_at,
                )
            )
        connections += joined(mine) if inputs.n_late else mine
    chip = IntegerNetwork(n_inputs=inputs.size, layers=tuple(layers), connections=tuple(connections))
    return Lowered(network=chip, inputs=inputs, populations=network.neurons, scaling=tuple(scaling), lag=lag)


def input_channels(network: Network, lag: tuple[int, ...]) -> Injection:
    """The input channels that the chip needs, late ones included."""
    (input_at,) = network.of_kind("input")
    arriving = [
        (q.q.astype(np.int64), waits(network, item, lag))
        for at in network.neurons
        for item in synapses(network, at)
        if item.source == input_at and (q := integers(item)) is not None
    ]
    return injection(network.populations[input_at].size, arriving)
