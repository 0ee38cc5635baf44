"""Scales, axes and marks that several drawings share."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

from nirbridge.report.markup import Markup, h, short

COLOURS = 8


@dataclass(frozen=True, slots=True)
class Scale:
    """Maps values low … high to pixels start … end, linearly."""

    low: float
    high: float
    start: float
    end: float

    def __call__(self, value: float) -> float:
        span = self.high - self.low
        return self.start if span == 0 else self.start + (value - self.low) / span * (self.end - self.start)

    def ticks(self, about: int = 5) -> list[float]:
        """Round values inside the range, about so many."""
        span = self.high - self.low
        if span <= 0 or not math.isfinite(span):
            return [self.low]
        step = 10.0 ** math.floor(math.log10(span / about))
        step *= min((1, 2, 5, 10), key=lambda k: abs(span / (step * k) - about))
        first = math.ceil(self.low / step - 1e-9)
        last = math.floor(self.high / step + 1e-9)
        return [k * step for k in range(first, last + 1)]


def drawing(width: float, height: float, *children: Any, label: str, wide: bool = False) -> Markup:
    """An SVG that shrinks with the page; ``label`` says in words what it shows.

    A ``wide`` one stops shrinking at three quarters, inside a box that scrolls.
    """
    style = f"min-width:{0.75 * width:.0f}px" if wide else None
    size = {"viewBox": f"0 0 {short(width)} {short(height)}", "width": width, "height": height}
    return h("svg", *children, **size, role="img", aria_label=label, style=style)


def axis_x(scale: Scale, y: float, label: str, *, top: float | None = None) -> Markup:
    """A horizontal axis with round ticks below; thin lines up to ``top`` where given."""
    marks = []
    for value in scale.ticks():
        x = scale(value)
        end = y + 4 if top is None else top
        marks.append(h("path", d=f"M{short(x)} {short(y + 4)}V{short(end)}", class_="axis"))
        marks.append(h("text", f"{value:g}", x=x, y=y + 17, text_anchor="middle", class_="soft"))
    line = h("path", d=f"M{short(scale.start)} {short(y)}H{short(scale.end)}", class_="axis")
    name = h("text", label, x=scale.end, y=y + 32, text_anchor="end", class_="soft")
    return h("g", line, marks, name)


def axis_y(scale: Scale, x: float, label: str, *, about: int = 4) -> Markup:
    """A vertical axis with round ticks at the left and its name above."""
    marks = []
    for value in scale.ticks(about):
        y = scale(value)
        marks.append(h("path", d=f"M{short(x - 4)} {short(y)}H{short(x)}", class_="axis"))
        marks.append(h("text", f"{value:g}", x=x - 7, y=y + 4, text_anchor="end", class_="soft"))
    line = h("path", d=f"M{short(x)} {short(scale.start)}V{short(scale.end)}", class_="axis")
    name = h("text", label, x=x, y=min(scale.start, scale.end) - 8, class_="soft")
    return h("g", line, marks, name)


def points(places: Iterable[tuple[float, float]]) -> str:
    """Path data of dots: lines of no length, drawn as round caps. Compact: 10 bytes a dot."""
    return "".join(f"M{short(x)} {short(y)}h0" for x, y in places)


def crosses(places: Iterable[tuple[float, float]], r: float) -> str:
    """Path data of ×-shaped marks of half width ``r``."""
    a, b = short(2 * r), short(-2 * r)
    return "".join(f"M{short(x - r)} {short(y - r)}l{a} {a}m{b} 0l{a} {b}" for x, y in places)


def squares(places: Iterable[tuple[float, float]], r: float) -> str:
    """Path data of hollow squares of half width ``r``."""
    a, b = short(2 * r), short(-2 * r)
    return "".join(f"M{short(x - r)} {short(y - r)}h{a}v{a}h{b}z" for x, y in places)


def line(places: Sequence[tuple[float, float]]) -> str:
    """Path data of a line through the places."""
    return "M" + "L".join(f"{short(x)} {short(y)}" for x, y in places) if places else ""


def curve(*places: tuple[float, float]) -> str:
    """Path data of one cubic curve: start, two handles, end."""
    start, *rest = (f"{short(x)} {short(y)}" for x, y in places)
    return f"M{start}C{' '.join(rest)}"


def stroke(colour: str, width: float, *, dash: str | None = None, round_: bool = False) -> dict[str, Any]:
    """Attributes of an unfilled line in one of the page's colours: ``agree``, ``first`` and so on."""
    cap = "round" if round_ else None
    return {
        "fill": "none",
        "stroke": f"var(--{colour})",
        "stroke_width": width,
        "stroke_dasharray": dash,
        "stroke_linecap": cap,
    }


def colour(index: int) -> str:
    """The n-th of the colours that colour-blind readers tell apart, as a CSS value."""
    return f"var(--c{index % COLOURS})"
