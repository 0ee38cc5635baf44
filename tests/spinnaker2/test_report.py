"""What a user sees of the chip: quads in terminal and page, overruns, truncation beside nearest."""

from __future__ import annotations

import json
from io import StringIO
from typing import Any

import numpy as np
import pytest
from rich.console import Console

from nirbridge.cli.core_grid import draw_cores
from nirbridge.data import Dataset
from nirbridge.evaluate import compare
from nirbridge.report import Report
from nirbridge.report.page import render
from nirbridge.report.placed import clusters, loads
from nirbridge.report.table import print_comparison
from nirbridge_reference import Reference
from nirbridge_spinnaker2 import Spinnaker2


def drawn(placement: dict[str, Any]) -> str:
    console = Console(width=100, record=True, file=StringIO())
    draw_cores(console, placement)
    return console.export_text()


def printed(report: Report) -> str:
    console = Console(width=240, record=True, file=StringIO())
    print_comparison(console, report)
    return console.export_text()


@pytest.fixture
def data(noise: Any) -> Dataset:
    spikes = noise(n_samples=8)
    return Dataset(spikes, np.arange(8) % 5, tuple("abcde"))


def test_a_block_a_quad(recurrent: Any) -> None:
    """14 PEs are three quads and two PEs of a fourth; 148 − 14 places are dotted."""
    placed = Spinnaker2().compile(recurrent(n_in=700, hidden=256, n_out=20)).placement.as_dict()
    quads = clusters(placed)
    assert len(quads) == 37
    assert [sum(core is not None for core in quad) for quad in quads[:5]] == [4, 4, 4, 2, 0]
    text = drawn(placed)
    assert text.count("··") == 148 - 14
    assert "12 × h: 256 neurons, memory up to 99 %, load up to 1.1 % of a tick" in text
    # mean memory and load of the first quad: the input's PE is empty
    memory = sum(core["memory"] for core in placed["cores"][:4]) / 4
    assert f"{100 * memory:.0f}/{100 * sum(loads(placed['cores'][:4])) / 4:.1f}" in text


def test_load_is_the_busy_share_of_a_tick(recurrent: Any) -> None:
    core = Spinnaker2(tick_s=1e-4).compile(recurrent()).placement.cores[1]
    assert core.detail["load"] == pytest.approx((2000 + 60 * 40) / 30_000)


def test_targets_without_quads_keep_their_rows(recurrent: Any) -> None:
    placed = Reference().compile(recurrent()).placement.as_dict()
    assert clusters(placed) == []
    assert "load" not in drawn(placed) and "1 × h" in drawn(placed)


def test_the_page_draws_quads(recurrent: Any, data: Dataset) -> None:
    report = compare(recurrent(), [("reference", Reference()), ("spinnaker2", Spinnaker2())], data)
    page = render(report)
    assert "37 quads of PE cells, 3 in use, filled by memory and load" in page
    assert page.count(": free</title>") == 148 - 3
    assert "busy share of a tick" in page


def test_overruns_are_never_hidden(recurrent: Any, data: Dataset) -> None:
    late = Spinnaker2(tick_s=2e-5)
    report = compare(recurrent(), [("reference", Reference()), ("late", late)], data)
    result = report.results[1]
    assert result.cost is not None
    (text, *_) = result.cost["overruns"]
    assert "node 'h' misses its tick" in text and "worst PE 1 at tick" in text
    assert f"OVERRUN late: {text}" in printed(report)
    assert "work misses its tick (overruns)" in result.verdict
    assert "Overrun: " in render(report) and "node &#x27;h&#x27; misses its tick" in render(report)


def test_truncation_stands_beside_nearest(recurrent: Any, data: Dataset) -> None:
    graph = recurrent()
    report = compare(graph, [("reference", Reference()), ("spinnaker2", Spinnaker2())], data)
    truncated, nearest = report.results[1].beside
    assert (truncated.shown, nearest.shown) == (False, True)
    assert nearest.accuracy == report.results[1].accuracy
    assert report.results[1].versus is not None
    assert nearest.spikes_agree == report.results[1].versus.spikes_agree
    assert truncated.spikes_agree is not None and nearest.spikes_agree is not None
    assert truncated.spikes_agree < nearest.spikes_agree
    text = printed(report)
    assert "spinnaker2, weights truncated by the import: accuracy" in text
    assert "weights rounded to nearest before the import (this row): accuracy" in text
    assert "weights truncated by the import" in render(report)
    again = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert again.results[1].beside == report.results[1].beside


def test_nothing_stands_beside_integers(recurrent: Any) -> None:
    from nirbridge.passes import QuantizeWeights

    assert Spinnaker2().beside(QuantizeWeights()(recurrent())) == []
    assert Spinnaker2(rounding="nearest").beside(recurrent()) == []
    assert Spinnaker2(phase="training").beside(recurrent()) == []
