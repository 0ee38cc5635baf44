"""`convert --report`: what each scale of quantised weights clips and loses."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import table

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.analysis import QuantizedScale
    from nirbridge.analysis.passes import Step

SCHEMA = "nirbridge.calibration/1"
SHOWN = 12  # scales in the terminal; the report has all


def scales_of(steps: Sequence[Step]) -> list[QuantizedScale]:
    """The scales that any of the passes gave to weights, in their order."""
    from nirbridge.analysis import calibration

    return [scale for _, before, after in steps for scale in calibration(before, after)]


def check_report(path: Path | None) -> None:
    """Raise `UsageError` (NB711) for an ending that is no report's, before any work."""
    if path is not None:
        from nirbridge.cli.report import check_endings

        check_endings([path])


def write_report(path: Path, scales: Sequence[QuantizedScale], goal: Path) -> None:
    """The page or the JSON, by ending; atomically."""
    import json

    from nirbridge.cli.output import plain
    from nirbridge.io.atomic import write_text

    if path.suffix.lower() == ".html":
        from nirbridge.report.sections.weights import calibration_page

        write_text(path, calibration_page(scales, f"Quantised weights of {goal.name}"))
    else:
        value = plain({"schema": SCHEMA, "graph": goal.name, "scales": as_dicts(scales)})
        write_text(path, json.dumps(value, ensure_ascii=False, allow_nan=False) + "\n")


def as_dicts(scales: Sequence[QuantizedScale]) -> list[dict[str, Any]]:
    """Every scale with its histograms, as JSON keeps it."""
    from dataclasses import asdict

    return [asdict(scale) for scale in scales]


def show(console: Console, scales: Sequence[QuantizedScale]) -> None:
    """The table of scales, the worst SQNR first where there are many."""
    from nirbridge.report.sections.weights import COLUMNS, scale_rows

    shown = list(scales)
    if len(shown) > SHOWN:
        shown.sort(key=lambda item: float("inf") if item.sqnr_db is None else item.sqnr_db)
    console.print()
    console.print(table(COLUMNS, scale_rows(shown[:SHOWN]), right=COLUMNS[1:]))
    if len(shown) > SHOWN:
        console.print(
            f"… the {SHOWN} with the lowest SQNR of {len(shown)} scales; --report FILE.json has all"
        )
