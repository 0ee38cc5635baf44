"""Other names for nodes."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import copy, make
from nirbridge.validate.names import name_problem


@dataclass(frozen=True)
class Rename:
    """Node ``old`` is called ``new`` from now on; the name that it had first stands in
    ``node.metadata["nirbridge_from"]``.

    names: several at once, as ``a=b/c=d`` (no node name holds a slash), so that two can swap. A node of a
    subgraph is named ``outer.inner`` and stays in its subgraph: its new name is the inner one.

    What stays equal: everything but names. Sums are formed in the order of names, so floats may differ in
    their last place.
    """

    old: str | None = None
    new: str | None = None
    names: str | None = None
    name: ClassVar[str] = "rename"
    law: ClassVar[str] = "only names change"

    def __post_init__(self) -> None:
        if (self.old is None) != (self.new is None) or (self.old is None) == (self.names is None):
            raise UsageError(
                "rename: expected either old and new, or names",
                code="NB701",
                fix="rename:old=hidden,new=h1, or rename:names=hidden=h1/out=readout",
            )
        pairs = self._pairs()
        for which, given in (("renamed", [a for a, _ in pairs]), ("given", [b for _, b in pairs])):
            twice = [name for name, count in Counter(given).items() if count > 1]
            if twice:
                raise UsageError(f"rename: the name '{twice[0]}' is {which} twice", code="NB701")
        for _, new in pairs:
            problem = name_problem(new)
            if problem is not None:
                raise UsageError(f"rename: the new name {new!a} {problem}", code="NB701")

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        result = copy(graph)
        by_owner: dict[str, dict[str, str]] = {}
        for old, new in self._pairs():
            owner, inner = _place(result, old)
            by_owner.setdefault(owner, {})[inner] = new
        return _renamed(result, "", by_owner)

    def _pairs(self) -> list[tuple[str, str]]:
        if self.names is None:
            return [(str(self.old), str(self.new))]
        pairs = []
        for part in self.names.split("/"):
            old, equals, new = part.partition("=")
            if not equals or not old or not new or "=" in new:
                raise UsageError(
                    f"rename: {part!a} is no pair, expected old=new",
                    code="NB701",
                    fix="rename:names=hidden=h1/out=readout; for a name with '=' in it use old and new",
                )
            pairs.append((old, new))
        return pairs


def _place(graph: nir.NIRGraph, name: str) -> tuple[str, str]:
    """(dotted name of the graph that holds the node, its name there)."""
    if name in graph.nodes:
        return "", name
    for outer, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph) and name.startswith(f"{outer}."):
            try:
                owner, inner = _place(node, name[len(outer) + 1 :])
            except BadInput:
                continue
            return (f"{outer}.{owner}" if owner else outer), inner
    known = ", ".join(sorted(graph.nodes)[:12])
    raise BadInput(f"no node '{name}' in this graph", code="NB504", fix=f"use one of {known}")


def _renamed(graph: nir.NIRGraph, owner: str, by_owner: dict[str, dict[str, str]]) -> nir.NIRGraph:
    names = by_owner.get(owner, {})
    nodes: dict[str, nir.NIRNode] = {}
    for old, node in graph.nodes.items():
        new = names.get(old, old)
        if new in nodes or (new != old and new in graph.nodes and new not in names):
            raise BadInput(
                f"'{old}' cannot be called '{new}': the name is taken",
                code="NB012",
                fix=f"rename '{new}' too, in the same pass: rename:names={old}={new}/{new}=…",
            )
        if isinstance(node, nir.NIRGraph):
            node = _renamed(node, f"{owner}.{old}" if owner else old, by_owner)
        if new != old:
            node.metadata.setdefault("nirbridge_from", old)
        nodes[new] = node
    edges = [(names.get(a, a), names.get(b, b)) for a, b in graph.edges]
    return make(nodes, edges, graph.metadata)
