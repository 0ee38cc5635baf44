"""Nodes called ``outer.inner`` put into a subgraph ``outer``: the way back from `inline`."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.graph import copy, digest, inline, make
from nirbridge.validate.shapes import Shape
from nirbridge.validate.view import View, view_of

Edge = tuple[str, str]


@dataclass(frozen=True)
class Nest:
    """Each group of nodes ``outer.inner`` becomes a subgraph ``outer`` with one Input and one Output.

    Only groups for which that is exact: every node that feeds the group feeds all of its entries, every
    exit feeds the same readers, something comes in and goes out, the shapes at both ports are known, and
    no other node is called ``outer``. Other groups stay flat. Names with several dots nest several times.
    The ports are called ``input`` and ``output``, a notice that `inline` left is taken off.

    What stays equal: inlined again it is the same graph, so the network and every spike.
    """

    name: ClassVar[str] = "nest"
    law: ClassVar[str] = "spikes unchanged bit for bit"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        if any("." in name and isinstance(node, nir.NIRGraph) for name, node in graph.nodes.items()):
            return copy(graph)
        return _nested(graph, view_of(graph), "")


def _nested(graph: nir.NIRGraph, view: View, owner: str) -> nir.NIRGraph:
    """The graph with its dotted names nested; ``owner``: dotted prefix of its names in the view."""
    result = copy(graph)
    for outer in sorted({name.partition(".")[0] for name in graph.nodes if "." in name}):
        members = {name for name in result.nodes if name.startswith(f"{outer}.") and name != f"{outer}."}
        candidate = None if outer in result.nodes or not outer else _with(result, outer, members, view, owner)
        if candidate is not None and digest(inline(candidate)) == digest(inline(result)):
            result = candidate
    return result


def _with(graph: nir.NIRGraph, outer: str, members: set[str], view: View, owner: str) -> nir.NIRGraph | None:
    """The graph with these nodes in the subgraph ``outer``, or None where its ports would not be exact."""
    edges = {(str(a), str(b)) for a, b in graph.edges}
    entering = {(a, b) for a, b in edges if a not in members and b in members}
    leaving = {(a, b) for a, b in edges if a in members and b not in members}
    ports = any(isinstance(graph.nodes[n], nir.Input | nir.Output) for n in members)
    if ports or not _all_pairs(entering) or not _all_pairs(leaving):
        return None
    shapes = (
        _one({view.out.get(owner + a) for a, _ in entering}),
        _one({view.out.get(owner + a) for a, _ in leaving}),
    )
    if shapes[0] is None or shapes[1] is None:
        return None
    start = len(outer) + 1
    inside = {name[start:]: _as_inner(graph.nodes[name], name[start:]) for name in members}
    into, out = _free("input", inside), _free("output", inside)
    inside[into] = nir.Input(input_type={"input": np.array(shapes[0])})
    inside[out] = nir.Output(output_type={"output": np.array(shapes[1])})
    within = [(a[start:], b[start:]) for a, b in edges if a in members and b in members]
    within += [(into, b[start:]) for b in {b for _, b in entering}]
    within += [(a[start:], out) for a in {a for a, _ in leaving}]
    subgraph = _nested(make(inside, sorted(within)), view, f"{owner}{outer}.")
    nodes = {name: node for name, node in graph.nodes.items() if name not in members}
    outside = [(a, b) for a, b in edges if a not in members and b not in members]
    outside += [(a, outer) for a in {a for a, _ in entering}] + [(outer, b) for b in {b for _, b in leaving}]
    return make({**nodes, outer: subgraph}, sorted(outside), graph.metadata)


def _as_inner(node: nir.NIRNode, name: str) -> nir.NIRNode:
    result = copy(node) if isinstance(node, nir.NIRGraph) else deepcopy(node)
    if result.metadata.get("nirbridge_from") in (name, name.rpartition(".")[2]):
        del result.metadata["nirbridge_from"]
    return result


def _all_pairs(edges: set[Edge]) -> bool:
    """Whether every source feeds every target, and there is one."""
    sources, targets = {a for a, _ in edges}, {b for _, b in edges}
    return bool(edges) and len(edges) == len(sources) * len(targets)


def _one(shapes: Iterable[Shape | None]) -> Shape | None:
    found = set(shapes)
    return found.pop() if len(found) == 1 else None


def _free(name: str, taken: Iterable[str]) -> str:
    names = set(taken)
    while name in names:
        name += "_"
    return name
