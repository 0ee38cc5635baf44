"""`nirbridge convert --report`: every scale of quantised weights, as a page, as JSON, as a table."""

from __future__ import annotations

import json
import sys
from pathlib import Path

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call, network

from nirbridge.io import read_graph, write_graph

INT4 = ("-p", "quantize-weights:bits=4")


@pytest.fixture
def net(tmp_path: Path) -> Path:
    write_graph(tmp_path / "net.nir", network())
    return tmp_path / "net.nir"


def test_the_json_has_every_scale_and_its_figures(call: Call, net: Path) -> None:
    result = call("convert", net, "q.nir", *INT4, "--report", "q.json", "--json", "--quiet")
    assert result.code == 0, result.err
    report = json.loads(Path("q.json").read_text())
    assert (report["schema"], report["graph"]) == ("nirbridge.calibration/1", "q.nir")
    assert report["scales"] == json.loads(result.out)["scales"]
    before, after = read_graph(net), read_graph(Path("q.nir"))
    for scale in report["scales"]:
        (name,) = scale["nodes"]
        old, new = (np.asarray(g.nodes[name].weight, np.float64) for g in (before, after))
        assert scale["sqnr_db"] == pytest.approx(10 * np.log10(np.sum(old**2) / np.sum((old - new) ** 2)))
        assert scale["zero_share"] == np.mean(new == 0)
        assert sum(scale["after"]) == new.size
    assert {n for scale in report["scales"] for n in scale["nodes"]} == {
        n for n, node in before.nodes.items() if hasattr(node, "weight")
    }


def test_the_page_and_the_table(call: Call, net: Path) -> None:
    result = call("convert", net, "q.nir", *INT4, "--report", "q.html")
    assert result.code == 0, result.err
    scales = len([line for line in result.out.splitlines() if line.endswith(" %") and " dB " in line])
    assert scales >= 1
    page = Path("q.html").read_text(encoding="utf-8")
    assert page.startswith("<!doctype html>")
    assert page.count("<svg") == scales
    assert "http" not in page


def test_many_scales_are_cut_short_in_the_terminal_only(call: Call, net: Path) -> None:
    write_graph(net, network(hidden=30))
    channels = ("-p", "quantize-weights:bits=4,granularity=channel")
    result = call("convert", net, "q.nir", *channels, "--report", "q.json")
    count = len(json.loads(Path("q.json").read_text())["scales"])
    assert count >= 30
    assert f"the lowest SQNR of {count} scales" in result.out.replace("the 12 with ", "")
    assert len([line for line in result.out.splitlines() if " dB " in line and line.endswith(" %")]) == 12


def test_nothing_quantised_is_said_and_another_ending_refused(call: Call, net: Path) -> None:
    assert call("convert", net, "q.nir", "--report", "q.html").code == 0
    assert "No weights were quantised" in Path("q.html").read_text(encoding="utf-8")
    result = call("convert", net, "r.nir", *INT4, "--report", "q.txt")
    assert (result.code, Path("r.nir").exists()) == (2, False)
    assert "NB711" in result.err
    assert call("convert", net, "r.nir", *INT4, "--report", "r.html", "--dry-run").code == 0
    assert not Path("r.html").exists()
