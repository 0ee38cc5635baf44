"""Which node of one graph is which of another: by name, or by the name that it had before a pass."""

from __future__ import annotations

from collections.abc import Iterator

import nir

from nirbridge.errors import Unsupported
from nirbridge.network import Population, build
from nirbridge.passes import Rename
from nirbridge.semantics import semantics_of


def named_like(graph: nir.NIRGraph, other: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with the names of ``other`` at every stateful node that has another one there.

    Two nodes are the same where one's ``metadata["nirbridge_from"]`` is the name of the other. Sums are
    formed in the order of names, so that the graph then adds in the order of ``other``.
    """
    own, theirs = _populations(graph), _populations(other)
    pairs: dict[str, str] = {}
    for known, looked_for, swapped in ((theirs, own, False), (own, theirs, True)):
        for name, p in looked_for.items():
            old = next((n for n in _before(p) if n in known and n not in looked_for), None)
            if name not in known and old is not None:
                pairs |= {old: name} if swapped else {name: old}
    for old, new in pairs.items():
        inner = new if old in graph.nodes else new.rpartition(".")[2]
        graph = Rename(old=old, new=inner)(graph)
    return graph


def _populations(graph: nir.NIRGraph) -> dict[str, Population]:
    return {p.name: p for p in build(graph).populations}


def _before(p: Population) -> Iterator[str]:
    """What a node may have been called: at the top, or in the subgraph that it lies in."""
    name = p.node.metadata.get("nirbridge_from")
    if name is not None:
        yield str(name)
        yield f"{p.name.rpartition('.')[0]}.{name}"


def check_partners(graph: nir.NIRGraph, other: nir.NIRGraph) -> None:
    """Raise `Unsupported` (NB202) for graphs whose spikes cannot be told from each other one by one."""
    sizes, others = (
        {name: p.size for name, p in _populations(g).items() if p.kind != "delay"} for g in (graph, other)
    )
    unlike = sorted(name for name in {**sizes, **others} if sizes.get(name) != others.get(name))
    if unlike:
        name = unlike[0]
        raise Unsupported(
            f"node '{name}' has {sizes.get(name, 'no')} neurons or channels in one graph and "
            f"{others.get(name, 'no')} in the one it is compared with",
            code="NB202",
            fix="compare graphs of the same nodes, such as before and after a training",
        )
    if semantics_of(graph).dt != semantics_of(other).dt:
        raise Unsupported(
            f"the graphs have steps of {semantics_of(graph).dt:g} s and {semantics_of(other).dt:g} s",
            code="NB202",
            fix="compare graphs of one time step",
        )
