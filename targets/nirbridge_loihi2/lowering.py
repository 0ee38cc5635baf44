"""From a quantised graph to integers: one scale per population, decays of 4096, thresholds (LOIHI2.md §3)."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding
from nirbridge.graph.quantization import Quantization, quantization_of
from nirbridge.network import Network, Synapses, synapses
from nirbridge_loihi2.layers import INPUT, MAX_DELAY, MAX_THRESHOLD, Connection, IntegerNetwork, Ints, Layer
from nirbridge_loihi2.rules import CONVERT, error, findings_of, label
from nirbridge_loihi2.weights import import_rule

SAME_GAIN = 1e-5  # relative spread of the gain that float32 storage explains
_BIAS_MANTISSA, _BIAS_EXPONENT = 4095, 7  # 13 bits signed, 0 to 7


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

    lag: ticks by which each population comes later than with zero feed-forward delay.
    """

    network: IntegerNetwork
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


def extra_delay(network: Network, item: Synapses, lag: tuple[int, ...]) -> int:
    """Steps beyond the one that every synapse takes, so that paths of unequal length stay in step."""
    if network.semantics.feedforward_delay == 1:
        return 0
    return lag[item.target] - lag[item.source] - (1 if item.delay == 0 else 0)


def lowering_findings(network: Network) -> list[Finding]:
    """NB2xx findings of weights, decays, thresholds, biases and loops of a legally wired network."""
    lag = lags(network)
    found: list[Finding] = []
    for at in network.neurons:
        into = synapses(network, at)
        for item in into:
            extra = extra_delay(network, item, lag)
            if not 0 <= extra <= MAX_DELAY:
                found.append(
                    error(
                        "NB211" if extra < 0 else "NB208",
                        item.name,
                        f"node '{item.name}' leads from '{network.populations[item.source].name}' to "
                        f"'{network.populations[at].name}' and would need {extra} steps of delay on chip, "
                        f"expected 0 to {MAX_DELAY}",
                        "use recurrence within a layer, or semantics with feedforward_delay 1",
                    )
                )
        found += _weight_findings(network, at, into)
    return found


def _integers(item: Synapses) -> Quantization | None:
    assert item.node is not None and item.name is not None
    return quantization_of(item.node, item.name)


def _weight_findings(network: Network, at: int, into: tuple[Synapses, ...]) -> list[Finding]:
    p = network.populations[at]
    found: list[Finding] = []
    scales: dict[str, float] = {}
    for item in into:
        try:
            q = _integers(item)
        except BadInput as raised:
            found += findings_of(raised)
            continue
        if q is None:
            found.append(
                error("NB212", item.name, f"node '{item.name}' ({type(item.node).__name__}): target 'loihi2' "
                      "needs integer weights, got floats", CONVERT)
            )  # fmt: skip
        elif q.scale.size != 1 or q.zero_point != 0:
            found.append(
                error("NB212", item.name, f"node '{item.name}' has {q.scale.size} scales and zero point "
                      f"{q.zero_point}, expected one scale and zero point 0", CONVERT)
            )  # fmt: skip
        else:
            scales[str(item.name)] = float(q.scale[0])
    if len(set(scales.values())) > 1:
        parts = ", ".join(f"'{name}' {scale:g}" for name, scale in scales.items())
        found.append(
            error("NB212", p.name, f"{label(p)}: weights that arrive have different scales ({parts}), "
                  "expected one for the population", CONVERT)
        )  # fmt: skip
    gain = p.b_m * p.b_s
    if np.any(gain <= 0) or np.ptp(gain) > SAME_GAIN * np.abs(gain).max():
        found.append(
            error("NB212", p.name, f"{label(p)}: a weight's gain lies in [{gain.min():g}, {gain.max():g}], "
                  "expected one positive gain for the population", CONVERT)
        )  # fmt: skip
    if found:
        return found
    quantum = _quantum(next(iter(scales.values()), 1.0), gain)
    return _range_findings(network, at, into, quantum)


