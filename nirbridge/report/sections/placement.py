"""Where neurons and synapses sit, and every limit with its headroom."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.markup import Markup, h
from nirbridge.report.numbers import amount, plural
from nirbridge.report.sections.layers import bar
from nirbridge.report.svg import colour, drawing
from nirbridge.report.types import Report

CELL, GAP, MOST = 34, 6, 512


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
    caption = h("figcaption", f"A cell a {word}, filled as far as its memory is.{more}")
    return h("div", text, h("figure", _grid(cores[:MOST], hue, word), h("p", keys), caption))


def _node_text(node: str, cores: Sequence[Mapping[str, Any]]) -> str:
    mine = [core for core in cores if core["node"] == node]
    return f"{node}: {sum(core['neurons'] for core in mine):,} neurons on {len(mine)}"


def _grid(cores: Sequence[Mapping[str, Any]], hue: Mapping[str, str], word: str) -> Markup:
    columns = min(len(cores), 20 if len(cores) <= 160 else 32)
    rows = -(-len(cores) // columns)
    cells = []
    for at, core in enumerate(cores):
        x, y = (at % columns) * (CELL + GAP) + 1, (at // columns) * (CELL + GAP) + 1
        level = min(max(float(core["memory"]), 0.0), 1.0) * CELL
        detail = ", ".join(f"{key} {value:,.6g}" for key, value in core["detail"].items())
        last = core["first"] + core["neurons"] - 1
        title = (
            f"{word} {core['index']}: {core['node']}[{core['first']}–{last}], "
            f"memory {100 * core['memory']:.1f} %{', ' + detail if detail else ''}"
        )
        over = core["memory"] > 1
        cells.append(
            h(
                "g",
                h("title", title),
                h("rect", x=x, y=y + CELL - level, width=CELL, height=level, fill=hue[core["node"]]),
                h(
                    "rect",
                    x=x,
                    y=y,
                    width=CELL,
                    height=CELL,
                    rx=3,
                    fill="transparent",
                    stroke="var(--bad)" if over else "var(--soft)",
                    stroke_width=2 if over else 1,
                ),
            )
        )
    label = f"{len(cores)} {word} cells filled by memory"
    return drawing(columns * (CELL + GAP), rows * (CELL + GAP), cells, label=label)


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
