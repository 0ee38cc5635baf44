"""Make and copy graphs without the traps of the constructor.

`nir.NIRGraph(...)` adds Input and Output nodes to the caller's own dict, checks types in quadratic
time and refuses valid grouped convolutions; `make` builds an unchecked graph from copies.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from copy import deepcopy
from typing import Any

import nir


def make(
    nodes: Mapping[str, nir.NIRNode],
    edges: Iterable[tuple[str, str]],
    metadata: Mapping[str, Any] | None = None,
) -> nir.NIRGraph:
    """A graph of these nodes and edges (both copied shallowly), without nir's type check."""
    return nir.NIRGraph(
        nodes=dict(nodes),
        edges=[(str(a), str(b)) for a, b in edges],
        metadata=dict(metadata or {}),
        type_check=False,
    )


def copy(graph: nir.NIRGraph) -> nir.NIRGraph:
    """A deep copy: no array, list or dict is shared with the original."""
    nodes = {
        name: copy(node) if isinstance(node, nir.NIRGraph) else deepcopy(node)
        for name, node in graph.nodes.items()
    }
    return make(nodes, graph.edges, deepcopy(graph.metadata))


def replace_nodes(graph: nir.NIRGraph, replacements: Mapping[str, nir.NIRNode]) -> nir.NIRGraph:
    """A copy of the graph in which the named nodes are replaced; edges and metadata stay."""
    result = copy(graph)
    result.nodes.update(replacements)
    return result
