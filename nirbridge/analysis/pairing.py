"""Which node of one graph is which of the other: by name, then by type, values and neighbours."""

from __future__ import annotations

import hashlib
from collections import deque
from collections.abc import Callable, Hashable, Mapping
from dataclasses import dataclass, field

import nir
import numpy as np

from nirbridge.graph import digest
from nirbridge.graph.digest import field_items, node_fields

Key = Callable[["Side", str], Hashable]
_ROUNDS = 8  # edges around a node that its colour knows of


@dataclass(slots=True)
class Side:
    """One graph with its neighbours and what the search has found out about its nodes."""

    graph: nir.NIRGraph
    before: dict[str, list[str]] = field(init=False)
    after: dict[str, list[str]] = field(init=False)
    partner: dict[str, str] = field(init=False)
    hashes: dict[str, str] = field(init=False)
    colours: dict[str, int] = field(init=False)

    def __post_init__(self) -> None:
        names = self.graph.nodes
        self.before, self.after = {n: [] for n in names}, {n: [] for n in names}
        for a, b in sorted({(a, b) for a, b in self.graph.edges if a in names and b in names}):
            self.after[a].append(b)
            self.before[b].append(a)
        self.partner, self.hashes, self.colours = {}, {}, {}

    def value(self, name: str) -> Hashable:
        """Type and value digest of a node."""
        if name not in self.hashes:
            node = self.graph.nodes[name]
            self.hashes[name] = digest(node) if isinstance(node, nir.NIRGraph) else _value_digest(node)
        return type(self.graph.nodes[name]).__name__, self.hashes[name]

    def form(self, name: str) -> Hashable:
        """Type and shapes of a node."""
        node = self.graph.nodes[name]
        if isinstance(node, nir.NIRGraph):
            return "NIRGraph", ()
        return type(node).__name__, tuple((k, np.shape(v)) for k, v in sorted(node_fields(node).items()))

    def colour(self, name: str) -> Hashable:
        """Type, value and surroundings of a node, as `_paint` found them."""
        return self.colours[name]

    def left(self) -> list[str]:
        """Nodes without a partner, by name."""
        return sorted(name for name in self.graph.nodes if name not in self.partner)


def _value_digest(node: nir.NIRNode) -> str:
    sha = hashlib.sha256()
    for item in field_items(node):
        data = item if isinstance(item, bytes) else item.encode("utf-8")
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()


def pair_nodes(a: nir.NIRGraph, b: nir.NIRGraph, *, by_name: bool = True) -> dict[str, str]:
    """Names of ``a`` with their partners in ``b``; nodes without one are missing.

    First nodes of one name and type. Then renamed ones, by type, values and what lies around them; and
    those whose surroundings changed, from pair to pair, by type and values among the neighbours. Nodes
    that are alike in everything are paired in the order of their names. Without ``by_name`` names say
    nothing, and a node whose values changed is still found by type, shapes and neighbours.
    O(nodes + edges) but for graphs of many interchangeable nodes.
    """
    first, second = Side(a), Side(b)
    if by_name:
        for name, node in a.nodes.items():
            if type(b.nodes.get(name)) is type(node):
                _join(first, second, name, name)
    if first.left() and second.left():
        _paint(first, {name: name for name in first.partner})
        _paint(second, second.partner)
        _match(first, second, Side.colour)
        _match(first, second, Side.value)
        _rest(first, second)
    if not by_name:
        _match(first, second, Side.form, alone=False)
    else:
        for name in first.left():  # one name, another type
            if name in b.nodes and name not in second.partner:
                _join(first, second, name, name)
    return first.partner


def _join(first: Side, second: Side, a: str, b: str) -> None:
    first.partner[a] = b
    second.partner[b] = a


def _paint(side: Side, anchors: Mapping[str, str]) -> None:
    """Colours that tell nodes apart by what is around them (Weisfeiler and Leman 1968).

    anchors: names of the first graph for the nodes that have a partner; they keep their colour.
    """
    colours = {name: hash(("paired", other)) for name, other in anchors.items()}
    left = side.left()
    colours |= {name: hash(side.value(name)) for name in left}
    for _ in range(_ROUNDS):
        near = {
            name: (
                colours[name],
                tuple(sorted(colours[n] for n in side.before[name])),
                tuple(sorted(colours[n] for n in side.after[name])),
            )
            for name in left
        }
        colours |= {name: hash(around) for name, around in near.items()}
    side.colours = colours


def _rest(first: Side, second: Side) -> None:
    """What is left of one type and value, whatever its neighbours, in the order of the names."""
    others = _grouped(second, second.left(), Side.value)
    for name in first.left():
        group = others.get(first.value(name), [])
        if group:
            _join(first, second, name, group.pop(0))


def _match(first: Side, second: Side, key: Key, *, alone: bool = True) -> None:
    """Pair what ``key`` tells apart, then spread over neighbours, then settle what is alike.

    alone: nodes may also be paired without a neighbour that is.
    """
    if not first.left() or not second.left():
        return
    queue = deque(first.partner.items())
    if alone:
        one, other = _grouped(first, first.left(), key), _grouped(second, second.left(), key)
        for group, names in one.items():
            if len(names) == 1 == len(other.get(group, ())):
                _join(first, second, names[0], other[group][0])
                queue.append((names[0], other[group][0]))
    _spread(first, second, key, queue)
    while _settle(first, second, key, alone):
        pass


def _spread(first: Side, second: Side, key: Key, queue: deque[tuple[str, str]]) -> None:
    """From each pair on: neighbours on one side of it that are the only ones of their key."""
    while queue:
        a, b = queue.popleft()
        for mine, theirs in ((first.after[a], second.after[b]), (first.before[a], second.before[b])):
            one = _grouped(first, [n for n in mine if n not in first.partner], key)
            if not one:
                continue
            other = _grouped(second, [n for n in theirs if n not in second.partner], key)
            for group, names in one.items():
                if len(names) == 1 == len(other.get(group, ())):
                    _join(first, second, names[0], other[group][0])
                    queue.append((names[0], other[group][0]))


def _settle(first: Side, second: Side, key: Key, alone: bool) -> bool:
    """Pair nodes of one key and the same paired neighbours, in the order of their names."""
    others = _grouped(second, second.left(), lambda side, name: (key(side, name), _around(side, name)))
    done = False
    for name in first.left():
        if name in first.partner:
            continue
        around = _translated(_around(first, name), first.partner)
        if not alone and not any(around):
            continue
        candidates = others.get((key(first, name), around), [])
        while candidates and (candidates[0] in second.partner or _around(second, candidates[0]) != around):
            candidates.pop(0)
        if candidates:
            other = candidates.pop(0)
            _join(first, second, name, other)
            _spread(first, second, key, deque([(name, other)]))
            done = True
    return done


def _around(side: Side, name: str) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """The neighbours of a node that have a partner, before and after it."""
    before = tuple(n for n in side.before[name] if n in side.partner)
    return before, tuple(n for n in side.after[name] if n in side.partner)


def _translated(
    around: tuple[tuple[str, ...], tuple[str, ...]], partner: Mapping[str, str]
) -> tuple[tuple[str, ...], tuple[str, ...]]:
    before, after = (tuple(sorted(partner[name] for name in names)) for names in around)
    return before, after


def _grouped(side: Side, names: list[str], key: Key) -> dict[Hashable, list[str]]:
    groups: dict[Hashable, list[str]] = {}
    for name in names:
        groups.setdefault(key(side, name), []).append(name)
    return groups
