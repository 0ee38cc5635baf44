"""Per spiking layer: rate, agreement, saturations and operations on every target."""

from __future__ import annotations

from nirbridge.report.markup import Markup, h
from nirbridge.report.numbers import percent
from nirbridge.report.types import Report

NAMES = ("node", "target", "spikes per neuron", "agree", "synaptic operations", "updates", "saturated")


def per_layer(report: Report) -> Markup | None:
    """A row a node and target; a bar shows the share of spikes that agree."""
    nodes = list(dict.fromkeys(node for result in report.results for node in result.spikes_per_neuron))
    rows = []
    for node in nodes:
        for result in report.results:
            if node not in result.spikes_per_neuron:
                continue
            agreement = result.versus.agreement if result.versus is not None else ()
            shares = [item.share for item in agreement if item.node == node]
            counts = result.counts.get(node, {})
            rows.append(
                h(
                    "tr",
                    h("td", node, class_="name"),
                    h("td", result.target),
                    h("td", f"{result.spikes_per_neuron[node]:.2f}", class_="num"),
                    h("td", bar(shares[0]), percent(shares[0]), class_="nowrap") if shares else h("td", "–"),
                    [
                        h("td", _count(counts, key), class_="num")
                        for key in ("synops", "updates", "saturated")
                    ],
                )
            )
    if not rows:
        return None
    numeric = {2, 4, 5, 6}
    head = h("tr", [h("th", name, class_="num" if at in numeric else None) for at, name in enumerate(NAMES)])
    table = h("table", h("thead", head), h("tbody", rows))
    return h(
        "section",
        h("h2", "Per layer"),
        h("p", "All counts are per sample.", class_="soft small"),
        h("div", table, class_="scroll"),
        id="layers",
    )


def bar(share: float, *, over: bool = False) -> Markup:
    """A small bar filled to a share of 1."""
    inner = h("i", style=f"width:{min(max(share, 0.0), 1.0) * 100:.1f}%")
    return h("span", inner, class_="bar over" if over else "bar")


def _count(counts: dict[str, float], key: str) -> str:
    return f"{counts[key]:,.0f}" if key in counts else "–"
