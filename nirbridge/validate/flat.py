"""A flat view of nested graphs for the rules: dotted names, no copies, no refusals.

Unlike `nirbridge.graph.inline`, ports of subgraphs stay as nodes that hand their input on, and a
broken graph is viewed as far as it goes.
"""

from __future__ import annotations

from collections import Counter, deque
from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass

import nir

from nirbridge.graph.order import components

Edge = tuple[str, str]


@dataclass(frozen=True, slots=True)
class FlatGraph:
    """Every node but subgraphs by dotted name, and the edges between them (absent ends left out).

    graphs: every graph by dotted name, "" for the outermost. before, after: neighbours, sorted.
    """

    nodes: Mapping[str, nir.NIRNode]
    graphs: Mapping[str, nir.NIRGraph]
    before: Mapping[str, list[str]]
    after: Mapping[str, list[str]]

    def inputs(self) -> list[str]:
        """The Input nodes of the outermost graph."""
        return sorted(n for n, node in self.graphs[""].nodes.items() if isinstance(node, nir.Input))

    def outputs(self) -> list[str]:
        """The Output nodes of the outermost graph."""
        return sorted(n for n, node in self.graphs[""].nodes.items() if isinstance(node, nir.Output))

    def edges(self) -> Iterator[Edge]:
        for a, bs in self.after.items():
            for b in bs:
                yield a, b


def flatten(graph: nir.NIRGraph) -> FlatGraph:
    """The flat view of a graph; O(nodes + edges)."""
    nodes: dict[str, nir.NIRNode] = {}
    graphs: dict[str, nir.NIRGraph] = {}
    edges: set[Edge] = set()
    work = deque([("", graph)])
    while work:
        owner, level = work.popleft()
        graphs[owner] = level
        prefix = f"{owner}." if owner else ""
        for name, node in level.nodes.items():
            if isinstance(node, nir.NIRGraph):
                work.append((prefix + name, node))
            else:
                nodes[prefix + name] = node
        for a, b in level.edges:
            if a in level.nodes and b in level.nodes:
                edges.update(
                    (x, y) for x in _ends(level, prefix, a, "out") for y in _ends(level, prefix, b, "in")
                )
    before: dict[str, list[str]] = {name: [] for name in nodes}
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in sorted(edges):
        before[b].append(a)
        after[a].append(b)
    return FlatGraph(nodes, graphs, before, after)


def _ends(level: nir.NIRGraph, prefix: str, name: str, side: str) -> list[str]:
    """The nodes that an edge at ``name`` really touches: for a subgraph, its ports."""
    node = level.nodes[name]
    if not isinstance(node, nir.NIRGraph):
        return [prefix + name]
    port = nir.Input if side == "in" else nir.Output
    return [f"{prefix}{name}.{inner}" for inner, item in node.nodes.items() if isinstance(item, port)]


def reachable(starts: Iterable[str], neighbours: Mapping[str, list[str]]) -> set[str]:
    """The starts and every node that can be reached from them."""
    found = set(starts)
    queue = deque(found)
    while queue:
        for b in neighbours[queue.popleft()]:
            if b not in found:
                found.add(b)
                queue.append(b)
    return found


def loops(flat: FlatGraph) -> set[str]:
    """The nodes that lie on a cycle, self edges included: O(nodes + edges)."""
    part = components(flat.after)
    size = Counter(part.values())
    return {name for name in flat.nodes if size[part[name]] > 1 or name in flat.after[name]}
