"""Where the nodes and edges of a graph go in a layered drawing: columns from left to right, no overlaps.

Layers by longest path, dummies for edges that pass a layer, order by barycentres, heights by relaxation
(Sugiyama, Tagawa, Toda 1981). Edges that close a loop run back apart from the others.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from itertools import pairwise

GAP_X, GAP_Y, LANE = 58.0, 24.0, 9.0
_DUMMY = 12.0  # height that a passing edge takes in a column
_SWEEPS = 6
_LEAVES, _ARRIVES = 0.88, 0.7  # heights at a box at which edges that close a loop begin and end

Edge = tuple[str, str]
Point = tuple[float, float]


@dataclass(slots=True)
class Place:
    """A box: its top left corner and size, in pixels."""

    x: float
    y: float
    width: float
    height: float


@dataclass(slots=True)
class Layout:
    """Boxes by name; for each edge the points it passes (`routes`) and whether it closes a loop."""

    places: dict[str, Place]
    routes: dict[Edge, list[Point]] = field(default_factory=dict)
    back: set[Edge] = field(default_factory=set)
    width: float = 0.0
    height: float = 0.0


def layout(sizes: Mapping[str, Point], edges: Iterable[Edge], starts: Sequence[str]) -> Layout:
    """Places for boxes of these sizes (width, height) and routes for the edges between them.

    starts: the nodes on the left, where walks begin. Edges to unknown names are left out.
    """
    known = sorted({(a, b) for a, b in edges if a in sizes and b in sizes})
    back = closing_edges(list(sizes), known, starts)
    onward = [edge for edge in known if edge not in back]
    layer = _layers(list(sizes), onward)
    columns, chains = _columns(list(sizes), onward, layer, back)
    result = Layout({}, back=back)
    _order(columns, chains)
    centres, middles = _heights(columns, chains, sizes)
    widths = [max((sizes[n][0] for n in column if n in sizes), default=0.0) for column in columns]
    lanes = _lanes(back, layer)
    x, lefts = 0.0, []
    for k, width in enumerate(widths):
        x += LANE * sum(layer[b] == k for _, b in lanes)
        lefts.append(x)
        x += width + GAP_X + LANE * sum(layer[a] == k for a, _ in lanes)
    for name, (width, height) in sizes.items():
        left = lefts[layer[name]] + (widths[layer[name]] - width) / 2
        result.places[name] = Place(left, centres[name] - height / 2, width, height)
    result.width = (lefts[-1] + widths[-1]) if lefts else 0.0
    result.height = max((p.y + p.height for p in result.places.values()), default=0.0)
    for edge, chain in chains.items():
        result.routes[edge] = _route(result.places, edge, chain, lefts, widths, middles)
    _backwards(result, lanes, layer, lefts, widths)
    return result


def closing_edges(names: Sequence[str], edges: Sequence[Edge], starts: Sequence[str]) -> set[Edge]:
    """Edges that lead back to a node on the walk that they are met on: without them there is no cycle."""
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in edges:
        after[a].append(b)
    back: set[Edge] = set()
    state: dict[str, int] = {}
    for start in [*starts, *names]:
        if start in state:
            continue
        state[start] = 1
        stack = [(start, iter(after[start]))]
        while stack:
            name, rest = stack[-1]
            for b in rest:
                if state.get(b) == 1:
                    back.add((name, b))
                elif b not in state:
                    state[b] = 1
                    stack.append((b, iter(after[b])))
                    break
            else:
                state[name] = 2
                stack.pop()
    return back


def _layers(names: Sequence[str], onward: Sequence[Edge]) -> dict[str, int]:
    missing = dict.fromkeys(names, 0)
    after: dict[str, list[str]] = {name: [] for name in names}
    for a, b in onward:
        missing[b] += 1
        after[a].append(b)
    layer = dict.fromkeys(names, 0)
    ready = deque(name for name in names if not missing[name])
    while ready:
        a = ready.popleft()
        for b in after[a]:
            layer[b] = max(layer[b], layer[a] + 1)
            missing[b] -= 1
            if not missing[b]:
                ready.append(b)
    return layer


def _columns(
    names: Sequence[str], onward: Sequence[Edge], layer: Mapping[str, int], back: set[Edge]
) -> tuple[list[list[str]], dict[Edge, list[str]]]:
    """Names per layer with dummies, and each onward edge as a chain of names from layer to layer.

    Nodes that an edge of a loop leaves start at the bottom of their column.
    """
    columns: list[list[str]] = [[] for _ in range(max(layer.values(), default=-1) + 1)]
    leaving = {a for a, b in back if a != b}
    for name in sorted(names, key=lambda n: n in leaving):
        columns[layer[name]].append(name)
    chains: dict[Edge, list[str]] = {}
    for number, (a, b) in enumerate(onward):
        chain = [a]
        for k in range(layer[a] + 1, layer[b]):
            dummy = f"\0{number}:{k}"
            columns[k].append(dummy)
            chain.append(dummy)
        chains[a, b] = [*chain, b]
    return columns, chains


def _neighbours(chains: Mapping[Edge, list[str]]) -> tuple[dict[str, list[str]], dict[str, list[str]]]:
    before: dict[str, list[str]] = {}
    after: dict[str, list[str]] = {}
    for chain in chains.values():
        for a, b in pairwise(chain):
            after.setdefault(a, []).append(b)
            before.setdefault(b, []).append(a)
    return before, after


def _order(columns: list[list[str]], chains: Mapping[Edge, list[str]]) -> None:
    """Sort each column by the mean place of its neighbours, from left to right and back."""
    before, after = _neighbours(chains)
    for sweep in range(_SWEEPS):
        near, walk = (before, columns[1:]) if sweep % 2 == 0 else (after, columns[-2::-1])
        rank = {name: k / max(len(column), 1) for column in columns for k, name in enumerate(column)}
        for column in walk:
            mean = {n: sum(rank[m] for m in near[n]) / len(near[n]) for n in column if n in near}
            column.sort(key=lambda n: mean.get(n, rank[n]))
            rank |= {name: k / max(len(column), 1) for k, name in enumerate(column)}


def _heights(
    columns: Sequence[Sequence[str]], chains: Mapping[Edge, list[str]], sizes: Mapping[str, Point]
) -> tuple[dict[str, float], dict[str, float]]:
    """The vertical centre of every box, and of every dummy; the top of all is 0."""
    before, after = _neighbours(chains)
    tall = {n: sizes[n][1] if n in sizes else _DUMMY for column in columns for n in column}
    centre: dict[str, float] = {}
    for column in columns:
        y = 0.0
        for name in column:
            centre[name] = y + tall[name] / 2
            y += tall[name] + GAP_Y
    for sweep in range(2 * _SWEEPS):
        near, walk = (before, columns) if sweep % 2 == 0 else (after, list(columns)[::-1])
        for column in walk:
            wanted = [
                sum(centre[m] for m in near[n]) / len(near[n]) if n in near else centre[n] for n in column
            ]
            placed = _apart(wanted, [tall[n] for n in column])
            centre.update(zip(column, placed, strict=True))
    top = min((centre[n] - tall[n] / 2 for n in centre), default=0.0)
    centre = {name: y - top for name, y in centre.items()}
    return {n: centre[n] for n in sizes}, {n: y for n, y in centre.items() if n not in sizes}


def _apart(wanted: Sequence[float], tall: Sequence[float]) -> list[float]:
    """Centres in the given order, without overlap and with the same mean distance from the wanted ones."""
    placed: list[float] = []
    for k, (y, height) in enumerate(zip(wanted, tall, strict=True)):
        least = placed[-1] + tall[k - 1] / 2 + GAP_Y + height / 2 if placed else y
        placed.append(max(y, least))
    shift = sum(p - w for p, w in zip(placed, wanted, strict=True)) / max(len(placed), 1)
    return [y - shift for y in placed]


def _route(
    places: Mapping[str, Place],
    edge: Edge,
    chain: Sequence[str],
    lefts: Sequence[float],
    widths: Sequence[float],
    middles: Mapping[str, float],
) -> list[Point]:
    """From the right side of the source to the left side of the target, level across columns.

    Every second stretch, from the second on, crosses a gap.
    """
    a, b = places[edge[0]], places[edge[1]]
    start, end = a.y + a.height / 2, b.y + b.height / 2
    first = next(k for k, left in enumerate(lefts) if left + widths[k] > a.x)
    points = [(a.x + a.width, start), (lefts[first] + widths[first], start)]
    for name in chain[1:-1]:
        k = int(name.rpartition(":")[2])
        points += [(lefts[k], middles[name]), (lefts[k] + widths[k], middles[name])]
    return [*points, (lefts[first + len(chain) - 1], end), (b.x, end)]


def _lanes(back: Iterable[Edge], layer: Mapping[str, int]) -> list[Edge]:
    """Edges that run back below the boxes, the short ones first: those that are no neighbours."""
    far = [(a, b) for a, b in back if a != b and layer[a] - layer[b] != 1]
    return sorted(far, key=lambda e: (layer[e[0]] - layer[e[1]], e))


def _backwards(
    result: Layout,
    lanes: Sequence[Edge],
    layer: Mapping[str, int],
    lefts: Sequence[float],
    widths: Sequence[float],
) -> None:
    """Routes of the edges that close a loop: a bow at one box, straight back, or along a lane below."""
    floor = result.height + GAP_Y / 2
    for a, b in sorted(result.back):
        p, q = result.places[a], result.places[b]
        low, under = p.y + _LEAVES * p.height, q.y + _ARRIVES * q.height
        if a == b:
            right, down = p.x + p.width + 14, p.y + p.height + 11
            result.routes[a, b] = [
                (p.x + p.width, low), (right, low), (right, down), (p.x + p.width / 2, down),
                (p.x + p.width / 2, p.y + p.height),
            ]  # fmt: skip
        elif layer[a] - layer[b] == 1:
            result.routes[a, b] = [(p.x, low), (q.x + q.width, under)]
    for depth, (a, b) in enumerate(lanes):
        p, q = result.places[a], result.places[b]
        low, under = p.y + _LEAVES * p.height, q.y + _ARRIVES * q.height
        right = lefts[layer[a]] + widths[layer[a]] + 12 + LANE * _turn(lanes[:depth], a, layer, 0)
        left = lefts[layer[b]] - 14 - LANE * _turn(lanes[:depth], b, layer, 1)
        y = floor + LANE * depth
        result.routes[a, b] = [
            (p.x + p.width, low), (right, low), (right, y), (left, y), (left, under), (q.x, under)
        ]  # fmt: skip
    if lanes:
        result.height = floor + LANE * len(lanes)
    if any(a == b for a, b in result.back):
        result.height = max(result.height, *(p.y + p.height + 14 for p in result.places.values()))
    most = [x for edge in result.back for x, _ in result.routes[edge]]
    result.width = max([result.width, *(x + 4 for x in most)])
    least = min([0.0, *(x - 4 for x in most)])
    if least < 0:
        _shift(result, -least)


def _turn(earlier: Sequence[Edge], name: str, layer: Mapping[str, int], end: int) -> int:
    """How many earlier lanes turn in the same gap."""
    return sum(layer[edge[end]] == layer[name] for edge in earlier)


def _shift(result: Layout, by: float) -> None:
    for place in result.places.values():
        place.x += by
    result.routes = {edge: [(x + by, y) for x, y in points] for edge, points in result.routes.items()}
    result.width += by
