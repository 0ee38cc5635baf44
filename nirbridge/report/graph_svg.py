"""One graph as an SVG of its own: boxes with type, shape and parameters, loops dashed, subgraphs framed.

The file holds no script and asks for nothing; colours follow the reader's dark or light setting.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from nirbridge.errors import UsageError
from nirbridge.graph.digest import node_fields
from nirbridge.report.graph_layout import Layout, Place, Point, layout
from nirbridge.report.markup import Markup, h, raw, short

MOST = 1000  # nodes that one drawing shows
_LINE, _PAD, _HEAD, _NAME, _TEXT = 15.0, 10.0, 26.0, 26, 34
_STYLE = """
text{font:12px system-ui,"Segoe UI",Roboto,"DejaVu Sans",sans-serif;fill:#1b1f24}
.name{font-weight:600}.soft{fill:#57606a;font-size:11px}.paper{fill:#fff}
.box{fill:#f6f8fa;stroke:#8a939e}.neuron{fill:#e5f0fa;stroke:#0b57a4}.weight{fill:#fff6e0;stroke:#a06a00}
.port{fill:#fff;stroke:#8a939e}.frame{fill:none;stroke:#8a939e;stroke-dasharray:2 3}
.edge{fill:none;stroke:#57606a;stroke-width:1.4}
.loop{fill:none;stroke:#a3360a;stroke-width:1.4;stroke-dasharray:5 3}
.tip{fill:#57606a}.looptip{fill:#a3360a}
@media (prefers-color-scheme:dark){text{fill:#e3e8ee}.soft{fill:#9aa4af}.paper{fill:#0e1116}
.box{fill:#171c23;stroke:#6b7683}.neuron{fill:#10263a;stroke:#56b4e9}.weight{fill:#2c230d;stroke:#e6ab3c}
.port{fill:#0e1116;stroke:#6b7683}.frame{stroke:#6b7683}
.edge{stroke:#9aa4af}.loop{stroke:#f0883e}.tip{fill:#9aa4af}.looptip{fill:#f0883e}}
"""
_KINDS = {
    **dict.fromkeys(("I", "LI", "IF", "LIF", "CubaLI", "CubaLIF"), "neuron"),
    **dict.fromkeys(("Linear", "Affine", "Conv1d", "Conv2d", "Scale"), "weight"),
    **dict.fromkeys(("Input", "Output"), "port"),
}
_SIZES = {"kernel_size", "stride", "padding", "dilation", "groups"}


@dataclass(frozen=True, slots=True)
class _Figure:
    """A graph laid out, with what stands in each box: lines of text, or a figure of its own."""

    layout: Layout
    lines: dict[str, list[str]]
    inner: dict[str, _Figure]
    graph: nir.NIRGraph


def graph_svg(graph: nir.NIRGraph, title: str) -> str:
    """The text of an SVG file. Raises `UsageError` (NB701) for more than `MOST` nodes.

    title: printed above the drawing, with the number of nodes, edges and loops.
    """
    count = _size(graph)
    if count > MOST:
        raise UsageError(
            f"a drawing shows at most {MOST} nodes, the graph has {count:,}",
            code="NB701",
            fix="look at its table instead: nirbridge inspect without --svg",
        )
    figure = _figure(graph)
    counts = f"{count} nodes, {_edges(graph)} edges"
    loops = _loops(figure)
    caption = f"{title}: {counts}{f', {loops} closing a loop (dashed)' if loops else ''}"
    width = max(figure.layout.width, _wide(caption, 7.0)) + 2 * _PAD
    height = figure.layout.height + _HEAD + 2 * _PAD
    head = h("text", caption, x=_PAD, y=_PAD + 12, class_="soft")
    body = h("g", _drawn(figure), transform=f"translate({short(_PAD)} {short(_PAD + _HEAD)})")
    paper = h("rect", width=width, height=height, class_="paper")
    svg = h(
        "svg",
        h("title", caption),
        h("style", raw(_STYLE)),
        h("defs", _tip("tip"), _tip("looptip")),
        paper,
        head,
        body,
        xmlns="http://www.w3.org/2000/svg",
        viewBox=f"0 0 {short(width)} {short(height)}",
        width=width,
        height=height,
        role="img",
    )
    return f'<?xml version="1.0" encoding="UTF-8"?>\n{svg}\n'


def _size(graph: nir.NIRGraph) -> int:
    inner = (_size(node) for node in graph.nodes.values() if isinstance(node, nir.NIRGraph))
    return len(graph.nodes) + sum(inner)


def _edges(graph: nir.NIRGraph) -> int:
    inner = (_edges(node) for node in graph.nodes.values() if isinstance(node, nir.NIRGraph))
    return len(graph.edges) + sum(inner)


def _loops(figure: _Figure) -> int:
    return len(figure.layout.back) + sum(map(_loops, figure.inner.values()))


def _figure(graph: nir.NIRGraph) -> _Figure:
    lines, inner, sizes = {}, {}, {}
    for name, node in sorted(graph.nodes.items()):
        if isinstance(node, nir.NIRGraph):
            inner[name] = _figure(node)
            space = inner[name].layout
            lines[name] = [_cut(name, _NAME), "NIRGraph"]
            wide = max(space.width, *(_wide(line, 8.0) for line in lines[name]))
            sizes[name] = (wide + 2 * _PAD, space.height + 2 * _LINE + 2 * _PAD + 4)
        else:
            lines[name] = [_cut(name, _NAME), *(_cut(line, _TEXT) for line in _described(node))]
            wide = max(_wide(lines[name][0], 8.0), *(_wide(line, 6.9) for line in lines[name][1:]))
            sizes[name] = (wide + 2 * _PAD, len(lines[name]) * _LINE + _PAD + 2)
    starts = sorted(name for name, node in graph.nodes.items() if isinstance(node, nir.Input))
    return _Figure(layout(sizes, [(a, b) for a, b in graph.edges], starts), lines, inner, graph)


def _described(node: nir.NIRNode) -> list[str]:
    """Type and shape, then a line a parameter with its value or range."""
    kind, fields = type(node).__name__, node_fields(node)
    shape = fields.pop("shape", None)
    lines = [f"{kind} {_dims(shape)}".rstrip()]
    for key in ("weight", "delay", "scale", "threshold", "tau", "tau_mem", "r"):
        if shape is None and fields.get(key) is not None and np.ndim(fields[key]):
            lines = [f"{kind} {_dims(np.shape(fields[key]))}"]
            break
    return lines + [
        f"{key} {_value(key, value)}" for key, value in sorted(fields.items()) if value is not None
    ]


def _dims(shape: Any) -> str:
    return "" if shape is None else "×".join(f"{n:.15g}" for n in np.asarray(shape).reshape(-1).tolist())


def _value(key: str, value: Any) -> str:
    if isinstance(value, str | bytes):
        return value if isinstance(value, str) else value.decode("utf-8", "replace")
    array = np.asarray(value)
    if not array.size or array.dtype.kind not in "biuf":
        return f"({_dims(array.shape)})"
    if key in _SIZES and array.size <= 3:
        return "×".join(str(n) for n in array.reshape(-1).tolist())
    low, high = float(array.min()), float(array.max())
    return f"{low:.4g}" if low == high else f"{low:.3g} … {high:.3g}"


def _wide(text: str, each: float) -> float:
    """About how many pixels a text takes; a little more rather than less."""
    narrow = sum(c in "iljI.,:;|'!()[] " for c in text)
    wide = sum(c in "mwMW…×" or ord(c) > 0x2E7F for c in text)
    return each * (len(text) - 0.45 * narrow + 0.6 * wide) + 4


def _cut(text: str, most: int) -> str:
    return text if len(text) <= most else text[: most - 1] + "…"


def _tip(name: str) -> Markup:
    arrow = h("path", d="M0 0L9 4L0 8z", class_=name)
    size = {"markerWidth": 9, "markerHeight": 8, "refX": 8.5, "refY": 4, "markerUnits": "userSpaceOnUse"}
    return h("marker", arrow, id=name, orient="auto", **size)


def _drawn(figure: _Figure) -> Markup:
    edges = []
    for edge, points in sorted(figure.layout.routes.items()):
        loop = edge in figure.layout.back
        path = _polyline(points) if len(points) > 2 and loop else _curved(points)
        title = h("title", f"{edge[0]} → {edge[1]}")
        tip = "url(#looptip)" if loop else "url(#tip)"
        edges.append(h("path", title, d=path, class_="loop" if loop else "edge", marker_end=tip))
    boxes = [_box(figure, name, place) for name, place in figure.layout.places.items()]
    return h("g", boxes, edges)


def _box(figure: _Figure, name: str, place: Place) -> Markup:
    node, lines = figure.graph.nodes[name], figure.lines[name]
    kind = type(node).__name__
    frame = "frame" if name in figure.inner else _KINDS.get(kind, "box")
    size = {"width": place.width, "height": place.height, "rx": 6}
    parts: list[Any] = [h("title", f"{name} ({kind})"), h("rect", x=place.x, y=place.y, **size, class_=frame)]
    for k, line in enumerate(lines):
        y = place.y + _LINE * (k + 1) + 1
        parts.append(h("text", line, x=place.x + _PAD, y=y, class_="soft" if k else "name"))
    if name in figure.inner:
        at = f"translate({short(place.x + _PAD)} {short(place.y + 2 * _LINE + _PAD + 4)})"
        parts.append(h("g", _drawn(figure.inner[name]), transform=at))
    return h("g", parts)


def _curved(points: list[Point]) -> str:
    """Curves across the gaps between columns, straight lines across columns; one stretch is a curve."""
    if len(points) == 2:
        points = [points[0], *points]
    text = f"M{_at(points[0])}"
    for k in range(1, len(points)):
        (ax, ay), (bx, by) = points[k - 1], points[k]
        if k % 2 == 1 or ay == by:
            text += f"L{_at((bx, by))}"
        else:
            bend = (bx - ax) / 2
            text += f"C{_at((ax + bend, ay))} {_at((bx - bend, by))} {_at((bx, by))}"
    return text


def _polyline(points: list[Point], radius: float = 6.0) -> str:
    """Straight lines with round corners."""
    text = f"M{_at(points[0])}"
    for before, corner, after in zip(points, points[1:], points[2:], strict=False):
        a, b = _towards(corner, before, radius), _towards(corner, after, radius)
        text += f"L{_at(a)}Q{_at(corner)} {_at(b)}"
    return text + f"L{_at(points[-1])}"


def _at(point: Point) -> str:
    return f"{short(point[0])} {short(point[1])}"


def _towards(start: Point, goal: Point, distance: float) -> Point:
    dx, dy = goal[0] - start[0], goal[1] - start[1]
    length = max((dx * dx + dy * dy) ** 0.5, 1e-9)
    share = min(distance / length, 0.5)
    return start[0] + share * dx, start[1] + share * dy
