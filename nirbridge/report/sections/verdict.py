"""What comes first: can each target be used, and what was compared."""

from __future__ import annotations

from nirbridge.report.markup import Markup, h
from nirbridge.report.types import Report, TargetResult


def verdict(report: Report) -> Markup:
    """One sentence a target, then graph, data and versions."""
    items = [
        h("li", h("strong", result.target), ": ", result.verdict, class_="good" if usable(result) else "bad")
        for result in report.results
    ]
    return h("section", h("ul", items, class_="verdicts"), _facts(report), id="verdict")


def usable(result: TargetResult) -> bool:
    """The target ran the graph: it fits, and no finding is an error."""
    fits = result.placement is None or bool(result.placement["fits"])
    return fits and not any(finding["level"] == "error" for finding in result.findings)


def _facts(report: Report) -> Markup:
    graph, data = report.graph, report.data
    classes = f", {len(data.classes)} classes" if data.classes else ""
    cut = f", {data.cut_spikes} spikes beyond the duration cut off" if data.cut_spikes else ""
    rows = [
        ("graph", f"{graph.file or 'in memory'}, {len(graph.nodes)} nodes, dt {graph.dt * 1e3:g} ms"),
        ("read-out", graph.readout),
        ("digest", graph.digest),
        (
            "data",
            f"{data.file}: {data.n_samples} samples{classes}, {data.n_units} channels, "
            f"{data.duration_s:g} s, {data.spikes_per_sample:,.1f} spikes per sample{cut}",
        ),
        ("versions", ", ".join(f"{name} {version}" for name, version in report.versions.items())),
        ("made", report.created),
    ]
    return h("dl", [[h("dt", name), h("dd", text)] for name, text in rows if text], class_="facts")
