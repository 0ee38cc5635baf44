"""Which nodes a weight node feeds: what passes that treat a population's weights together need."""

from __future__ import annotations

import nir

from nirbridge.network.build import STATEFUL

WEIGHTS = (nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d)


def weight_targets(graph: nir.NIRGraph) -> dict[str, frozenset[str]]:
    """For each weight node of a flat graph the stateful or weight nodes that it reaches next."""
    after: dict[str, list[str]] = {name: [] for name in graph.nodes}
    for a, b in graph.edges:
        after[a].append(b)
    result = {}
    for name, node in sorted(graph.nodes.items()):
        if not isinstance(node, WEIGHTS):
            continue
        found: set[str] = set()
        seen: set[str] = set()
        queue = list(after[name])
        while queue:
            b = queue.pop()
            if b in seen:
                continue
            seen.add(b)
            if isinstance(graph.nodes[b], (*STATEFUL, *WEIGHTS)):
                found.add(b)
            else:
                queue += after[b]
        result[name] = frozenset(found)
    return result


def weight_groups(graph: nir.NIRGraph) -> list[list[str]]:
    """Weight nodes that share a target, transitively: each group must share one scale."""
    targets = weight_targets(graph)
    groups: list[tuple[set[str], list[str]]] = []
    for name, found in targets.items():
        joined: tuple[set[str], list[str]] = (set(found), [name])
        rest = []
        for group in groups:
            if group[0] & joined[0]:
                joined = (joined[0] | group[0], group[1] + joined[1])
            else:
                rest.append(group)
        groups = [*rest, joined]
    return sorted(sorted(names) for _, names in groups)
