"""Which edges close a loop, and an order in which nodes can be visited."""

from __future__ import annotations

from collections import deque

import nir


def _depth(graph: nir.NIRGraph) -> dict[str, int]:
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)
    depth = {name: 0 for name, node in sorted(graph.nodes.items()) if isinstance(node, nir.Input)}
    queue = deque(depth)
    while queue:
        a = queue.popleft()
        for b in sorted(after[a]):
            if b not in depth:
                depth[b] = depth[a] + 1
                queue.append(b)
    return depth


def recurrent_edges(graph: nir.NIRGraph) -> list[tuple[str, str]]:
    """Edges that lie on a cycle and do not lead away from the Input (fewest edges counted), sorted.

    Removing them leaves no cycle that holds an Input-reachable node.
    """
    depth = _depth(graph)
    far = len(graph.nodes) + 1
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)

    def reaches(start: str, goal: str) -> bool:
        seen, queue = {start}, deque([start])
        while queue:
            name = queue.popleft()
            if name == goal:
                return True
            for b in after[name]:
                if b not in seen:
                    seen.add(b)
                    queue.append(b)
        return False

    return sorted(
        (a, b)
        for a, b in set(map(tuple, graph.edges))
        if depth.get(b, far) <= depth.get(a, far) and reaches(b, a)
    )


def execution_order(graph: nir.NIRGraph) -> list[str]:
    """Node names in a topological order of the edges that close no loop; ties by name."""
    skip = set(recurrent_edges(graph))
    missing = dict.fromkeys(graph.nodes, 0)
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in sorted(set(map(tuple, graph.edges))):
        if (a, b) not in skip:
            missing[b] += 1
            after[a].append(b)
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
