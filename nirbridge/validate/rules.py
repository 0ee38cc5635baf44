"""Run every rule on a graph and list all findings at once."""

from __future__ import annotations

from collections.abc import Callable, Iterator

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.validate import metadata, parameters, shape_rules, timing, wiring
from nirbridge.validate.view import View, view_of

GraphRule = Callable[[View], Iterator[Finding]]
NodeRule = Callable[[str, nir.NIRNode, View], Iterator[Finding]]

WIRING_RULES: tuple[GraphRule, ...] = (
    wiring.absent_nodes,
    wiring.dead_ends,
    wiring.stateless_cycles,
    wiring.recurrent_inputs,
    shape_rules.edges,
    shape_rules.transposed,
)
GRAPH_RULES: tuple[GraphRule, ...] = (
    wiring.duplicate_edges,
    wiring.missing_ports,
    shape_rules.weight_ranks,
    shape_rules.biases,
    shape_rules.inferred_types,
    shape_rules.flatten_axes,
    shape_rules.ports,
    timing.ambiguous_unit,
    timing.exact_gains,
    metadata.schema,
    metadata.stale_digest,
    metadata.unwritable,
)
NODE_RULES: tuple[NodeRule, ...] = (
    parameters.fields,
    parameters.parameter_shapes,
    parameters.windows,
    parameters.finite,
    parameters.time_constants,
    parameters.thresholds,
    parameters.gains,
    parameters.delays,
    parameters.silent_weights,
    timing.steps,
    timing.integrators,
    metadata.quantised,
)


def validate(
    graph: nir.NIRGraph, *, running: bool = False, in_file: bool = False, complete: bool = True
) -> list[Finding]:
    """Every rule of the families NB1xx, NB3xx and NB4xx that the graph breaks: O(nodes + edges).

    running: also list what only a run needs (NB301). in_file: also list what is usual in memory but
    wrong in a file (NB406). complete: False where nodes or edges could not be read, so that rules
    about the wiring are left out. The findings are sorted by node, the graph's own first.
    """
    view = view_of(graph)
    rules = [*GRAPH_RULES, *(WIRING_RULES if complete else ())]
    rules += [timing.missing_dt] if running else []
    rules += [metadata.folded_delays] if in_file else []
    with np.errstate(all="ignore"):  # NaN and overflow are what the rules look for
        findings = [finding for rule in rules for finding in rule(view)]
        for name, node in view.flat.nodes.items():
            for node_rule in NODE_RULES:
                findings += node_rule(name, node, view)
    return sort_findings(findings)


def check_metadata(graph: nir.NIRGraph) -> list[Finding]:
    """Only what contradicts the graph's own metadata: NB401 to NB403."""
    view = view_of(graph)
    findings = list(metadata.schema(view))
    for name, node in view.flat.nodes.items():
        findings += metadata.quantised(name, node, view)
    return sort_findings(findings)


def sort_findings(findings: list[Finding]) -> list[Finding]:
    """By node name, the graph's own first, then by code."""
    return sorted(findings, key=lambda f: (f.node is not None, f.node or "", f.code))
