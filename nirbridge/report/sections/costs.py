"""Energy and latency by term, with constants and sources, and residuals against published rows."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.markup import Markup, h
from nirbridge.report.numbers import interval, per_text, quantity, unknown
from nirbridge.report.svg import colour, drawing
from nirbridge.report.types import Report

WIDTH, BAR = 720, 26


def costs(report: Report) -> Markup | None:
    """For each target a bar of energy and one of latency, the terms, and the residuals."""
    parts = [_target(result.target, result.cost) for result in report.results if result.cost is not None]
    if not parts:
        return None
    note = (
        "Bars show shares of each total; energies of different scope, or per different things, must not "
        "be divided by each other."
    )
    return h(
        "section", h("h2", "Energy and latency by term"), h("p", note, class_="soft small"), parts, id="costs"
    )


def _target(target: str, cost: Mapping[str, Any]) -> Markup:
    parts = [h("h3", target)]
    for name in ("energy", "latency"):
        total = cost[name]
        if total is None:
            parts.append(h("p", f"{name} {unknown(cost, name)}"))
            continue
        scope = f", scope {cost['scope']}" if name == "energy" else ""
        text = (
            f"{name} {interval(total)} per {per_text(total['per'], cost['batch'])}{scope}, "
            f"{total['basis']}{', extrapolated' if cost['extrapolated'] else ''}"
        )
        parts.append(h("figure", h("figcaption", text), _stack(cost[f"{name}_terms"], name)))
    if cost["edp"] is not None:
        batch, amortised = cost["edp"]["edp_batch_latency_js"], cost["edp"]["edp_amortised_js"]
        text = (
            f"Energy-delay product: {quantity(batch, 'J·s')} with the latency of the batch, "
            f"{quantity(amortised, 'J·s')} with latency/batch."
        )
        parts.append(h("p", text, class_="small"))
    parts.append(h("details", h("summary", "terms, constants and sources"), _terms(cost), class_="box"))
    if cost["residuals"]:
        table = _residuals(cost["residuals"])
        parts.append(h("details", h("summary", "residuals against published rows"), table, class_="box"))
    return h("div", parts)


def _stack(terms: Sequence[Mapping[str, Any]], name: str) -> Markup:
    """One bar, a piece a term; names of pieces follow below, unknown terms by name."""
    known = [term for term in terms if term["value"]]
    total = sum(float(term["value"]) for term in known)
    pieces, keys = [], []
    at = 0.0
    for index, term in enumerate(terms):
        value = term["value"]
        if value is None:
            keys.append(h("span", f"{term['name']}: unknown", class_="key"))
            continue
        wide = WIDTH * float(value) / total if total else 0.0
        text = f"{term['name']} {quantity(float(value), term['unit'])}"
        if wide > 0:
            title = h("title", f"{text} ({term['kind']})")
            size = {"x": at, "y": 0, "width": max(wide, 0.5), "height": BAR}
            pieces.append(h("rect", title, **size, fill=colour(index), stroke="var(--bg)"))
        at += wide
        keys.append(
            h("span", h("span", class_="swatch", style=f"background:{colour(index)}"), text, class_="key")
        )
    return h("div", drawing(WIDTH, BAR, pieces, label=f"{name} by term") if pieces else None, h("p", keys))


def _terms(cost: Mapping[str, Any]) -> Markup:
    names = ("term", "kind", "quantity", "coefficient", "value", "basis", "source")
    rows = []
    for term in (*cost["energy_terms"], *cost["latency_terms"]):
        amount = "unknown" if term["quantity"] is None else f"{term['quantity']:,.6g} {term['quantity_unit']}"
        note = h("div", term["note"], class_="soft small") if term["note"] else None
        rows.append(
            h(
                "tr",
                h("td", term["name"], class_="name"),
                h("td", term["kind"]),
                h("td", amount),
                h("td", term["coefficient"] or "–"),
                h("td", interval(term)),
                h("td", term["basis"]),
                h("td", term["source"], note),
            )
        )
    head = h("tr", [h("th", name) for name in names])
    return h("div", h("table", h("thead", head), h("tbody", rows)), class_="scroll")


def _residuals(residuals: Sequence[Mapping[str, Any]]) -> Markup:
    names = ("row", "quantity", "published", "model", "error", "role", "source")
    rows = []
    for item in residuals:
        low, high = item["published"]
        published = f"{low:,.5g}" if low == high else f"{low:,.5g} – {high:,.5g}"
        role = h("strong", "validation (held out)") if item["role"] == "validation" else item["role"]
        rows.append(
            h(
                "tr",
                h("td", item["row"], class_="name"),
                h("td", item["quantity"]),
                h("td", f"{published} {item['unit']}"),
                h("td", f"{item['model']:,.5g} {item['unit']}"),
                h("td", f"{item['error_pct']:+.1f} %", class_="num"),
                h("td", role),
                h("td", item["source"]),
            )
        )
    head = h("tr", [h("th", name) for name in names])
    return h("div", h("table", h("thead", head), h("tbody", rows)), class_="scroll")
