"""Four views of one run: execution time, energy, activity, memory."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from typing import Any

from nirbridge.report.numbers import amount, interval

View = tuple[str, tuple[str, ...], list[tuple[str, ...]]]


def views(
    cost: Mapping[str, Any], counts: Mapping[str, Mapping[str, float]], placement: Mapping[str, Any]
) -> tuple[View, ...]:
    """Title, columns and rows of each view.

    cost: `Cost.as_dict`. counts: node -> count -> mean per sample. placement: `Placement.as_dict`.
    Where a target counts by core (``…_core_synops_17``), a second table of the activity sums that up; the
    last one holds what the same model says of every published row.
    """
    per_latency = f"execution time per {cost['latency']['per']}"
    per_energy = "energy" if cost["energy"] is None else f"energy per {cost['energy']['per']}"
    return (
        (per_latency, _TERMS, _terms(cost["latency_terms"], cost["latency"])),
        (per_energy, _TERMS, _terms(cost["energy_terms"], cost["energy"])),
        (
            "activity per sample",
            ("node", "spikes", "synaptic ops", "updates", "saturated"),
            _activity(counts),
        ),
        *_by_core(counts, placement["core_name"]),
        (f"memory per {placement['core_name']}", ("node", "used", "fullest", "mean"), _memory(placement)),
        *_residuals(cost["residuals"]),
    )


_TERMS = ("term", "value", "share", "quantity", "basis", "source")


def _terms(terms: Sequence[Mapping[str, Any]], total: Mapping[str, Any] | None) -> list[tuple[str, ...]]:
    rows: list[tuple[str, ...]] = []
    for term in terms:
        share = "–"
        if term["value"] is not None and total is not None and total["value"]:
            share = f"{100 * term['value'] / total['value']:.0f} %"
        quantity = "–" if term["quantity"] is None else f"{amount(term['quantity'])} {term['quantity_unit']}"
        rows.append((term["name"], interval(term), share, quantity, term["basis"], term["source"]))
    if total is not None:
        rows.append(("total", interval(total), "100 %", "", total["basis"], total["source"]))
    return rows


def _activity(counts: Mapping[str, Mapping[str, float]]) -> list[tuple[str, ...]]:
    keys = ("spikes", "synops", "updates", "saturated")
    return [(node, *(f"{found.get(key, 0):,.0f}" for key in keys)) for node, found in counts.items()]


def _by_core(counts: Mapping[str, Mapping[str, float]], word: str) -> list[View]:
    """Synaptic operations of the least, the mean and the busiest core of every node, as its counters show."""
    rows: list[tuple[str, ...]] = []
    for node, found in counts.items():
        cores = {int(m[1]): n for key, n in found.items() if (m := re.search(r"_core_synops_(\d+)$", key))}
        if cores:
            least, most = min(cores.values()), max(cores.values())
            mean = sum(cores.values()) / len(cores)
            busiest = min(number for number, n in cores.items() if n == most)
            figures = (f"{n:,.0f}" for n in (least, mean, most))
            rows.append((node, str(len(cores)), *figures, str(busiest)))
    title = f"synaptic ops a {word} per sample, as its counter shows them"
    return [(title, ("node", f"{word}s", "least", "mean", "most", "busiest"), rows)] if rows else []


def _residuals(residuals: Sequence[Mapping[str, Any]]) -> list[View]:
    """The model against every published row, each with its role."""
    rows: list[tuple[str, ...]] = []
    for item in residuals:
        low, high = item["published"]
        given = amount(low) if low == high else f"{amount(low)} to {amount(high)}"
        error = f"{item['error_pct']:+.1f} %"
        rows.append(
            (item["row"], item["quantity"], given, amount(item["model"]), item["unit"], error, item["role"])
        )
    columns = ("published row", "of", "published", "model", "unit", "residual", "role")
    return [("the model on published rows", columns, rows)] if rows else []


def _memory(placement: Mapping[str, Any]) -> list[tuple[str, ...]]:
    by_node: dict[str, list[float]] = {}
    for core in placement["cores"]:
        by_node.setdefault(core["node"], []).append(float(core["memory"]))
    word = placement["core_name"]
    return [
        (
            node,
            f"{len(found)} {word}{'' if len(found) == 1 else 's'}",
            f"{100 * max(found):.0f} %",
            f"{100 * sum(found) / len(found):.0f} %",
        )
        for node, found in by_node.items()
    ]
