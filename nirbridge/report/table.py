"""The comparison as a table in the terminal."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

from nirbridge.report.numbers import interval, per_text, percent, share, signed
from nirbridge.report.text import printable
from nirbridge.report.types import Beside, Report, TargetResult

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

COLUMNS = (
    "target",
    "accuracy",
    "change (paired)",
    "spikes agree",
    "first difference",
    "energy/sample",
    "latency",
    "basis",
)


def print_comparison(console: Console, report: Report) -> None:
    """One row a target where the console is wide enough, else one column a target.

    What is not per sample says so in its cell. A basis that does not fit stands below the table, and so
    does what a target had to leave open: work that missed its tick.
    """
    rows = [list(row(result, first=at == 0)) for at, result in enumerate(report.results)]
    whole = table(COLUMNS, rows)
    if _fits(console, whole):
        console.print(whole)
        _below(console, report)
        return
    short = table(COLUMNS[:-1], [cells[:-1] for cells in rows])
    if not _fits(console, short):
        turned = list(zip(COLUMNS, *rows, strict=True))[:-1]
        short = table(turned[0], turned[1:])
    console.print(short)
    for cells in rows:
        console.print(printable(f"{cells[0]}: {cells[-1]}"), soft_wrap=True)
    _below(console, report)


def beside_text(way: Beside) -> str:
    """One way to bring the graph to a target: "weights truncated (this run): accuracy .872, …"."""
    parts = [] if way.accuracy is None else [f"accuracy {share(way.accuracy)}"]
    parts += [] if way.spikes_agree is None else [f"spikes agree {percent(way.spikes_agree)}"]
    return f"{way.way}{' (this row)' if way.shown else ''}: {', '.join(parts)}"


def _below(console: Console, report: Report) -> None:
    for result in report.results:
        for way in result.beside:
            console.print(printable(f"{result.target}, {beside_text(way)}"), soft_wrap=True)
        for text in (result.cost or {}).get("overruns", ()):
            console.print(printable(f"OVERRUN {result.target}: {text}"), soft_wrap=True)


def table(columns: Sequence[str], rows: Sequence[Sequence[str]]) -> Table:
    """A plain table without borders; control characters in cells are escaped."""
    from rich.table import Table
    from rich.text import Text

    table = Table(box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0))
    for name in columns:
        table.add_column(Text(printable(name)), overflow="fold")
    for cells in rows:
        table.add_row(*(Text(printable(cell)) for cell in cells))
    return table


def _fits(console: Console, table: Table) -> bool:
    return table.__rich_measure__(console, console.options.update(max_width=10_000)).maximum <= console.width


def row(result: TargetResult, *, first: bool = False) -> tuple[str, ...]:
    """The cells of one target, in the order of `COLUMNS`."""
    versus = result.versus
    difference = "–"
    agree = "100 %" if first else "–"
    if versus is not None:
        agree = "–" if versus.spikes_agree is None else percent(versus.spikes_agree)
        difference = "none" if versus.first_difference is None else str(versus.first_difference)
    return (
        result.target,
        "–" if result.accuracy is None else share(result.accuracy),
        change_text(result),
        agree,
        "–" if first else difference,
        cost_text(result.cost, "energy"),
        cost_text(result.cost, "latency"),
        basis_text(result.cost),
    )


def change_text(result: TargetResult) -> str:
    """ "−1 of 160 (±1.3)": samples right here minus right on the first target, with its error."""
    if result.versus is None or result.versus.change is None:
        return "–"
    change = result.versus.change
    return f"{signed(change.change)} of {change.n} (±{change.se:.1f})"


def cost_text(cost: Mapping[str, Any] | None, name: str) -> str:
    """Energy or latency with its interval; names what it is per where that is not the sample."""
    if cost is None or cost[name] is None:
        return "–"
    total = cost[name]
    per = "" if total["per"] == "sample" else f" per {per_text(total['per'], cost['batch'])}"
    return f"{interval(total)}{per}"


def _of_energy(residual: Mapping[str, Any]) -> bool:
    return not str(residual["quantity"]).startswith(("latency", "time"))


def basis_text(cost: Mapping[str, Any] | None) -> str:
    """Basis and source of the energy (else the latency), and the published row that it misses by most.

    Rows that numbers were set on do not count; a row that was seen before a choice is named as consistency.
    """
    if cost is None:
        return "–"
    total = cost["energy"] or cost["latency"]
    text = f"{total['basis']}: {total['source']}"
    energy = cost["energy"] is not None
    seen = [r for r in cost["residuals"] if r["role"] != "calibration" and _of_energy(r) == energy]
    found = [r for r in cost["residuals"] if r["role"] == "validation"] or seen
    if found:
        worst = max(found, key=lambda r: abs(float(r["error_pct"])))
        role = "held-out row" if worst["role"] == "validation" else f"{worst['role']} row {worst['row']}"
        text += f", {role} {worst['error_pct']:+.1f} %"
    return text + (", extrapolated" if cost["extrapolated"] else "")
