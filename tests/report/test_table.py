"""The comparison in the terminal keeps every figure, however narrow the terminal is."""

from __future__ import annotations

import sys
from io import StringIO
from pathlib import Path

import pytest
from rich.console import Console

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import synthetic

from nirbridge.report.table import print_comparison, row


@pytest.mark.parametrize(("width", "across"), [(240, True), (150, True), (100, False), (80, False)])
def test_a_narrow_terminal_turns_the_table(width: int, across: bool) -> None:
    console = Console(width=width, record=True, file=StringIO())
    print_comparison(console, synthetic())
    text = console.export_text()
    lines = text.splitlines()
    assert lines[0].startswith("target")
    assert ("accuracy" in lines[0]) == across
    assert text.count("0.19 mJ [.15–.26]") == 1
    assert text.count("held-out row +1.3 %") == 3
    assert "fitted: arXiv 2503.04341, held-out row +1.3 %, extrapolated" in text


def test_what_is_not_per_sample_says_so() -> None:
    result = synthetic().results[1]
    assert result.cost is not None
    result.cost["latency"]["per"] = "batch"
    cells = row(result)
    assert cells[6] == "2.3 ms [1.8–3.1] per batch of 64"
    assert cells[2] == "−1 of 160 (±1.3)"


def test_without_a_validation_row_the_worst_consistency_row_is_named_with_its_role() -> None:
    result = synthetic().results[1]
    assert result.cost is not None
    rows = [
        {
            **result.cost["residuals"][0],
            "role": "consistency",
            "row": name,
            "quantity": of,
            "error_pct": error,
        }
        for name, of, error in (
            ("512-b1", "dynamic", 11.9),
            ("phase-2", "latency", 29.0),
            ("256-b1", "static", -2.0),
        )
    ]
    result.cost["residuals"] = [*rows, {**rows[0], "role": "calibration", "error_pct": 50.0}]
    assert row(result)[-1].split(", ")[1] == "consistency row 512-b1 +11.9 %"
    result.cost["energy"] = None
    assert row(result)[-1].split(", ")[1] == "consistency row phase-2 +29.0 %"
