"""The commands and the configuration that give this report again, and how the graph came about."""

from __future__ import annotations

from typing import Any

from nirbridge.report.markup import Markup, h
from nirbridge.report.types import Report


def reproduce(report: Report) -> Markup:
    """Commands, configuration, training summary and history of the graph."""
    parts: list[Any] = [h("h2", "Reproduce")]
    parts.append(h("pre", "\n".join(report.commands) or "made in Python, no command was recorded"))
    if report.config:
        parts.append(h("h3", "Configuration"))
        parts.append(h("pre", report.config))
    if report.graph.training:
        parts.append(h("h3", "Training"))
        rows = [
            [h("dt", key), h("dd", _brief(value))]
            for key, value in report.graph.training.items()
            if value is not None
        ]
        parts.append(h("dl", rows, class_="facts"))
    if report.graph.history:
        parts.append(h("h3", "Passes that made the file"))
        names = ("pass", "options", "tool", "before", "after")
        lines = [
            h(
                "tr",
                [
                    h("td", _brief(entry.get(name)), class_="mono" if name in names[3:] else None)
                    for name in names
                ],
            )
            for entry in report.graph.history
        ]
        head = h("tr", [h("th", name) for name in names])
        parts.append(h("div", h("table", h("thead", head), h("tbody", lines)), class_="scroll"))
    return h("section", parts, id="reproduce")


def _brief(value: Any) -> str:
    if isinstance(value, dict):
        return ", ".join(f"{key}={item}" for key, item in value.items()) or "–"
    text = f"{value:.6g}" if isinstance(value, float) else str(value)
    return text if len(text) <= 120 else text[:117] + "…"
