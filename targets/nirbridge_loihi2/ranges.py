"""What the chip's number ranges refuse: weights, thresholds, decays, biases, delays, each with its count."""

from __future__ import annotations

from collections.abc import Iterator

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Finding
from nirbridge.graph.quantization import quantization_of
from nirbridge.network import Network, Population, Source
from nirbridge_loihi2.arcs import Arc, arcs
from nirbridge_loihi2.layers import MAX_DELAY, MAX_THRESHOLD
from nirbridge_loihi2.lowering import (
    BIAS_EXPONENT,
    BIAS_MANTISSA,
    biases,
    decays,
    input_channels,
    integers,
    lags,
    quantum_of,
    waits,
)
from nirbridge_loihi2.netx_graph import overflows
from nirbridge_loihi2.rules import CONVERT, error, findings_of, label

NEVER = 1e-8  # share of a state that is lost in a step, below which it is meant not to decay
LOWER = "write vThMant up to 131071 into the .net file (65536 for a read-out)"
SAME_GAIN = 1e-5  # relative spread of the gain that float32 storage explains


def range_findings(network: Network) -> list[Finding]:
    """NB2xx findings of a legally wired network's delays, weights, thresholds, decays and biases."""
    lag = lags(network)
    found: list[Finding] = []
    for at in network.neurons:
        into = arcs(network, at)
        for item in into:
            if item.node is not None:
                found += _delays(network, item, lag)
        found += _weights(network, at, into)
    if not any(f.level == "error" for f in found):
        found += _late(network, lag)
    return found


def chip_findings(network: Network) -> list[Finding]:
    """NB212 for what is simulated as a `.net` file has it, and a chip cannot hold: a vThMant of 2^17."""
    return [
        error("NB212", p.name, f"{label(p)}: vThMant is 131072 at all {p.size} neurons, expected at most "
              f"{MAX_THRESHOLD}: simulated, but it overflows the chip's 17-bit field", LOWER)
        for at in network.neurons
        if overflows(p := network.populations[at])
    ]  # fmt: skip


def loop_findings(folded: Network, lowered: Network) -> list[Finding]:
    """NB211 where taking Delay nodes into weights moves the step that a loop costs to another arc."""
    a, b = _arcs(folded), _arcs(lowered)
    return [
        error(
            "NB211",
            pair[1],
            f"the loop through '{pair[0]}' and '{pair[1]}' costs its step on another arc once its Delay "
            "nodes are synaptic delays",
            "make every path from the Input into the loop as long without its Delay nodes",
        )
        for pair in sorted(set(a) | set(b))
        if a.get(pair) != b.get(pair)
    ]


def _arcs(network: Network) -> dict[tuple[str, str], set[int]]:
    """Steps of rule 4 (SEMANTICS.md §1) from each population to each neuron, through Delay nodes."""
    found: dict[tuple[str, str], set[int]] = {}

    def follow(at: int, target: str, steps: int) -> None:
        drive = network.drives[at]
        arcs = [*drive.inputs, *(item for stage in drive.stages for item in stage.inputs)]
        for source in arcs:
            if isinstance(source, Source):
                p = network.populations[source.population]
                if p.kind == "delay":
                    follow(source.population, target, steps + source.delay)
                else:
                    found.setdefault((p.name, target), set()).add(steps + source.delay)

    for at in network.neurons:
        follow(at, network.populations[at].name, 0)
    return found


def _delays(network: Network, item: Arc, lag: tuple[int, ...]) -> Iterator[Finding]:
    source, target = network.populations[item.source], network.populations[item.target]
    try:
        wait = waits(network, item, lag)
    except BadInput as raised:
        yield from findings_of(raised)
        return
    used = item.used
    early, long = used & (wait < 0), used & (wait > MAX_DELAY)
    where = f"node '{item.name}' leads from '{source.name}' to '{target.name}'"
    if np.any(early):
        yield error(
            "NB211",
            item.name,
            f"{where} and would need {wait[early].min()} steps of delay on chip at {_share(early)}, "
            f"expected 0 to {MAX_DELAY}",
            "use recurrence within a layer, or semantics with feedforward_delay 1",
        )
    if np.any(long) and (source.kind != "input" or item.window is not None):
        yield error(
            "NB208",
            item.name,
            f"{where} with delays of up to {wait[long].max()} steps at {_share(long)}, expected 0 to "
            f"{MAX_DELAY}",
            "use shorter delays or a larger dt; only behind the Input can the host send later",
        )


def _share(where: NDArray[np.bool_]) -> str:
    neurons = np.count_nonzero(where.any(axis=1))
    return f"{np.count_nonzero(where)} synapses of {neurons} of {len(where)} neurons"


def _late(network: Network, lag: tuple[int, ...]) -> Iterator[Finding]:
    """What the host sends late, named: it costs messages."""
    inputs = input_channels(network, lag)
    (at,) = network.of_kind("input")
    if inputs.n_late:
        whole = [a for k in network.neurons for a in arcs(network, k) if a.source == at and _whole(a)]
        if whole:
            name = network.populations[at].name
            yield error(
                "NB208",
                name,
                f"node '{name}' (Input) has a delay line of more than {MAX_DELAY} steps behind it, and "
                f"'{whole[0].name or network.populations[whole[0].target].name}' hears all its channels",
                f"use delays of at most {MAX_DELAY} steps beside a convolution or bias-driven neurons",
            )
            return
        late = inputs.late[inputs.late > 0]
        steps = ", ".join(map(str, np.unique(late)[:6])) + (", …" if len(np.unique(late)) > 6 else "")
        yield Finding(
            code="NB208",
            level="info",
            node=network.populations[at].name,
            message=f"{label(network.populations[at])} has a delay line behind it: the host sends "
            f"{inputs.n_late} channels late, by {steps} steps, and each late copy counts as an input message",
        )


