"""Nodes called ``outer.inner`` put into a subgraph ``outer``: the way back from `inline`."""

from __future__ import annotations

from collections.abc import Iterable
from copy import deepcopy
from dataclasses import dataclass, field
from typing import ClassVar

import nir
import numpy as np

from nirbridge.graph import copy, make
from nirbridge.validate.shapes import Shape
from nirbridge.validate.view import View, view_of

Edge = tuple[str, str]


@dataclass(frozen=True)
class Nest:
    """Each group of nodes ``outer.inner`` becomes a subgraph ``outer`` with one Input and one Output.

    Only groups for which that is exact: every node that feeds the group feeds all of its entries, every
    exit feeds the same readers, something comes in and goes out, the shapes at both ports are known, no
    other node is called ``outer`` and no member is a subgraph already. Other groups stay flat. Names with
    several dots nest several times. The ports are called ``input`` and ``output``, a notice that `inline`
    left is taken off.

    What stays equal: inlined again it is the same graph, so the network and every spike.
    """

    name: ClassVar[str] = "nest"
    law: ClassVar[str] = "spikes unchanged bit for bit"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return _nested(copy(graph), view_of(graph), "")


@dataclass(slots=True)
class _Group:
    """The nodes called ``outer.…`` and the edges that touch them."""

    members: list[str] = field(default_factory=list)
    within: list[Edge] = field(default_factory=list)
    entering: set[Edge] = field(default_factory=set)
    leaving: set[Edge] = field(default_factory=set)


def _nested(graph: nir.NIRGraph, view: View, owner: str) -> nir.NIRGraph:
    """The graph with its dotted names nested; ``owner``: dotted prefix of its names in the view."""
    groups = _groups(graph)
    subgraphs = {
        outer: subgraph
        for outer, group in sorted(groups.items())
        if (subgraph := _subgraph(graph, outer, group, view, owner)) is not None
    }
    if not subgraphs:
        return graph
    place = {name: outer for outer in subgraphs for name in groups[outer].members}
    nodes = {name: node for name, node in graph.nodes.items() if name not in place}
    ends = ((place.get(a), place.get(b), a, b) for a, b in graph.edges)
    edges = {(x or a, y or b) for x, y, a, b in ends if x is None or x != y}
    return make({**nodes, **subgraphs}, sorted(edges), graph.metadata)


def _groups(graph: nir.NIRGraph) -> dict[str, _Group]:
    groups: dict[str, _Group] = {}
    of: dict[str, str] = {}
    for name in graph.nodes:
        outer, dot, inner = name.partition(".")
        if dot and outer and inner and outer not in graph.nodes:
            groups.setdefault(outer, _Group()).members.append(name)
            of[name] = outer
    for a, b in {(str(a), str(b)) for a, b in graph.edges}:
        x, y = of.get(a), of.get(b)
        if x is not None and x == y:
            groups[x].within.append((a, b))
            continue
        if x is not None:
            groups[x].leaving.add((a, b))
        if y is not None:
            groups[y].entering.add((a, b))
    return groups


def _subgraph(graph: nir.NIRGraph, outer: str, group: _Group, view: View, owner: str) -> nir.NIRGraph | None:
    """The group as a subgraph, or None where its ports would not be exact."""
    if any(isinstance(graph.nodes[name], nir.Input | nir.Output | nir.NIRGraph) for name in group.members):
        return None
    if not _all_pairs(group.entering) or not _all_pairs(group.leaving):
        return None
    arriving = _one({view.arriving.get(owner + b) for _, b in group.entering})
    sent = _one({view.out.get(owner + a) for a, _ in group.leaving})
    if arriving is None or sent is None:
        return None
    start = len(outer) + 1
    inside = {name[start:]: _as_inner(graph.nodes[name], name[start:]) for name in group.members}
    into, out = _free("input", inside), _free("output", inside)
    edges = [(a[start:], b[start:]) for a, b in group.within]
    edges += [(into, b[start:]) for b in {b for _, b in group.entering}]
    edges += [(a[start:], out) for a in {a for a, _ in group.leaving}]
    ports = _port_nodes(into, out, arriving, sent)
    return _nested(make({**inside, **ports}, sorted(edges)), view, f"{owner}{outer}.")


def _port_nodes(into: str, out: str, arriving: Shape, sent: Shape) -> dict[str, nir.NIRNode]:
    return {
        into: nir.Input(input_type={"input": np.array(arriving)}),
        out: nir.Output(output_type={"output": np.array(sent)}),
    }


def _as_inner(node: nir.NIRNode, name: str) -> nir.NIRNode:
    result = deepcopy(node)
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
