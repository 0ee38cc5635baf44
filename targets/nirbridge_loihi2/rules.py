"""What a graph must not ask of Loihi 2: node types, semantics, wiring, resets; all findings at once."""

from __future__ import annotations

from collections.abc import Iterator

import nir
import numpy as np

from nirbridge.errors import Finding, NirbridgeError
from nirbridge.network import Network, Population, Source
from nirbridge_loihi2.arcs import arcs

NODES = (
    nir.Input, nir.Output, nir.Linear, nir.Affine,
    nir.IF, nir.LIF, nir.CubaLIF, nir.I, nir.LI, nir.CubaLI, nir.Conv2d, nir.Flatten,
)  # fmt: skip
CONVERT = "nirbridge convert IN OUT --for loihi2"
PROFILES = ("canonical", "genn")  # the others have lines of their own (SEMANTICS.md §4)
_SEMANTICS = {
    "syn_input": ("after",),
    "order": ("current-first", "exact"),
    "reset_at": ("same-step",),
    "emit": ("after-update",),
    "multi_spike": (False,),
    "floor": (None,),
    "delayed": ("state",),
    "arithmetic": ("float32", "float64"),
}


def error(code: str, node: str | None, message: str, fix: str | None = None) -> Finding:
    """A finding of level error."""
    return Finding(code=code, level="error", node=node, message=message, fix=fix)


def findings_of(raised: NirbridgeError) -> list[Finding]:
    """A raised error as findings, whether or not it lists its own among them."""
    listed = list(raised.findings)
    if any(finding.message == raised.message for finding in listed):
        return listed
    return [error(raised.code, None, raised.message, raised.fix), *listed]


def label(population: Population) -> str:
    """How messages name a node: node 'hidden' (CubaLIF)."""
    return f"node '{population.name}' ({type(population.node).__name__})"


def node_findings(graph: nir.NIRGraph) -> list[Finding]:
    """NB201 (NB208 for a Delay) for every node of a folded graph whose type does not run here, by name."""
    known = ", ".join(node.__name__ for node in NODES)
    delayed = {a for a, b in graph.edges if isinstance(graph.nodes[b], nir.Conv2d)}
    delayed -= {a for a, b in graph.edges if not isinstance(graph.nodes[b], nir.Conv2d)}
    return [
        error(
            "NB208",
            name,
            f"node '{name}' (Delay): target 'loihi2' delays synapses, expected it right in front of Linear, "
            "Affine or Conv2d nodes that have no other source",
            "give every weight node one source, and put the Delay between the two",
        )
        if isinstance(node, nir.Delay)
        else error(
            "NB201",
            name,
            f"node '{name}' ({type(node).__name__}): target 'loihi2' does not run this type yet",
            f"supported: {known}, Delay",
        )
        for name, node in sorted(graph.nodes.items())
        if not isinstance(node, NODES) and not (isinstance(node, nir.Delay) and name in delayed)
    ]


def network_findings(network: Network) -> list[Finding]:
    """NB2xx findings of semantics, wiring and resets of a lowered graph."""
    return [
        *semantics_findings(network),
        *_ports(network),
        *(finding for at in network.neurons for finding in _wiring(network, at)),
        *(finding for at in network.neurons for finding in _neuron(network.populations[at])),
    ]


def semantics_findings(network: Network) -> Iterator[Finding]:
    """NB201 and NB210 for the profile and every field of the semantics that the chip does not do.

    Profile ``loihi`` too: it makes integers of its own scale of the float weights, and this target runs
    those that its passes made. Of any other profile only the name is said: its fields go with it.
    """
    semantics = network.semantics
    if semantics.profile not in PROFILES:
        yield error(
            "NB201",
            None,
            f"the graph's semantics are those of profile '{semantics.profile}', whose reader computes "
            f"another step; target 'loihi2' runs {' and '.join(map(repr, PROFILES))}",
            "run it on target reference, or train it under canonical semantics",
        )
        return
    if semantics.reset == "subtract":
        yield error(
            "NB210",
            None,
            "the graph resets by subtracting the threshold, target 'loihi2' resets to 0 only",
            "train or convert with reset to value",
        )
    for name, allowed in _SEMANTICS.items():
        value = getattr(semantics, name)
        if value not in allowed:
            yield error(
                "NB201",
                None,
                f"semantics field {name}={value!r} does not run on target 'loihi2', "
                f"expected {' or '.join(map(repr, allowed))}",
                "rewrite the graph to canonical semantics",
            )


