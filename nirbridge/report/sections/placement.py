"""Where neurons and synapses sit, and every limit with its headroom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.markup import Markup, h
from nirbridge.report.numbers import amount, plural
from nirbridge.report.placed import QUAD, clusters, loads
from nirbridge.report.sections.layers import bar
from nirbridge.report.svg import colour, drawing
from nirbridge.report.types import Report

CELL, GAP, MOST = 34, 6, 512
LOAD = 7  # width of the bar of load inside a cell


def placement(report: Report) -> Markup | None:
    """A grid of cores and a table of limits for each target that places anything."""
    parts = [
        h("div", h("h3", result.target), _summary(result.placement), _limits(result.placement["limits"]))
        for result in report.results
        if result.placement is not None
    ]
    if not parts:
        return None
    return h("section", h("h2", "Placement"), parts, id="placement")


def _summary(placed: Mapping[str, Any]) -> Markup:
    cores, word = placed["cores"], placed["core_name"]
    used = plural(len(cores), word)
    if placed["available"] >= len(cores):
        used = f"{len(cores)} of {plural(placed['available'], word)}"
    fits = "It fits." if placed["fits"] else "It does not fit: see the limits."
    text = h("p", f"{used} in use. {fits}")
    if not cores:
        return text
    nodes = list(dict.fromkeys(core["node"] for core in cores))
    hue = {node: colour(at) for at, node in enumerate(nodes)}
    keys = [
        h(
            "span",
            h("span", class_="swatch", style=f"background:{hue[node]}"),
            _node_text(node, cores),
            class_="key",
        )
        for node in nodes
    ]
    more = f" The first {MOST} are drawn." if len(cores) > MOST else ""
    quads = clusters(placed)[: MOST // QUAD]
    what = f"A cell a {word}, filled as far as its memory is"
    if loads(cores):
        what += "; the bar at its right is the busy share of a tick without spikes"
    if quads:
        what += f"; four {word}s are a quad, empty ones are free"
    drawn = _quads(quads, hue, word) if quads else _grid(cores[:MOST], hue, word)
    return h("div", text, h("figure", drawn, h("p", keys), h("figcaption", f"{what}.{more}")))


def _node_text(node: str, cores: Sequence[Mapping[str, Any]]) -> str:
    mine = [core for core in cores if core["node"] == node]
    neurons = sum(core["neurons"] for core in mine)
    busy = loads(mine)
    return (
        f"{node}: {f'{neurons:,} neurons on ' if neurons else ''}{len(mine)}, "
        f"memory up to {100 * max(core['memory'] for core in mine):.0f} %"
        + (f", load up to {100 * max(busy):.1f} %" if busy else "")
    )


def _grid(cores: Sequence[Mapping[str, Any]], hue: Mapping[str, str], word: str) -> Markup:
    columns = min(len(cores), 20 if len(cores) <= 160 else 32)
    rows = -(-len(cores) // columns)
    cells = [
        _cell(core, (at % columns) * (CELL + GAP) + 1, (at // columns) * (CELL + GAP) + 1, hue, word)
        for at, core in enumerate(cores)
    ]
    label = f"{len(cores)} {word} cells filled by memory"
    return drawing(columns * (CELL + GAP), rows * (CELL + GAP), cells, label=label)


def _quads(quads: Sequence[Sequence[Any | None]], hue: Mapping[str, str], word: str) -> Markup:
    """Blocks of 2×2 cells, free ones as outlines; the title of a block says what four share."""
    columns, side = min(len(quads), 10), 2 * CELL + 2
    step = side + 2 * GAP
    parts = []
    for at, quad in enumerate(quads):
        x, y = (at % columns) * step + 1, (at // columns) * step + 1
        for place, core in enumerate(quad):
            left, top = x + (place % 2) * (CELL + 2), y + (place // 2) * (CELL + 2)
            if core is None:
                free = h("title", f"quad {at}, {word} {place}: free")
                size = {"x": left, "y": top, "width": CELL, "height": CELL, "rx": 3}
                style = {"fill": "transparent", "stroke": "var(--line)", "stroke_width": 0.5}
                parts.append(h("g", free, h("rect", **size, **style)))
            else:
                parts.append(_cell(core, left, top, hue, word))
    used = sum(core is not None for quad in quads for core in quad)
    label = f"{len(quads)} quads of {word} cells, {used} in use, filled by memory and load"
    return drawing(columns * step, -(-len(quads) // columns) * step, parts, label=label)


def _cell(core: Mapping[str, Any], x: float, y: float, hue: Mapping[str, str], word: str) -> Markup:
    level = min(max(float(core["memory"]), 0.0), 1.0) * CELL
    detail = ", ".join(f"{key} {value:,.6g}" for key, value in core["detail"].items())
    last = core["first"] + core["neurons"] - 1
    slice_text = f"[{core['first']}–{last}]" if core["neurons"] else ""
    title = (
        f"{word} {core['index']}: {core['node']}{slice_text}, "
        f"memory {100 * core['memory']:.1f} %{', ' + detail if detail else ''}"
    )
    over = core["memory"] > 1
    busy = [min(load, 1.0) * CELL for load in loads([core])]
    bars = [
        h("rect", x=x + CELL - LOAD, y=y + CELL - high, width=LOAD, height=high, fill="var(--fg)")
        for high in busy
    ]
    return h(
        "g",
        h("title", title),
        h("rect", x=x, y=y, width=CELL, height=CELL, rx=3, fill=hue[core["node"]], fill_opacity=0.15),
        h("rect", x=x, y=y + CELL - level, width=CELL, height=level, fill=hue[core["node"]]),
        bars,
        h(
            "rect",
            x=x,
            y=y,
            width=CELL,
            height=CELL,
            rx=3,
            fill="transparent",
            stroke="var(--bad)" if over or any(load > 1 for load in loads([core])) else "var(--soft)",
            stroke_width=2 if over else 1,
        ),
    )


def _limits(limits: Sequence[Mapping[str, Any]]) -> Markup:
    names = ("limit", "where", "used", "of", "fill, headroom", "basis")
    rows = []
    for limit in sorted(limits, key=lambda item: 2.0 if item["headroom"] is None else item["headroom"]):
        room = limit["headroom"]
        bound = "–" if limit["limit"] is None else f"{amount(limit['limit'])} {limit['unit']}"
        shown = [bar(1 - room, over=room < 0), f"{100 * room:.1f} %"] if room is not None else ["–"]
        rows.append(
            h(
                "tr",
                h("td", limit["name"], class_="name"),
                h("td", limit["where"]),
                h("td", f"{amount(limit['used'])} {limit['unit']}", class_="num"),
                h("td", bound, class_="num"),
                h("td", shown, class_="nowrap"),
                h("td", limit["basis"]),
            )
        )
    head = h("tr", [h("th", name, class_="num" if name in ("used", "of") else None) for name in names])
    return h("div", h("table", h("thead", head), h("tbody", rows)), class_="scroll")
