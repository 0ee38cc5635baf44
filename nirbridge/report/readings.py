"""How frameworks read one file, as a table: where each first differs from the file's own reading."""

from __future__ import annotations

from typing import TYPE_CHECKING

from nirbridge.report.numbers import percent, share
from nirbridge.report.table import change_text, table
from nirbridge.report.text import printable
from nirbridge.report.types import Report, TargetResult

if TYPE_CHECKING:
    from rich.console import Console

COLUMNS = (
    "reading",
    "accuracy",
    "change (paired)",
    "spikes/sample",
    "spikes agree",
    "first difference",
    "V/θ there",
)


def print_readings(console: Console, report: Report) -> None:
    """One row a reading, the file's own first; below it the readers that cannot take the graph, and why."""
    rows = [reading_row(result, first=at == 0) for at, result in enumerate(report.results)]
    console.print(table(COLUMNS, rows))
    for spec, findings in report.refused.items():
        more = f" (and {len(findings) - 1} more)" if len(findings) > 1 else ""
        reason = f"cannot take this graph: {findings[0]['code']} {findings[0]['message']}"
        console.print(printable(f"{reading_name(spec)}: {reason}{more}"), soft_wrap=True)


def reading_name(spec: str) -> str:
    """The reading that ``reference:semantics=NAME,...`` asks for."""
    return spec.partition("semantics=")[2] or spec


def reading_row(result: TargetResult, *, first: bool) -> tuple[str, ...]:
    """The cells of one reading, in the order of `COLUMNS`."""
    spikes = sum(
        counts["spikes"] for node, counts in result.counts.items() if node in result.spikes_per_neuron
    )
    versus = result.versus
    agree, difference, membrane = ("100 %" if first else "–"), "–", "–"
    if versus is not None:
        agree = "–" if versus.spikes_agree is None else percent(versus.spikes_agree)
        seen = versus.first_difference
        difference = "none" if seen is None else f"{seen}, sample {seen.sample}"
        if seen is not None and seen.v_first is not None and seen.v_second is not None:
            own, here = (
                _membrane(v, spiked=seen.spiked == side)
                for side, v in (("first", seen.v_first), ("second", seen.v_second))
            )
            membrane = f"own {own}, here {here}"
    return (
        reading_name(result.target) + (" (the file's own)" if first else ""),
        "–" if result.accuracy is None else share(result.accuracy),
        change_text(result),
        f"{spikes:.1f}",
        agree,
        difference,
        membrane,
    )


def _membrane(v: float, *, spiked: bool) -> str:
    """V/θ of one side at the first difference: before its spike, or after it where no more is known."""
    if not spiked:
        return f"{v:.4g}"
    return f"{v:.4g} (spike)" if v >= 1 else f"spike, then {v:.4g}"