def _ports(network: Network) -> Iterator[Finding]:
    inputs, outputs = network.of_kind("input"), network.of_kind("output")
    if len(inputs) != 1 or len(outputs) != 1:
        yield error(
            "NB202",
            None,
            f"target 'loihi2' needs one Input and one Output, got {len(inputs)} and {len(outputs)}",
            "split the graph",
        )
        return
    source = output_source(network)
    name = network.populations[outputs[0]].name
    if source is None:
        yield error(
            "NB202",
            name,
            f"node '{name}' (Output) must be fed by exactly one neuron node and nothing in between",
            "end the graph with a neuron, such as LI, in front of the Output",
        )


def output_source(network: Network) -> int | None:
    """Index of the neuron population that alone feeds the Output, or None."""
    (at,) = network.of_kind("output")
    drive = network.drives[at]
    if drive.stages or len(drive.inputs) != 1:
        return None
    (source,) = drive.inputs
    if not isinstance(source, Source) or not network.populations[source.population].is_neuron:
        return None
    return source.population


def _wiring(network: Network, at: int) -> Iterator[Finding]:
    population = network.populations[at]
    try:
        into = arcs(network, at)
    except NirbridgeError as raised:
        yield from findings_of(raised)
        return
    if not into:
        yield error("NB106", population.name, f"{label(population)} has no input", "remove it or connect it")
    for item in into:
        source = network.populations[item.source]
        rank = len(np.shape(getattr(item.node, "weight", 0)))
        if item.node is None:
            yield from _unweighted(population, source)
        elif item.window is None and rank != 2:
            yield error(
                "NB202",
                item.name,
                f"node '{item.name}' has a weight of rank {rank}, expected 2",
                "flatten the layer",
            )
        if source.is_neuron and not source.spiking:
            yield error(
                "NB202",
                population.name,
                f"{label(population)} is fed by {label(source)}, which sends values; chips send spikes",
                "use spiking neurons in front of weights",
            )


def _unweighted(population: Population, source: Population) -> Iterator[Finding]:
    """An Input may feed neurons without a synapse: its values are biases; everything else needs weights."""
    if source.kind == "input" and not population.cuba:
        return
    why = "" if source.kind != "input" else "; as a bias it would bypass the synapse"
    yield error(
        "NB202",
        population.name,
        f"{label(population)} is fed by '{source.name}' without weights{why}, expected a Linear, Affine or "
        "Conv2d between them",
        "put an identity Linear between the two",
    )


def _neuron(p: Population) -> Iterator[Finding]:
    off = np.flatnonzero(p.v_reset != 0.0) if p.spiking else np.zeros(0, np.int64)
    if off.size:
        yield error(
            "NB204",
            p.name,
            f"{label(p)}: target 'loihi2' needs v_reset = 0, "
            f"got {p.v_reset[off[0]]:g} at {off.size} of {p.size} neurons",
            "nirbridge convert IN OUT --pass shift-reset   (exact only if the membrane starts at v_reset)",
        )
    started = np.flatnonzero(p.v_start != 0.0)
    if started.size:
        yield error(
            "NB203",
            p.name,
            f"{label(p)}: target 'loihi2' starts at V = 0, "
            f"got {p.v_start[started[0]]:g} at {started.size} of {p.size} neurons",
            "use semantics with v_init='zero'",
        )
    for field, value in (("a decay", p.a_m), ("a synaptic decay", p.a_s), ("a threshold", p.threshold)):
        if not (field == "a threshold" and not p.spiking) and np.ptp(value) > 1e-6 * np.abs(value).max():
            yield Finding(
                code="NB206",
                level="warning",
                node=p.name,
                message=f"{label(p)} has {field} that differs between neurons: simulated, but a NetX "
                "file holds one per population",
                fix="split the node to deploy it",
            )
