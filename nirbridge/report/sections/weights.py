"""Weights before and after quantisation: two histograms on one axis, and a page of every scale."""

from __future__ import annotations

from collections.abc import Sequence
from math import log1p
from typing import Any

from nirbridge.analysis.types import QuantizedScale
from nirbridge.report.markup import Markup, h, raw, short
from nirbridge.report.numbers import percent
from nirbridge.report.style import CSS
from nirbridge.report.svg import Scale, axis_x, drawing
from nirbridge.report.types import WeightHistogram

WIDTH, HEIGHT = 520, 150
DRAWN = 200  # histograms on a page; the table has every scale


def histogram(item: WeightHistogram) -> Markup:
    """Filled: what the target executes; line: the float weight, in the same unit. Log counts."""
    if len(item.edges) < 2 or len(item.before) != len(item.edges) - 1 or len(item.after) != len(item.before):
        return h("p", f"{item.target}: no histogram")
    scale = "" if item.scale is None else f", scale {item.scale:.4g}"
    caption = (
        f"{item.target}: filled, the weights it executes{scale}; line, the float weights. "
        f"Counts on a log axis; {percent(item.clipped_share)} clipped."
    )
    return _figure(item.edges, item.before, item.after, caption)


def calibration_page(scales: Sequence[QuantizedScale], title: str) -> str:
    """A page (UTF-8, no network, no script) with a table of every scale and the histogram of each."""
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("title", title),
        h("style", raw(CSS)),
    )
    section = h("section", h("h2", "Weights"), *_calibration(scales), id="weights")
    body = h("body", h("header", h("h1", title)), h("main", section))
    return f"<!doctype html>\n{h('html', head, body, lang='en')}\n"


def scale_rows(scales: Sequence[QuantizedScale]) -> list[tuple[str, ...]]:
    """Name, bits, scale, clipped share, SQNR and share of zeros of every scale, as text."""
    return [
        (
            named(item),
            str(item.bits),
            f"{item.scale:.4g}",
            percent(item.clipped_share),
            "exact" if item.sqnr_db is None else f"{item.sqnr_db:.1f} dB",
            percent(item.zero_share),
        )
        for item in scales
    ]


COLUMNS = ("weights", "bits", "scale", "clipped", "SQNR", "zeros")


def named(item: QuantizedScale) -> str:
    """The nodes of a scale, with the channel where it is one channel's."""
    return "+".join(item.nodes) + ("" if item.channel is None else f"[{item.channel}]")


def _calibration(scales: Sequence[QuantizedScale]) -> list[Any]:
    if not scales:
        return [h("p", "No weights were quantised.")]
    cells = [
        h("tr", h("td", row[0]), [h("td", cell, class_="mono") for cell in row[1:]])
        for row in scale_rows(scales)
    ]
    head = h("thead", h("tr", [h("th", name) for name in COLUMNS]))
    note = (
        "Clipped: errs by more than half a scale. SQNR: 10·log10(Σw²/Σ(w−ŵ)²). Zeros: weights that are 0 "
        "afterwards."
    )
    left_out = f" Histograms of the first {DRAWN} scales." if len(scales) > DRAWN else ""
    table = h("div", h("table", head, h("tbody", cells)), class_="scroll")
    return [table, h("p", note + left_out), [_drawn(item) for item in scales[:DRAWN]]]


def _drawn(item: QuantizedScale) -> Markup:
    noise = "no error" if item.sqnr_db is None else f"SQNR {item.sqnr_db:.1f} dB"
    caption = (
        f"{named(item)}: filled, {item.count:,} weights of {item.bits} bits, scale {item.scale:.4g}; line, "
        f"before. Counts on a log axis; {percent(item.clipped_share)} clipped, {noise}."
    )
    return _figure(item.edges, item.before, item.after, caption)


def _figure(edges: Sequence[float], before: Sequence[int], after: Sequence[int], caption: str) -> Markup:
    """Two histograms over the same bins: ``after`` filled, ``before`` as a line."""
    most = max([*before, *after, 1])
    x = Scale(edges[0], edges[-1], 10, WIDTH - 10)
    y = Scale(0.0, 1.0, HEIGHT - 36, 8)

    def level(count: int) -> float:
        return y(log1p(count) / log1p(most))

    bars = [
        h(
            "rect",
            x=x(edges[k]),
            y=level(count),
            width=max(x(edges[k + 1]) - x(edges[k]), 0.4),
            height=y.start - level(count),
        )
        for k, count in enumerate(after)
        if count
    ]
    steps = [f"M{short(x(edges[0]))} {short(y.start)}"]
    for k, count in enumerate(before):
        steps.append(f"V{short(level(count))}H{short(x(edges[k + 1]))}")
    outline = h(
        "path", d="".join(steps) + f"V{short(y.start)}", fill="none", stroke="var(--second)", stroke_width=1.6
    )
    return h(
        "figure",
        drawing(
            WIDTH,
            HEIGHT,
            h("g", bars, fill="var(--first)", fill_opacity="0.55"),
            outline,
            axis_x(x, y.start, "weight"),
            label=caption,
        ),
        h("figcaption", caption),
    )
