"""The targets side by side, where their differences come from, and on what the figures stand."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.markup import Markup, h
from nirbridge.report.numbers import percent, plural, share, signed
from nirbridge.report.table import COLUMNS, beside_text, row
from nirbridge.report.types import Report, TargetResult


def targets(report: Report) -> Markup:
    """The comparison table with a chip a basis, then passes and findings of each target."""
    body = []
    for at, result in enumerate(report.results):
        cells = list(row(result, first=at == 0))
        marked = [h("td", cells[0], class_="name", data_label=COLUMNS[0])]
        marked += [
            h("td", cell, data_label=name, class_="nowrap")
            for name, cell in zip(COLUMNS[1:-1], cells[1:-1], strict=True)
        ]
        marked.append(h("td", h("div", basis_chip(result.cost)), data_label=COLUMNS[-1]))
        body.append(h("tr", marked))
    head = h("thead", h("tr", [h("th", name) for name in COLUMNS]))
    table = h("table", head, h("tbody", body), class_="cards")
    return h(
        "section",
        h("h2", "Targets side by side"),
        h("div", table, class_="scroll"),
        _accuracy_note(report),
        _ways(report),
        _sources_of_difference(report),
        [_details(result) for result in report.results if result.passes or result.findings],
        id="targets",
    )


def basis_chip(cost: Mapping[str, Any] | None) -> Markup:
    """The basis of a cost as a chip that opens to source, scenario, residuals and held-out rows."""
    if cost is None:
        return h("span", "–")
    total = cost["energy"] or cost["latency"]
    residuals = cost["residuals"]
    parts = [
        h("p", total["source"]),
        h(
            "p",
            f"Scope: {cost['scope']}, batch {cost['batch']}, {cost['ticks']} ticks of {cost['tick_s']:g} s.",
        ),
    ]
    if cost["extrapolated"]:
        parts.append(h("p", h("strong", "Extrapolated"), " beyond the rows that the model was fitted to."))
    parts += [h("p", h("strong", "Overrun: "), text) for text in cost.get("overruns", ())]
    if cost["scenario"]:
        scenario = ", ".join(f"{key} = {value}" for key, value in cost["scenario"].items())
        parts.append(h("p", f"Scenario: {scenario}."))
    if cost["static_share"] is not None and cost["static_share"] > 0.5:
        share_text = f"{100 * cost['static_share']:.0f} % of the energy is static"
        parts.append(h("p", f"{share_text}: time and idle policy decide, not synaptic operations."))
    parts += [h("p", note) for note in cost["notes"]]
    parts += [
        h("p", f"{band['quantity']}: ±{band['error_pct']:g} %, {band['basis']} ({band['source']}).")
        for band in cost.get("bands", ())
    ]
    if residuals:
        parts.append(residual_list(residuals))
    extra = ", extrapolated" if cost["extrapolated"] else ""
    extra += ", overruns" if cost.get("overruns") else ""
    return h("details", h("summary", total["basis"], extra), h("div", parts), class_=f"chip {total['basis']}")


def residual_list(residuals: Sequence[Mapping[str, Any]]) -> Markup:
    """Model against published rows, held-out rows marked."""
    items = []
    for residual in residuals:
        mark = h("strong", " held out") if residual["role"] == "validation" else f" {residual['role']}"
        items.append(
            h("li", f"{residual['row']}, {residual['quantity']}: {residual['error_pct']:+.1f} %,", mark)
        )
    return h("div", "Model against published rows:", h("ul", items))


def _accuracy_note(report: Report) -> Markup | None:
    known = [result for result in report.results if result.accuracy_se is not None]
    if not known:
        return None
    errors = ", ".join(f"{result.target} ±{share(result.accuracy_se or 0.0)}" for result in known)
    n = known[0].n_samples
    return h("p", f"Standard error of accuracy on {n} samples: {errors}.", class_="soft small")


def _ways(report: Report) -> Markup | None:
    """What other ways to bring the graph to a target would give."""
    items = [h("li", f"{r.target}, {beside_text(way)}") for r in report.results for way in r.beside]
    if not items:
        return None
    return h("div", h("h3", "Other ways to the same target"), h("ul", items))


def _sources_of_difference(report: Report) -> Markup | None:
    """Quantisation and arithmetic told apart: the reference on each lowered graph, then the target on it."""
    rows = []
    for result in report.results:
        if result.lowered is None:
            continue
        agree = result.lowered.spikes_agree
        change = result.lowered.change
        first = result.lowered.first_difference
        rows.append(
            h(
                "tr",
                h("td", result.target, class_="name"),
                h("td", "–" if result.lowered_accuracy is None else share(result.lowered_accuracy)),
                h("td", "–" if agree is None else percent(agree)),
                h("td", "none" if first is None else str(first)),
                h(
                    "td",
                    "–" if change is None else f"{signed(change.change)} of {change.n} (±{change.se:.1f})",
                ),
            )
        )
    if not rows:
        return None
    names = (
        "target",
        "reference on the lowered graph",
        "spikes agree with it",
        "first difference",
        "change (paired)",
    )
    return h(
        "div",
        h("h3", "Quantisation and arithmetic told apart"),
        h(
            "p",
            "The reference runs the graph that the target's passes made. What differs between the original "
            "and this run is quantisation; what differs between this run and the target is its arithmetic.",
            class_="soft small",
        ),
        h(
            "div",
            h("table", h("thead", h("tr", [h("th", name) for name in names])), h("tbody", rows)),
            class_="scroll",
        ),
    )


def _details(result: TargetResult) -> Markup:
    """Passes and findings of one target."""
    parts: list[Markup] = []
    if result.passes:
        head = h("tr", [h("th", name) for name in ("pass", "changed", "what stays equal", "measured")])
        rows = [
            h(
                "tr",
                h("td", _pass_text(p.name, p.options)),
                h("td", p.changed),
                h("td", p.law),
                h("td", p.result),
            )
            for p in result.passes
        ]
        parts.append(h("div", h("table", h("thead", head), h("tbody", rows)), class_="scroll"))
    for finding in result.findings:
        text = f"{finding['level']} {finding['code']}: {finding['message']}"
        fix = f" Fix: {finding['fix']}" if finding["fix"] else ""
        parts.append(h("p", text, h("span", fix, class_="soft"), class_="small"))
    counts = []
    if result.passes:
        counts.append(plural(len(result.passes), "pass"))
    if result.findings:
        counts.append(plural(len(result.findings), "finding"))
    return h("details", h("summary", f"{result.target}: {', '.join(counts)}"), parts, class_="box")


def _pass_text(name: str, options: Mapping[str, Any]) -> str:
    shown = ", ".join(f"{key}={value}" for key, value in options.items())
    return f"{name} ({shown})" if shown else name
