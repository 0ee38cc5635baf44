"""What differs between two graphs, by structure and by value (NIR_TOOLKIT.md §4)."""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.pairing import pair_nodes
from nirbridge.graph import inline
from nirbridge.graph.delays import is_folded, lower
from nirbridge.graph.digest import node_fields

_NAMES = "nirbridge_from"  # how a node was called before; names are compared as names


@dataclass(frozen=True, slots=True, kw_only=True)
class FieldDiff:
    """One field of a pair of nodes whose values differ.

    shapes: of both sides, None for text or nothing. count: elements that differ, of ``size``; beyond:
    those beyond the tolerance. max_abs, max_rel: largest |a−b| and |a−b|/max(|a|,|b|), infinite where
    only one side is finite; None where shapes or kinds differ. index: of the first that is beyond (or
    differs), with ``values`` of both sides there.
    """

    node: str
    field: str
    shapes: tuple[tuple[int, ...] | None, tuple[int, ...] | None]
    size: int
    count: int
    beyond: int
    max_abs: float | None
    max_rel: float | None
    index: tuple[int, ...] | None
    values: tuple[Any, Any]


@dataclass(frozen=True, slots=True, kw_only=True)
class EdgeDiff:
    """An edge between paired nodes that one graph has more often, in the names of the first graph."""

    source: str
    target: str
    first: int
    second: int


@dataclass(frozen=True, slots=True, kw_only=True)
class OtherDiff:
    """What no tolerance speaks of: the dtype of a field or a metadata key, on both sides as text."""

    node: str
    key: str
    first: str
    second: str


