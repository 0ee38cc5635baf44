"""The report as one HTML page: no network, no script needed, at most 1 MB, dark and light."""

from __future__ import annotations

from nirbridge.report.markup import Markup, h, raw
from nirbridge.report.sections.costs import costs
from nirbridge.report.sections.graph import graph
from nirbridge.report.sections.layers import per_layer
from nirbridge.report.sections.placement import placement
from nirbridge.report.sections.raster import raster
from nirbridge.report.sections.reproduce import reproduce
from nirbridge.report.sections.targets import targets
from nirbridge.report.sections.verdict import verdict
from nirbridge.report.style import CSS
from nirbridge.report.types import Report

MAX_BYTES = 1_000_000
SPIKES = (8000, 3000, 1000, 300, 100, 0)  # agreeing spikes drawn in a raster, until the page is small enough

_NAMES = {
    "verdict": "Verdict",
    "targets": "Targets",
    "graph": "Graph",
    "raster": "Spikes",
    "layers": "Per layer",
    "placement": "Placement",
    "costs": "Energy and latency",
    "reproduce": "Reproduce",
}


def render(report: Report) -> str:
    """The page as text (UTF-8, at most 1 MB as long as the tables alone are).

    Rasters draw fewer of the agreeing spikes where the page would grow beyond that, and say so.
    """
    page = ""
    for most in SPIKES:
        page = _page(report, most)
        if len(page.encode("utf-8")) <= MAX_BYTES:
            break
    return page


def _page(report: Report, most: int) -> str:
    sections = {
        "verdict": verdict(report),
        "targets": targets(report),
        "graph": graph(report),
        "raster": raster(report, most),
        "layers": per_layer(report),
        "placement": placement(report),
        "costs": costs(report),
        "reproduce": reproduce(report),
    }
    present: dict[str, Markup] = {key: section for key, section in sections.items() if section is not None}
    title = f"{report.graph.file or 'graph'} on {_listed([result.target for result in report.results])}"
    links = [h("a", _NAMES[key], href=f"#{key}") for key in present if key != "verdict"]
    head = h(
        "head",
        h("meta", charset="utf-8"),
        h("meta", name="viewport", content="width=device-width, initial-scale=1"),
        h("meta", name="color-scheme", content="light dark"),
        h("title", title),
        h("style", raw(CSS)),
    )
    body = h("body", h("header", h("h1", title), h("nav", links)), h("main", list(present.values())))
    return f"<!doctype html>\n{h('html', head, body, lang='en')}\n"


def _listed(names: list[str]) -> str:
    """ "a", "a and b", "a, b and c"."""
    if len(names) < 2:
        return "".join(names) or "no target"
    return f"{', '.join(names[:-1])} and {names[-1]}"
