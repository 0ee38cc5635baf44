"""The graph as a layered drawing, and what each node holds."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.markup import Markup, anchor, h
from nirbridge.report.numbers import amount, percent
from nirbridge.report.sections.weights import histogram
from nirbridge.report.svg import curve, drawing
from nirbridge.report.types import Report

MOST = 60  # nodes that are drawn
ACTIVITY = ("spikes", "synops", "updates", "saturated")  # counts that every target has
BOX, GAP_X, GAP_Y, HEIGHT = 128, 52, 26, 58


def graph(report: Report) -> Markup:
    """The drawing, then a box a node."""
    order = _layers_of(report)
    nodes = sorted(report.graph.nodes, key=lambda node: order[str(node["name"])])
    parts: list[Any] = [h("h2", "Graph")]
    if len(nodes) <= MOST:
        caption = (
            "Line width grows with spikes per sample, dashed lines close a loop. The bar in a node is the "
            "share of its spikes that differ on the target that differs most. A click leads to the node."
        )
        draw = h("div", _drawing(report), class_="scroll")
        parts.append(h("figure", draw, h("figcaption", caption)))
    else:
        parts.append(h("p", f"{len(nodes)} nodes are too many to draw; they are listed below."))
    parts += [_node(report, node) for node in nodes[: 4 * MOST]]
    if len(nodes) > 4 * MOST:
        parts.append(h("p", f"and {len(nodes) - 4 * MOST} more: nirbridge inspect lists them all."))
    return h("section", parts, id="graph")


def layers(nodes: Sequence[str], edges: Sequence[tuple[str, str]], starts: Sequence[str]) -> dict[str, int]:
    """Layer of each node: its longest way from a start over edges that lead on, 0 for the rest."""
    after: dict[str, list[str]] = {name: [] for name in nodes}
    for a, b in edges:
        after[a].append(b)
    depth = dict.fromkeys(starts, 0)
    queue = list(starts)
    for a in queue:
        for b in after[a]:
            if b not in depth:
                depth[b] = depth[a] + 1
                queue.append(b)
    onward = [(a, b) for a, b in edges if depth.get(b, 0) > depth.get(a, 0)]
    layer = dict.fromkeys(nodes, 0)
    for a, b in sorted(onward, key=lambda edge: depth[edge[1]]):
        layer[b] = max(layer[b], layer[a] + 1)
    return layer


def _layers_of(report: Report) -> dict[str, int]:
    nodes = {str(node["name"]): node for node in report.graph.nodes}
    edges = [(a, b) for a, b in report.graph.edges if a in nodes and b in nodes]
    starts = [name for name, node in nodes.items() if node["type"] == "Input"] or list(nodes)[:1]
    return layers(list(nodes), edges, starts)


def differing(report: Report) -> dict[str, tuple[float, str]]:
    """Share of spikes that differ and the target where, per node: the target that differs most."""
    worst: dict[str, tuple[float, str]] = {}
    for result in report.results:
        for item in result.versus.agreement if result.versus is not None else ():
            if 1 - item.share > worst.get(item.node, (-1.0, ""))[0]:
                worst[item.node] = (1 - item.share, result.target)
    return worst


def _drawing(report: Report) -> Markup:
    nodes = {str(node["name"]): node for node in report.graph.nodes}
    edges = [(a, b) for a, b in report.graph.edges if a in nodes and b in nodes]
    layer = _layers_of(report)
    columns: dict[int, list[str]] = {}
    for name in nodes:
        columns.setdefault(layer[name], []).append(name)
    loops = {a for a, b in edges if layer[b] <= layer[a]}
    for column in columns.values():
        column.sort(key=lambda name: name in loops)  # at the bottom, where lines back run
    tallest = max((len(column) for column in columns.values()), default=1)
    place = {}
    for at, column in columns.items():
        top = (tallest - len(column)) * (HEIGHT + GAP_Y) / 2 + 24
        for row, name in enumerate(column):
            place[name] = (2 + at * (BOX + GAP_X), top + row * (HEIGHT + GAP_Y))
    activity = _activity(report, edges)
    most = max(activity.values(), default=0.0)
    drawn = [_edge(a, b, place, layer, activity.get(a, 0.0), most) for a, b in edges]
    worst = differing(report)
    boxes = [_box(node, place[name], worst.get(name)) for name, node in nodes.items()]
    width = (max(columns, default=0) + 1) * (BOX + GAP_X) - GAP_X + 4
    height = tallest * (HEIGHT + GAP_Y) + 30
    size = {"markerWidth": 10, "markerHeight": 9, "refX": 9, "refY": 4.5, "markerUnits": "userSpaceOnUse"}
    arrow = h("path", d="M0 0L10 4.5L0 9z", fill="var(--soft)")
    marker = h("marker", arrow, id="arrow", orient="auto", **size)
    label = f"graph of {len(nodes)} nodes in {len(columns)} layers"
    return drawing(width, height, h("defs", marker), drawn, boxes, label=label, wide=width > 560)


def _activity(report: Report, edges: Sequence[tuple[str, str]]) -> dict[str, float]:
    """Spikes per sample that leave a node; a weight passes on what reaches it."""
    known = {
        node: values["spikes"]
        for node, values in (report.results[0].counts if report.results else {}).items()
        if "spikes" in values
    }
    for node in report.graph.nodes:
        if node["type"] == "Input":
            known.setdefault(str(node["name"]), report.data.spikes_per_sample)
    for _ in range(3):
        for a, b in edges:
            if a in known and b not in known:
                known[b] = known[a]
    return known


def _edge(
    a: str,
    b: str,
    place: Mapping[str, tuple[float, float]],
    layer: Mapping[str, int],
    spikes: float,
    most: float,
) -> Markup:
    width = 1.2 + (3.8 * math.log1p(spikes) / math.log1p(most) if most > 0 and spikes > 0 else 0.0)
    (ax, ay), (bx, by) = place[a], place[b]
    style = {"fill": "none", "stroke": "var(--soft)", "stroke_width": width, "marker_end": "url(#arrow)"}
    title = h("title", f"{a} → {b}: {spikes:,.1f} spikes per sample")
    if layer[b] > layer[a]:
        x1, y1, x2, y2 = ax + BOX, ay + HEIGHT / 2, bx - 1, by + HEIGHT / 2
        middle = (x1 + x2) / 2
        bends = (x1, y1), (middle, y1), (middle, y2), (x2, y2)
        return h("path", title, d=curve(*bends), **style)
    x1, x2 = ax + BOX / 2, bx + BOX / 2
    below = max(ay, by) + HEIGHT + GAP_Y * 0.75
    bends = (x1, ay + HEIGHT), (x1, below), (x2, below), (x2, by + HEIGHT + 1)
    return h("path", title, d=curve(*bends), stroke_dasharray="5 3", **style)


def _box(node: Mapping[str, Any], at: tuple[float, float], worst: tuple[float, str] | None) -> Markup:
    x, y = at
    name = str(node["name"])
    shape = _shape(node.get("shape"))
    parts = [
        h("title", f"{name}: {node['type']} {shape}"),
        h("rect", x=x, y=y, width=BOX, height=HEIGHT, rx=6, fill="var(--panel)", stroke="var(--line)"),
        h("text", _fit(name, 15), x=x + 9, y=y + 19, class_="bold"),
        h("text", _fit(f"{node['type']} {shape}", 20), x=x + 9, y=y + 36, class_="soft"),
    ]
    if worst is not None:
        share = worst[0]
        wide = BOX - 18
        parts.append(h("rect", x=x + 9, y=y + 45, width=wide, height=5, rx=2, fill="var(--agree)"))
        if share > 0:
            part = max(wide * share, 3.0)
            parts.append(
                h("rect", x=x + 9 + wide - part, y=y + 45, width=part, height=5, rx=2, fill="var(--missing)")
            )
        parts[0] = h("title", f"{name}: {percent(share)} of spikes differ on {worst[1]}")
    return h("a", parts, href="#" + anchor("node", name))


def _node(report: Report, node: Mapping[str, Any]) -> Markup:
    name = str(node["name"])
    rows = [h("tr", h("td", key), h("td", text, class_="mono")) for key, text in _parameters(node)]
    for result in report.results:
        counts = result.counts.get(name, {})
        if counts:
            # a target's own counts are inputs of its cost: a mean of them over samples says nothing
            shown = {key: counts[key] for key in ACTIVITY if key in counts}
            text = ", ".join(f"{key} {amount(value)}" for key, value in shown.items())
            rows.append(h("tr", h("td", f"{result.target}, per sample"), h("td", text, class_="mono")))
        for item in result.versus.agreement if result.versus is not None else ():
            if item.node == name:
                text = f"{item.matched:,} agree, {item.missing:,} missing, {item.extra:,} extra"
                rows.append(h("tr", h("td", f"{result.target}, spikes"), h("td", text, class_="mono")))
    body: list[Any] = [h("div", h("table", h("tbody", rows)), class_="scroll")] if rows else []
    body += [histogram(item) for item in report.weights if item.node == name]
    summary = f"{name}: {node['type']} {_shape(node.get('shape'))}"
    inner = h("div", body or "no parameters", id=anchor("node", name))
    return h("details", h("summary", summary), inner, class_="box")


def _parameters(node: Mapping[str, Any]) -> list[tuple[str, str]]:
    """The fields of a node with their ranges, and how many numbers they hold."""
    rows = [(str(key), _value(value)) for key, value in (node.get("fields") or {}).items()]
    count = node.get("parameters")
    return [*rows, ("numbers", f"{count:,}")] if isinstance(count, int) and count else rows


def _value(value: Any) -> str:
    if isinstance(value, Mapping) and {"shape", "min", "max"} <= set(value):
        low, high = float(value["min"]), float(value["max"])
        size = f"  ({_shape(value['shape'])})" if value["shape"] else ""
        return (f"{low:.6g}" if low == high else f"{low:.6g} … {high:.6g}") + size
    if isinstance(value, Mapping):
        return ", ".join(f"{key} {_value(item)}" for key, item in value.items())
    if isinstance(value, float):
        return f"{value:.6g}"
    if isinstance(value, list | tuple):
        text = ", ".join(_value(item) for item in value[:8])
        return f"({text}{', …' if len(value) > 8 else ''})"
    return str(value)


def _shape(shape: Any) -> str:
    if isinstance(shape, list | tuple):
        return "×".join(str(n) for n in shape)
    return "" if shape is None else str(shape)


def _fit(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"