def _whole(arc: Arc) -> bool:
    """Whether an arc reads the channels of its source by their place."""
    return arc.node is None or arc.window is not None


def _weights(network: Network, at: int, into: tuple[Arc, ...]) -> list[Finding]:
    p = network.populations[at]
    found: list[Finding] = []
    scales: dict[str, float] = {}
    for item in into:
        if item.node is None:  # the Input itself: a value is a mantissa of the bias, one step of the weights
            scales[network.populations[item.source].name] = 1.0
            continue
        try:
            problem = _not_integers(item)
            q = None if problem else integers(item)
        except BadInput as raised:
            found += findings_of(raised)
            continue
        if q is None:
            found.append(error("NB212", item.name, f"node '{item.name}' {problem}", CONVERT))
        else:
            scales[str(item.name)] = q.scale
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
    quantum = quantum_of(next(iter(scales.values()), 1.0), gain)
    found += [*_thresholds(p, quantum), *_decays(network, at)]
    if not any(f.level == "error" for f in found):
        found += _biases(network, at, into, quantum)
    return found


def _not_integers(item: Arc) -> str | None:
    """What keeps a weight node's values from being stored on the chip."""
    q = quantization_of(item.node, str(item.name))
    if q is not None:
        if q.scale.size == 1 and q.zero_point == 0:
            return None
        return f"has {q.scale.size} scales and zero point {q.zero_point}, expected one scale and zero point 0"
    found = integers(item)
    if found is None:
        return f"({type(item.node).__name__}): target 'loihi2' needs integer weights, got floats"
    low, high = int(found.values.min(initial=0)), int(found.values.max(initial=0))
    odd = low < 0 < high and bool(np.any((np.abs(found.values) > 127) & (found.values % 2 != 0)))
    if low < (-256 if high > 0 else -255) or high > (254 if low < 0 else 255) or odd:
        return (
            f"({type(item.node).__name__}): integer weights in [{low}, {high}]{', some odd' if odd else ''}; "
            "the chip holds [-127, 127], even ones in [-256, 254], or one sign up to 255"
        )
    return None


def _off(p: Population, bad: NDArray[np.bool_]) -> str:
    return f"at {np.count_nonzero(bad)} of {p.size} neurons"


def _thresholds(p: Population, quantum: float) -> Iterator[Finding]:
    if not p.spiking:
        return
    whole = np.rint(p.threshold / quantum)
    most = MAX_THRESHOLD + 1 if overflows(p) else MAX_THRESHOLD
    for bad, fix in ((whole < 1, "more"), (whole > most, "fewer")):
        if np.any(bad):
            yield error(
                "NB212",
                p.name,
                f"{label(p)}: the threshold becomes {whole[bad][0]:g} weight steps of {quantum:g} "
                f"{_off(p, bad)}, expected 1 to {MAX_THRESHOLD}",
                f"quantise the weights to {fix} bits or by another scheme: "
                "--pass quantize-weights:bits=8,scheme=percentile",
            )


def _decays(network: Network, at: int) -> Iterator[Finding]:
    p = network.populations[at]
    decay_u, decay_v = decays(network, at)
    for name, decay, factor in (("synaptic", decay_u, p.a_s), ("membrane", decay_v, p.a_m)):
        least = 1 if name == "synaptic" else 0
        never = 1.0 - factor < NEVER  # meant not to decay: nothing is rounded
        bad = ((decay < least) & ~never) | (decay > 4096)
        slow = (decay == 0) & ~never & ~bad
        if np.any(bad):
            yield error(
                "NB212",
                p.name,
                f"{label(p)}: the {name} decay becomes {decay[bad][0]} of 4096 {_off(p, bad)}, expected "
                f"{least} to 4096",
                "use time constants of 1 to 8192 steps",
            )
        if np.any(slow):
            yield Finding(
                code="NB212",
                level="warning",
                node=p.name,
                message=f"{label(p)}: {name} time constants above 8192 steps do not decay at all "
                f"{_off(p, slow)}",
                fix="use a larger dt, or IF neurons where no decay is meant",
            )


def _biases(network: Network, at: int, into: tuple[Arc, ...], quantum: float) -> Iterator[Finding]:
    p = network.populations[at]
    bias, input_bias = biases(network, at, into, quantum)
    most = BIAS_MANTISSA << BIAS_EXPONENT
    bad = np.abs(bias) > most
    if np.any(bad):
        yield error(
            "NB212",
            p.name,
            f"{label(p)}: the bias becomes {bias[bad][0]} units of 1/64 weight step {_off(p, bad)}, expected "
            f"at most {most}",
            "make biases and v_leak smaller against the largest weight",
        )
    steady = (input_bias != 0) & (decays(network, at)[0] < 4096)
    if np.any(steady):
        if network.semantics.bias_path != "synapse":
            yield error(
                "NB207",
                p.name,
                f"{label(p)}: bias_path '{network.semantics.bias_path}' does not run on target 'loihi2'",
                "use semantics with bias_path='synapse'",
            )
        yield Finding(
            code="NB207",
            level="warning",
            node=p.name,
            message=f"{label(p)}: a bias behind a synapse acts at once at its steady value {_off(p, steady)}",
            fix="exact without a synapse (LIF, IF)",
        )