@dataclass(frozen=True, slots=True, kw_only=True)
class GraphDiff:
    """Everything that differs. Nested nodes have dotted names; pairs have the name of the first graph.

    renamed: (first name, second name). dtypes and metadata are told apart: they change no result.
    names_matter: False where names were to be ignored.
    """

    added: tuple[str, ...]
    removed: tuple[str, ...]
    renamed: tuple[tuple[str, str], ...]
    retyped: tuple[tuple[str, str, str], ...]
    rewired: tuple[EdgeDiff, ...]
    fields: tuple[FieldDiff, ...]
    dtypes: tuple[OtherDiff, ...]
    metadata: tuple[OtherDiff, ...]
    names_matter: bool = True

    @property
    def identical(self) -> bool:
        """True if nothing differs that the digest covers (names aside where they do not matter)."""
        return not (self._structure() or self.fields)

    @property
    def within(self) -> bool:
        """True if nothing differs beyond the tolerance."""
        return not (self._structure() or any(item.beyond for item in self.fields))

    def _structure(self) -> bool:
        names = self.renamed if self.names_matter else ()
        return bool(self.added or self.removed or names or self.retyped or self.rewired)

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON, ``identical`` and ``within`` included."""
        return {**asdict(self), "identical": self.identical, "within": self.within}


def diff(
    a: nir.NIRGraph,
    b: nir.NIRGraph,
    *,
    flatten: bool = False,
    ignore_names: bool = False,
    atol: float = 0.0,
    rtol: float = 0.0,
) -> GraphDiff:
    """What differs from ``a`` to ``b``; folded delays are compared as the Delay nodes they stand for.

    A value is beyond the tolerance where |a−b| > atol + rtol·max(|a|,|b|), so the order of the graphs
    does not matter. ``flatten`` inlines subgraphs first. Raises `Unsupported` (NB118) where that cannot
    be done. O(nodes + edges + values).
    """
    first, second = (lower(g) if is_folded(g) else g for g in (a, b))
    if flatten:
        first, second = inline(first), inline(second)
    parts = _Parts(by_name=not ignore_names, atol=atol, rtol=rtol)
    parts.compare(first, second, "", "")
    return GraphDiff(
        **{key: tuple(value) for key, value in parts.found.items()}, names_matter=not ignore_names
    )


class _Parts:
    """The differences found so far, subgraph by subgraph."""

    def __init__(self, *, by_name: bool, atol: float, rtol: float) -> None:
        self.by_name, self.atol, self.rtol = by_name, atol, rtol
        kinds = ("added", "removed", "renamed", "retyped", "rewired", "fields", "dtypes", "metadata")
        self.found: dict[str, list[Any]] = {kind: [] for kind in kinds}

    def compare(self, a: nir.NIRGraph, b: nir.NIRGraph, prefix: str, other: str) -> None:
        pairs = pair_nodes(a, b, by_name=self.by_name)
        taken = set(pairs.values())
        found = self.found
        found["removed"] += [prefix + name for name in sorted(a.nodes) if name not in pairs]
        found["added"] += [other + name for name in sorted(b.nodes) if name not in taken]
        found["renamed"] += [(prefix + x, other + y) for x, y in sorted(pairs.items()) if x != y]
        found["rewired"] += _rewired(a, b, pairs, prefix)
        found["metadata"] += _metadata(prefix.rstrip("."), a.metadata, b.metadata)
        for x, y in sorted(pairs.items()):
            node, partner = a.nodes[x], b.nodes[y]
            if type(node).__name__ != type(partner).__name__:
                found["retyped"].append((prefix + x, type(node).__name__, type(partner).__name__))
            elif isinstance(node, nir.NIRGraph) and isinstance(partner, nir.NIRGraph):
                self.compare(node, partner, f"{prefix}{x}.", f"{other}{y}.")
            else:
                self._fields(prefix + x, node, partner)
                found["metadata"] += _metadata(prefix + x, node.metadata, partner.metadata)

    def _fields(self, name: str, a: nir.NIRNode, b: nir.NIRNode) -> None:
        mine, theirs = node_fields(a), node_fields(b)
        for key in sorted(mine.keys() | theirs.keys()):
            x, y = mine.get(key), theirs.get(key)
            if _is_text(x) or _is_text(y) or x is None or y is None:
                if not (type(x) is type(y) and x == y):
                    self.found["fields"].append(_other_kind(name, key, x, y))
                continue
            p, q = np.asarray(x), np.asarray(y)
            if p.dtype != q.dtype:
                kinds = (str(p.dtype), str(q.dtype))
                self.found["dtypes"].append(OtherDiff(node=name, key=key, first=kinds[0], second=kinds[1]))
            item = self._values(name, key, p, q)
            if item is not None:
                self.found["fields"].append(item)

    def _values(self, name: str, key: str, p: NDArray[Any], q: NDArray[Any]) -> FieldDiff | None:
        if p.shape != q.shape or "O" in (p.dtype.kind, q.dtype.kind):
            return None if p is q else _other_kind(name, key, p, q)
        x, y = p.astype(np.float64), q.astype(np.float64)
        differs = ~((x == y) | (np.isnan(x) & np.isnan(y)))
        if not differs.any():
            return None
        with np.errstate(all="ignore"):
            gap = np.where(np.isfinite(x) & np.isfinite(y), np.abs(x - y), np.inf)
            largest = np.maximum(np.abs(x), np.abs(y))
            beyond = differs & ~(gap <= self.atol + self.rtol * np.where(np.isfinite(largest), largest, 0))
            relative = np.where(np.isfinite(gap), gap / largest, np.inf)
        at = int(np.argmax(beyond if beyond.any() else differs))
        index = tuple(int(k) for k in np.unravel_index(at, x.shape)) if x.ndim else ()
        return FieldDiff(
            node=name,
            field=key,
            shapes=(p.shape, q.shape),
            size=int(x.size),
            count=int(differs.sum()),
            beyond=int(beyond.sum()),
            max_abs=float(gap[differs].max()),
            max_rel=float(relative[differs].max()),
            index=index,
            values=(float(x[index]), float(y[index])),
        )


def _is_text(value: Any) -> bool:
    return isinstance(value, str | bytes)


def _other_kind(name: str, key: str, x: Any, y: Any) -> FieldDiff:
    """Values that cannot be subtracted: another shape, or text or nothing on one side."""

    def shape(value: Any) -> tuple[int, ...] | None:
        return None if value is None or _is_text(value) else tuple(np.shape(value))

    def shown(value: Any) -> Any:
        return value if value is None or _is_text(value) else None

    size = max(int(np.size(value)) for value in (x, y))
    return FieldDiff(
        node=name,
        field=key,
        shapes=(shape(x), shape(y)),
        size=size,
        count=size,
        beyond=max(size, 1),
        max_abs=None,
        max_rel=None,
        index=None,
        values=(shown(x), shown(y)),
    )


def _rewired(a: nir.NIRGraph, b: nir.NIRGraph, pairs: Mapping[str, str], prefix: str) -> Iterator[EdgeDiff]:
    """Edges between nodes that both graphs have; those of added and removed nodes go with them."""
    back = {y: x for x, y in pairs.items()}
    gone, new = set(a.nodes) - set(pairs), set(b.nodes) - set(back)
    first = Counter((x, y) for x, y in a.edges if x not in gone and y not in gone)
    second = Counter((back.get(x, x), back.get(y, y)) for x, y in b.edges if x not in new and y not in new)
    for source, target in sorted(first.keys() | second.keys()):
        counts = first[source, target], second[source, target]
        if counts[0] != counts[1]:
            yield EdgeDiff(source=prefix + source, target=prefix + target, first=counts[0], second=counts[1])


def _metadata(name: str, a: Mapping[str, Any], b: Mapping[str, Any]) -> Iterator[OtherDiff]:
    for key in sorted({*map(str, a), *map(str, b)} - {_NAMES}):
        x, y = _brief(a.get(key)), _brief(b.get(key))
        if x != y:
            yield OtherDiff(node=name, key=key, first=x, second=y)


def _brief(value: Any) -> str:
    """A metadata value as text that differs where values do."""
    if value is None:
        return "absent"
    if isinstance(value, Mapping):
        return "{" + ", ".join(f"{key}: {_brief(item)}" for key, item in sorted(value.items())) + "}"
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    return np.array2string(np.asarray(value), threshold=1_000_000, separator=",").replace("\n", "")
