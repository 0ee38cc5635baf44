"""A weight before and after a target's passes, two histograms on one axis."""

from __future__ import annotations

from nirbridge.report.markup import Markup, h, short
from nirbridge.report.numbers import percent
from nirbridge.report.svg import Scale, axis_x, drawing
from nirbridge.report.types import WeightHistogram

WIDTH, HEIGHT = 520, 150


def histogram(item: WeightHistogram) -> Markup:
    """Filled: what the target executes; line: the float weight, in the same unit. Log counts."""
    edges = item.edges
    if len(edges) < 2 or len(item.before) != len(edges) - 1 or len(item.after) != len(edges) - 1:
        return h("p", f"{item.target}: no histogram")
    most = max([*item.before, *item.after, 1])
    x = Scale(edges[0], edges[-1], 10, WIDTH - 10)
    y = Scale(0.0, 1.0, HEIGHT - 36, 8)
    top = _height(most, most)

    def level(count: int) -> float:
        return y(_height(count, most) / top)

    bars = [
        h(
            "rect",
            x=x(edges[k]),
            y=level(count),
            width=max(x(edges[k + 1]) - x(edges[k]), 0.4),
            height=y.start - level(count),
        )
        for k, count in enumerate(item.after)
        if count
    ]
    steps = [f"M{short(x(edges[0]))} {short(y.start)}"]
    for k, count in enumerate(item.before):
        steps.append(f"V{short(level(count))}H{short(x(edges[k + 1]))}")
    outline = h(
        "path", d="".join(steps) + f"V{short(y.start)}", fill="none", stroke="var(--second)", stroke_width=1.6
    )
    scale = "" if item.scale is None else f", scale {item.scale:.4g}"
    caption = (
        f"{item.target}: filled, the weights it executes{scale}; line, the float weights. "
        f"Counts on a log axis; {percent(item.clipped_share)} clipped."
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


def _height(count: int, most: int) -> float:
    """A count on a log axis where 0 stays 0."""
    from math import log1p

    return log1p(count) if most else 0.0
