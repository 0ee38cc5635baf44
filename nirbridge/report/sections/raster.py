"""One sample's spikes on every target against the first, and the membrane where they first differ."""

from __future__ import annotations

from collections.abc import Sequence

from nirbridge.report.markup import Markup, h, short
from nirbridge.report.svg import Scale, axis_x, axis_y, crosses, drawing, line, points, squares, stroke
from nirbridge.report.types import Divergence, Membrane, Raster, Report

WIDTH, LEFT, RIGHT = 860, 46, 12
DASH = "6 3"


def raster(report: Report, most: int) -> Markup | None:
    """Rasters and membranes; of agreeing spikes at most ``most`` are drawn in each raster."""
    if not report.rasters and not report.membranes:
        return None
    parts: list[Markup] = [h("h2", "Spikes of one sample"), _legend()]
    first = {
        result.target: result.versus.first_difference
        for result in report.results
        if result.versus is not None
    }
    shown: set[tuple[str, int, str]] = set()
    for item in report.rasters:
        label = "" if item.label is None else f", class {item.label}"
        parts.append(h("h3", f"Sample {item.sample}{label}: node {item.node}"))
        for target in item.targets:
            parts.append(_raster(item, target, first.get(target), most))
            for trace in report.membranes:
                key = (trace.target, trace.sample, trace.node)
                if trace.target == target and trace.sample == item.sample and key not in shown:
                    shown.add(key)
                    parts.append(membrane(trace))
    rest = [t for t in report.membranes if (t.target, t.sample, t.node) not in shown]
    parts += [membrane(trace) for trace in rest]
    return h("section", parts, id="raster")


def _legend() -> Markup:
    ring = h("circle", cx=7, cy=7, r=5.5, **stroke("fg", 1.4))
    marks = (
        ("agree", h("path", d=points([(7, 7)]), **stroke("agree", 5, round_=True))),
        ("missing here", h("path", d=squares([(7, 7)], 4), **stroke("missing", 1.8))),
        ("extra here", h("path", d=crosses([(7, 7)], 4), **stroke("extra", 2))),
        ("first difference", ring),
    )
    keys = [
        h("span", h("svg", mark, width=14, height=14, aria_hidden="true"), name, class_="key")
        for name, mark in marks
    ]
    return h("p", keys)


def _raster(item: Raster, target: str, first: Divergence | None, most: int) -> Markup:
    spikes = item.targets[target]
    height = min(max(item.neurons * 4, 70), 300)
    x = Scale(0, max(item.steps, 1), LEFT, WIDTH - RIGHT)
    y = Scale(0, max(item.neurons - 1, 1), 22, 22 + height)
    matched, note = _thinned(spikes["matched"], most)

    def places(events: Sequence[Sequence[int]]) -> list[tuple[float, float]]:
        return [(x(step), y(neuron)) for step, neuron in events]

    missing, note_missing = _thinned(spikes["missing"], most)
    extra, note_extra = _thinned(spikes["extra"], most)
    dot = 4 if height / max(item.neurons, 1) >= 4 else 3
    parts = [
        h("path", d=points(places(matched)), **stroke("agree", dot, round_=True)),
        h("path", d=squares(places(missing), 3), **stroke("missing", 1.5)),
        h("path", d=crosses(places(extra), 3), **stroke("extra", 1.7)),
    ]
    if first is not None and first.sample == item.sample and first.node == item.node:
        cx, cy = x(first.step), y(first.neuron)
        parts.append(h("circle", cx=cx, cy=cy, r=8, **stroke("fg", 1.4)))
        side = "start" if cx < WIDTH - 130 else "end"
        shift = 12 if side == "start" else -12
        parts.append(
            h("text", f"first: {first}", x=cx + shift, y=max(cy - 9, 12), text_anchor=side, class_="halo")
        )
    bottom = 22 + height + 10
    parts.append(axis_x(x, bottom, f"step of {item.dt * 1e3:g} ms"))
    parts.append(axis_y(y, LEFT - 6, "neuron"))
    counts = (
        f"{target}: {len(spikes['matched']):,} agree, {len(spikes['missing']):,} missing, "
        f"{len(spikes['extra']):,} extra{note or note_missing or note_extra}"
    )
    picture = drawing(WIDTH, bottom + 36, parts, label=f"raster of {item.node}, {counts}", wide=True)
    return h("figure", h("div", picture, class_="scroll"), h("figcaption", counts))


def _thinned(events: list[list[int]], most: int) -> tuple[list[list[int]], str]:
    """At most so many events, evenly taken, and a note where some were left out."""
    if len(events) <= most:
        return events, ""
    step = len(events) / most
    kept = [events[int(k * step)] for k in range(most)]
    return kept, f"; one in {step:.1f} drawn"


def membrane(trace: Membrane) -> Markup:
    """V/θ of one neuron on both sides, the threshold at 1, the first difference marked."""
    steps = range(trace.first_step, trace.first_step + max(len(trace.first), len(trace.second)))
    values = [v for v in (*trace.first, *trace.second, 1.0, 0.0) if v == v and abs(v) < 1e6]
    low, high = min(values), max(values)
    room = 0.05 * (high - low or 1.0)
    x = Scale(trace.first_step, max(steps.stop - 1, trace.first_step + 1), LEFT, WIDTH - RIGHT)
    y = Scale(low - room, high + room, 160, 24)
    at = x(trace.at_step)
    threshold = y(1.0)
    first, second = (_trace(v, trace.first_step, x, y) for v in (trace.first, trace.second))
    parts = [
        h("path", d=f"M{short(at)} 24V160", **stroke("line", 6)),
        h("path", d=f"M{LEFT} {short(threshold)}H{short(x.end)}", **stroke("soft", 1, dash="2 3")),
        h("text", "threshold", x=x.end, y=threshold - 5, text_anchor="end", class_="soft"),
        h("path", d=first, **stroke("first", 2)),
        h("path", d=second, **stroke("second", 2, dash=DASH)),
        h("text", f"step {trace.at_step}", x=at + 6, y=42, class_="halo"),
        axis_x(x, 164, "step"),
        axis_y(y, LEFT - 6, "V / threshold"),
    ]
    name = f"{trace.node}[{trace.neuron}], sample {trace.sample}"
    keys = [_line_key("first", None, "first target"), _line_key("second", DASH, trace.target)]
    picture = drawing(WIDTH, 200, parts, label=f"membrane of {name} on both sides", wide=True)
    return h(
        "figure",
        h("div", picture, class_="scroll"),
        h("figcaption", f"Membrane of {name}, after reset. ", h("br"), keys),
    )


def _line_key(colour: str, dash: str | None, text: str) -> Markup:
    sample = h("path", d="M0 7H22", **stroke(colour, 2.4, dash=dash))
    return h("span", h("svg", sample, width=22, height=14, aria_hidden="true"), text, class_="key")


def _trace(values: Sequence[float], first_step: int, x: Scale, y: Scale) -> str:
    return line([(x(first_step + k), y(v)) for k, v in enumerate(values) if v == v and abs(v) < 1e6])
