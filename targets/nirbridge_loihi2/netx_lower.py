"""A quantised NIR graph as the chain of integer layers that a NetX file can hold; refuses the rest."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.graph import inline
from nirbridge.graph.delays import fold, steps_of
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network, Population, Source, build
from nirbridge_loihi2.arcs import window_of
from nirbridge_loihi2.layers import INPUT, MAX_DELAY, MAX_THRESHOLD, Connection, IntegerNetwork, Ints, Layer
from nirbridge_loihi2.netx_graph import KEY, READOUT_FROM, overflows
from nirbridge_loihi2.netx_values import BIAS_RANGE
from nirbridge_loihi2.rules import semantics_findings
from nirbridge_loihi2.weights import import_rule

QUANTISE = "nirbridge convert IN OUT --for loihi2"


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """One weight node into a population, its source and the shape that it reads."""

    name: str
    node: Any
    source: int
    in_shape: tuple[int, ...]


def to_network(graph: nir.NIRGraph) -> IntegerNetwork:
    """The integers of a graph that this target's passes made, or that came from a `.net` file.

    Layers must stand in a chain, each with one feed-forward weight node (Linear, Affine or Conv2d,
    behind a Flatten if need be) and at most one recurrent one; decays, thresholds and scales must be one
    a population and whole numbers of the chip's steps; biases whole weight steps. A read-out gets
    vThMant 2^16 unless its metadata say another.

    Raises `Unsupported`: NB202 wiring, NB204 resets, NB206 fields that differ between neurons, NB207
    biases, NB208 delays, NB210 reset by subtraction, NB212 values that are not quantised.
    """
    network = build(fold(inline(graph)), keep_delays=True)
    for finding in semantics_findings(network):
        raise Unsupported(finding.message, code=finding.code, fix=finding.fix)
    inputs = network.of_kind("input")
    if len(inputs) != 1 or not network.neurons:
        raise _refuse("NB202", "the graph", f"{len(inputs)} Inputs and {len(network.neurons)} neuron nodes",
                      "give it one input and a chain of layers")  # fmt: skip
    place = {inputs[0]: INPUT}
    layers: list[Layer] = []
    connections: list[Connection] = []
    before = inputs[0]
    for at in _chain(network, inputs[0]):
        p = network.populations[at]
        terms = _terms(network, at)
        place[at] = len(layers)
        scale, arrays = _integers(p, terms)
        layers.append(_layer(p, terms, scale, arrays, last=not _feeds(network, at)))
        for term, weight in zip(terms, arrays, strict=True):
            if term.source not in (before, at):
                raise _refuse(
                    "NB202", _label(p), f"is fed by '{network.populations[term.source].name}'",
                    "let each layer be fed by the one before it and by itself",
                )  # fmt: skip
            connections.append(_connection(term, weight, place))
        before = at
    n_inputs = network.populations[inputs[0]].size if any(c.source == INPUT for c in connections) else 0
    return IntegerNetwork(n_inputs=n_inputs, layers=tuple(layers), connections=tuple(connections))


def _label(p: Population) -> str:
    return f"node '{p.name}' ({type(p.node).__name__})"


def _refuse(code: str, where: str, found: str, fix: str) -> Unsupported:
    return Unsupported(f"{where}: {found}; a chain of integer layers cannot hold it", code=code, fix=fix)


def _chain(network: Network, start: int) -> list[int]:
    """The neuron nodes in the order in which each feeds the next."""
    feeds = {at: {t.source for t in _terms(network, at)} - {at} for at in network.neurons}
    for at in network.neurons:
        if not feeds[at]:
            feeds[at] = {i.population for i in network.drives[at].inputs if isinstance(i, Source)}
    order: list[int] = []
    here = start
    while len(order) < len(network.neurons):
        following = [at for at in network.neurons if feeds[at] == {here} and at not in order]
        if len(following) != 1:
            name = network.populations[here].name
            raise _refuse("NB202", f"node '{name}'", f"feeds {len(following)} layers that nothing else feeds",
                          "give it exactly one: layers stand in a chain")  # fmt: skip
        here = following[0]
        order.append(here)
    return order


def _terms(network: Network, at: int) -> list[_Term]:
    drive, p = network.drives[at], network.populations[at]
    found = []
    for item in drive.inputs:
        if isinstance(item, Source):
            if network.populations[item.population].kind == "input" and len(drive.inputs) == 1:
                continue  # an input layer of neurons, driven by its biases
            raise _refuse("NB202", _label(p), "is fed without weights", "put a Linear in front of it")
        stage = drive.stages[item]
        (source, *more) = stage.inputs
        if isinstance(source, int) and isinstance(drive.stages[source].node, nir.Flatten):
            (source, *more) = drive.stages[source].inputs
        if (
            more
            or isinstance(source, int)
            or not isinstance(stage.node, nir.Linear | nir.Affine | nir.Conv2d)
        ):
            kind = type(stage.node).__name__
            raise _refuse("NB202", _label(p), f"is fed through node '{stage.name}' ({kind})",
                          "use one Linear, Affine or Conv2d, behind a Flatten if need be")  # fmt: skip
        found.append(_Term(stage.name, stage.node, source.population, stage.in_shape))
    return found


def _integers(p: Population, terms: list[_Term]) -> tuple[float, list[Ints]]:
    """The one scale of all weights into a population, and their integers."""
    scales, arrays = set(), []
    for term in terms:
        q = quantization_of(term.node, term.name)
        if q is not None and q.scale.size == 1 and q.zero_point == 0:
            scales.add(float(q.scale[0]))
            arrays.append(q.q.astype(np.int64))
            continue
        weight = np.asarray(term.node.weight, dtype=np.float64)
        if q is not None or np.any(weight != np.rint(weight)) or np.abs(weight).max(initial=0) > 256:
            raise _refuse(
                "NB212", f"node '{term.name}'", "its weights are no integers of one scale", QUANTISE
            )
        if weight.min() < 0 < weight.max() and np.any((np.abs(weight) > 127) & (weight % 2 != 0)):
            raise _refuse(
                "NB212", f"node '{term.name}'", "has odd mixed weights above 127 in magnitude", QUANTISE
            )
        scales.add(1.0)
        arrays.append(weight.astype(np.int64))
    if len(scales) > 1:
        raise _refuse("NB212", _label(p), f"the weights that arrive have scales {sorted(scales)}", QUANTISE)
    return next(iter(scales), 1.0), arrays


def _one(p: Population, what: str, values: NDArray[np.float64], low: int, high: int) -> int:
    """The one whole number that a population's values are."""
    if np.ptp(values) > 1e-5 * max(1.0, float(np.abs(values).max())):
        raise _refuse("NB206", _label(p), f"{what} differs between neurons", "split the node, one value each")
    value = float(values.flat[0])
    whole = round(value)
    if abs(value - whole) > 2e-3 + 1e-6 * abs(value):
        raise _refuse("NB212", _label(p), f"{what} is {value:.6g} of the chip's steps", QUANTISE)
    if not low <= whole <= high:
        raise _refuse("NB212", _label(p), f"{what} is {whole}, expected {low} to {high}", QUANTISE)
    return whole


