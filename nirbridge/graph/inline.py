"""Nested graphs made flat: node ``n`` of subgraph ``s`` becomes ``s.n`` (SEMANTICS.md §1, rule 1)."""

from __future__ import annotations

from copy import deepcopy

import nir

from nirbridge.errors import Finding, Unsupported
from nirbridge.graph.copying import copy, make


def inline(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same network without subgraphs.

    Edges into a subgraph go to its Input's successors, edges out of it leave from its Output's
    predecessors; the Input and Output nodes of subgraphs disappear. Every moved node notes the
    name that it had in its own graph in ``metadata["nirbridge_from"]``. Raises `Unsupported`
    (NB118) for a subgraph without exactly one Input and one Output.
    """
    if not any(isinstance(node, nir.NIRGraph) for node in graph.nodes.values()):
        return copy(graph)
    nodes: dict[str, nir.NIRNode] = {}
    edges: list[tuple[str, str]] = []
    entries: dict[str, list[str]] = {}
    exits: dict[str, list[str]] = {}
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            flat = inline(node)
            into, out = _ports(name, flat)
            for inner, child in flat.nodes.items():
                if inner not in (into, out):
                    moved = deepcopy(child)
                    moved.metadata.setdefault("nirbridge_from", inner)
                    nodes[f"{name}.{inner}"] = moved
            entries[name] = [f"{name}.{b}" for a, b in flat.edges if a == into and b != out]
            exits[name] = [f"{name}.{a}" for a, b in flat.edges if b == out and a != into]
            edges += [
                (f"{name}.{a}", f"{name}.{b}")
                for a, b in flat.edges
                if a not in (into, out) and b not in (into, out)
            ]
            if any(a == into and b == out for a, b in flat.edges):
                raise Unsupported(
                    f"subgraph '{name}' connects its Input straight to its Output",
                    code="NB118",
                    fix="connect around the subgraph instead",
                )
        else:
            nodes[name] = deepcopy(node)
    for source, target in graph.edges:
        for a in exits.get(source, [source]):
            for b in entries.get(target, [target]):
                edges.append((a, b))
    return make(nodes, edges, deepcopy(graph.metadata))


def _ports(name: str, graph: nir.NIRGraph) -> tuple[str, str]:
    inputs = [n for n, node in graph.nodes.items() if isinstance(node, nir.Input)]
    outputs = [n for n, node in graph.nodes.items() if isinstance(node, nir.Output)]
    if len(inputs) != 1 or len(outputs) != 1:
        message = (
            f"subgraph '{name}' has {len(inputs)} Input and {len(outputs)} Output nodes, expected one of each"
        )
        finding = Finding(code="NB118", level="error", message=message, node=name)
        raise Unsupported(message, code="NB118", findings=[finding])
    return inputs[0], outputs[0]
