"""Which edges close a loop, and an order in which nodes can be visited."""

from __future__ import annotations

from collections import deque
from collections.abc import Mapping, Sequence

import nir


def _after(graph: nir.NIRGraph) -> dict[str, list[str]]:
    """Sorted successors; edges to absent nodes are left out."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in sorted({(a, b) for a, b in graph.edges}):
        if a in after and b in after:
            after[a].append(b)
    return after


def components(after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    """The number of each node's strongly connected component (Tarjan 1972); O(nodes + edges)."""
    number: dict[str, int] = {}
    index: dict[str, int] = {}
    low: dict[str, int] = {}
    kept: list[str] = []
    for start in after:
        if start in index:
            continue
        index[start] = low[start] = len(index)
        kept.append(start)
        stack = [(start, iter(after[start]))]
        while stack:
            name, rest = stack[-1]
            for b in rest:
                if b not in index:
                    index[b] = low[b] = len(index)
                    kept.append(b)
                    stack.append((b, iter(after[b])))
                    break
                if b not in number:
                    low[name] = min(low[name], index[b])
            else:
                stack.pop()
                if stack:
                    low[stack[-1][0]] = min(low[stack[-1][0]], low[name])
                if low[name] == index[name]:
                    while name not in number:
                        number[kept.pop()] = index[name]
    return number


def _depth(graph: nir.NIRGraph, after: Mapping[str, Sequence[str]]) -> dict[str, int]:
    depth = {name: 0 for name, node in sorted(graph.nodes.items()) if isinstance(node, nir.Input)}
    queue = deque(depth)
    while queue:
        a = queue.popleft()
        for b in after[a]:
            if b not in depth:
                depth[b] = depth[a] + 1
                queue.append(b)
    return depth


def recurrent_edges(graph: nir.NIRGraph) -> list[tuple[str, str]]:
    """Edges that lie on a cycle and do not lead away from the Input (fewest edges counted), sorted.

    Removing them leaves no cycle that holds an Input-reachable node.
    """
    after = _after(graph)
    depth, part = _depth(graph, after), components(after)
    far = len(graph.nodes) + 1
    return [
        (a, b)
        for a in sorted(after)
        for b in after[a]
        if part[a] == part[b] and depth.get(b, far) <= depth.get(a, far)
    ]


def execution_order(graph: nir.NIRGraph) -> list[str]:
    """Node names in a topological order of the edges that close no loop; ties by name."""
    skip = set(recurrent_edges(graph))
    missing = dict.fromkeys(graph.nodes, 0)
    after = {a: [b for b in found if (a, b) not in skip] for a, found in _after(graph).items()}
    for found in after.values():
        for b in found:
            missing[b] += 1
    ready = deque(sorted(name for name, n in missing.items() if n == 0))
    order = []
    while ready:
        name = ready.popleft()
        order.append(name)
        for b in after[name]:
            missing[b] -= 1
            if missing[b] == 0:
                ready.append(b)
    return order