def _layer(p: Population, terms: list[_Term], scale: float, arrays: list[Ints], *, last: bool) -> Layer:
    if p.spiking and np.any(p.v_reset != 0):
        count = int(np.count_nonzero(p.v_reset))
        raise _refuse("NB204", _label(p), f"v_reset is not 0 at {count} of {p.size} neurons",
                      "run the pass 'shift-reset'")  # fmt: skip
    gain = p.b_m * p.b_s if p.cuba else p.b_m
    if np.any(gain <= 0) or np.ptp(gain) > 1e-5 * np.abs(gain).max():
        raise _refuse(
            "NB212", _label(p), f"a weight's gain lies in [{gain.min():g}, {gain.max():g}]", QUANTISE
        )
    quantum = scale * float(gain.mean())
    decay_u = _one(p, "iDecay", 4096 * (1 - p.a_s), 0, 4096) if p.cuba else 4096
    if not terms:
        decay_u = int(p.node.metadata.get(KEY, {}).get("iDecay", decay_u))
    decay_v = _one(p, "vDecay", 4096 * (1 - p.a_m), 0, 4096)
    if p.spiking:
        most = MAX_THRESHOLD + 1 if overflows(p) else MAX_THRESHOLD
        threshold = _one(p, "vThMant", p.threshold / quantum, 1, most)
        if last and threshold >= READOUT_FROM:
            raise _refuse("NB212", _label(p), f"vThMant {threshold} of the last layer reads as a read-out",
                          "quantise with a larger scale")  # fmt: skip
    else:
        threshold = int(p.node.metadata.get(KEY, {}).get("vThMant", READOUT_FROM))
    bias = _bias(p, terms, decay_u, quantum, gain)
    weights = [w.reshape(-1) for w in arrays]
    bits = import_rule(np.concatenate(weights)).bits if weights else 8
    full = np.full(p.size, 1, np.int64)
    return Layer(
        name=p.name,
        shape=p.shape,
        decay_u=decay_u * full,
        decay_v=decay_v * full,
        threshold=threshold * full,
        bias=bias << 6,
        spiking=p.spiking,
        weight_bits=bits,
    )


def _bias(p: Population, terms: list[_Term], decay_u: int, quantum: float, gain: NDArray[np.float64]) -> Ints:
    """Bias mantissas (n,): leak/Δ, and the biases of weight nodes where no synapse filters them."""
    total = p.leak / quantum
    for term in terms:
        own = np.asarray(getattr(term.node, "bias", np.zeros(1)), dtype=np.float64).reshape(-1)
        if not np.any(own):
            continue
        if decay_u != 4096:
            raise _refuse("NB207", f"node '{term.name}'", "its bias passes through a synapse",
                          "move the bias into v_leak, which acts on the membrane")  # fmt: skip
        total = total + np.repeat(own, p.size // own.size) * gain / quantum
    bias = np.rint(total)
    off = np.abs(total - bias) > 2e-3 + 1e-6 * np.abs(bias)
    least, most = BIAS_RANGE
    wide = (bias < least) | (bias > most)
    if np.any(off | wide):
        count = int((off | wide).sum())
        found = f"the bias of {count} of {p.size} neurons is no whole weight step in [{least}, {most}]"
        raise _refuse("NB207", _label(p), found, "round the biases to multiples of the weight step")
    return bias.astype(np.int64)


def _feeds(network: Network, at: int) -> bool:
    """Whether another layer follows."""
    return any(t.source == at for other in network.neurons if other != at for t in _terms(network, other))


def _connection(term: _Term, weight: Ints, place: dict[int, int]) -> Connection:
    steps = steps_of(term.node, term.name) if weight.ndim == 2 else None
    if steps is not None and steps.max(initial=0) > MAX_DELAY:
        found = f"a delay of {steps.max()} steps, expected 0 to {MAX_DELAY}"
        raise _refuse("NB208", f"node '{term.name}'", found, "run the pass 'round-delays'")
    window = None
    if isinstance(term.node, nir.Conv2d):
        window = window_of(term.node, term.name, term.in_shape)
    return Connection(
        name=term.name,
        source=place[term.source],
        target=max(place.values()),
        weight=weight,
        delay=None if steps is None else steps.astype(np.int64),
        window=window,
    )