def _range_findings(network: Network, at: int, into: tuple[Synapses, ...], quantum: float) -> list[Finding]:
    p = network.populations[at]
    found: list[Finding] = []
    threshold = np.rint(p.threshold / quantum)
    if p.spiking and (threshold.min() < 1 or threshold.max() > MAX_THRESHOLD):
        found.append(
            error("NB212", p.name, f"{label(p)}: thresholds become {threshold.min():g} to "
                  f"{threshold.max():g} quanta of {quantum:g}, expected 1 to {MAX_THRESHOLD}",
                  "quantise with another scale: --pass quantize-weights:bits=8,scheme=percentile")
        )  # fmt: skip
    decay_u, decay_v = _decays(network, at)
    for name, decay, factor in (("synaptic", decay_u, p.a_s), ("membrane", decay_v, p.a_m)):
        if np.any((decay < 0) | (decay > 4096)) or (name == "synaptic" and np.any(decay < 1)):
            found.append(
                error("NB212", p.name, f"{label(p)}: {name} decays become {decay.min()} to {decay.max()} of "
                      "4096, expected 1 to 4096", "use time constants of 1 to 8192 steps")
            )  # fmt: skip
        elif np.any((decay == 0) & (factor < 1.0)):
            found.append(
                Finding(code="NB212", level="warning", node=p.name,
                        message=f"{label(p)}: {name} time constants above 8192 steps do not decay at all")
            )  # fmt: skip
    if found and found[-1].level == "error":
        return found
    bias, input_bias = _bias(network, at, into, quantum)
    if np.abs(bias).max(initial=0) > _BIAS_MANTISSA << _BIAS_EXPONENT:
        found.append(
            error("NB212", p.name, f"{label(p)}: a bias becomes {np.abs(bias).max()} units, expected at most "
                  f"{_BIAS_MANTISSA << _BIAS_EXPONENT}", "make biases smaller against the threshold")
        )  # fmt: skip
    if np.any(input_bias[decay_u < 4096] != 0):
        if network.semantics.bias_path != "synapse":
            found.append(
                error("NB207", p.name, f"{label(p)}: bias_path '{network.semantics.bias_path}' does not run "
                      "on target 'loihi2'", "use semantics with bias_path='synapse'")
            )  # fmt: skip
        found.append(
            Finding(code="NB207", level="warning", node=p.name,
                    message=f"{label(p)}: a bias behind a synapse acts at once at its steady value",
                    fix="exact without a synapse (LIF, IF)")
        )  # fmt: skip
    return found


def _quantum(scale: float, gain: NDArray[np.float64]) -> float:
    return float(scale * gain.mean())


def _decays(network: Network, at: int) -> tuple[Ints, Ints]:
    """d_u and d_v of 4096, (n,): iDecay = round(4096(1−a_s)), 4096 without a synapse; vDecay alike."""
    p = network.populations[at]
    decay_u = np.rint(4096 * (1.0 - p.a_s)) if p.cuba else np.full(p.size, 4096.0)
    return decay_u.astype(np.int64), np.rint(4096 * (1.0 - p.a_m)).astype(np.int64)


def _bias(
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
    decay_u, _ = _decays(network, at)
    total = np.rint(64 * p.leak / quantum)
    total += np.rint(64 * p.b_m * p.b_s * b * 4096 / (np.maximum(decay_u, 1) * quantum))
    exponent = np.ceil(np.log2(np.maximum(np.abs(total) / _BIAS_MANTISSA, 1.0)))
    step = 2.0 ** np.minimum(exponent, _BIAS_EXPONENT)
    return (np.rint(total / step) * step).astype(np.int64), b


def lower(network: Network) -> Lowered:
    """The integers of a network without findings of level error."""
    lag = lags(network)
    place = {at: k for k, at in enumerate(network.neurons)}
    (input_at,) = network.of_kind("input")
    layers, connections, scaling = [], [], []
    for at in network.neurons:
        p = network.populations[at]
        into = synapses(network, at)
        found = [(item, q) for item in into if (q := _integers(item)) is not None]
        scale = float(found[0][1].scale[0])
        quantum = _quantum(scale, p.b_m * p.b_s)
        decay_u, decay_v = _decays(network, at)
        bias, input_bias = _bias(network, at, into, quantum)
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
        for (item, _), weight in zip(found, weights, strict=True):
            extra = extra_delay(network, item, lag)
            connections.append(
                Connection(
                    name=str(item.name),
                    source=INPUT if item.source == input_at else place[item.source],
                    target=place[at],
                    weight=weight,
                    delay=np.full_like(weight, extra) if extra else None,
                    graded=item.source == input_at,
                )
            )
    integers = IntegerNetwork(
        n_inputs=network.populations[input_at].size, layers=tuple(layers), connections=tuple(connections)
    )
    return Lowered(network=integers, populations=network.neurons, scaling=tuple(scaling), lag=lag)
