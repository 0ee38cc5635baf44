"""The report page: everything is on it, nothing is fetched, every name is escaped, a browser opens it."""

from __future__ import annotations

import json
import re
import shutil
import subprocess
import sys
from dataclasses import replace
from html.parser import HTMLParser
from pathlib import Path

import pytest

from nirbridge.report import Report
from nirbridge.report.page import MAX_BYTES, render

sys.path.insert(0, str(Path(__file__).parent))
from synthetic import NASTY, raster, synthetic

SECTIONS = ("verdict", "targets", "graph", "raster", "layers", "placement", "costs", "reproduce")
VOID = {"meta", "br", "hr"}


class Outline(HTMLParser):
    """Collects tags and attributes, and checks that every element is closed where it should be."""

    def __init__(self) -> None:
        super().__init__(convert_charrefs=True)
        self.open: list[str] = []
        self.tags: list[str] = []
        self.attributes: list[tuple[str, str, str | None]] = []

    def handle_starttag(self, tag: str, attrs: list[tuple[str, str | None]]) -> None:
        self.tags.append(tag)
        self.attributes += [(tag, name, value) for name, value in attrs]
        if tag not in VOID:
            self.open.append(tag)

    def handle_endtag(self, tag: str) -> None:
        assert self.open.pop() == tag


def outline(page: str) -> Outline:
    result = Outline()
    result.feed(page)
    assert result.open == []
    return result


def test_every_section_is_there_and_linked() -> None:
    found = outline(render(synthetic()))
    ids = [value for _, name, value in found.attributes if name == "id"]
    assert len(ids) == len(set(ids))
    assert set(SECTIONS) <= set(ids)
    targets = {value[1:] for _, name, value in found.attributes if name == "href" and value}
    assert targets <= set(ids)


def test_nothing_is_fetched_and_no_script_runs() -> None:
    page = render(synthetic())
    found = outline(page)
    assert not {"script", "link", "img", "iframe", "object", "embed", "base", "form"} & set(found.tags)
    for tag, name, value in found.attributes:
        assert not name.startswith("on"), (tag, name)
        assert name not in ("src", "srcset", "action", "xlink:href", "data")
        if name == "href":
            assert value is not None and value.startswith("#")
    style = page[page.index("<style>") : page.index("</style>")]
    assert "@import" not in style
    assert not re.search(r"url\((?!#)", page)


def test_every_name_is_escaped() -> None:
    page = render(synthetic())
    assert "<script" not in page
    assert page.count("&lt;script&gt;alert(&quot;x&quot;)&lt;/script&gt;") > 10
    hidden = replace(synthetic(), created="a\x1b[2Jb\u202ec", config="<b>&")
    page = render(hidden)
    assert "\x1b" not in page
    assert "\u202e" not in page
    assert "&lt;b&gt;&amp;" in page


@pytest.mark.parametrize("spikes", [900, 400_000])
def test_the_page_stays_below_a_megabyte(spikes: int) -> None:
    page = render(replace(synthetic(), rasters=(raster(512, 1000, spikes),) * 3))
    assert len(page.encode()) <= MAX_BYTES
    assert ("drawn" in page[page.index('id="raster"') :]) == (spikes > 10_000)


def test_a_bare_report_renders() -> None:
    full = synthetic()
    first = replace(
        full.results[0], cost=None, placement=None, spikes_per_neuron={}, counts={}, accuracy=None
    )
    bare = Report(graph=replace(full.graph, training=None, history=()), data=full.data, results=(first,))
    found = outline(render(bare))
    ids = {value for _, name, value in found.attributes if name == "id"}
    assert {"verdict", "targets", "graph", "reproduce"} <= ids
    assert not {"raster", "placement", "costs", "layers"} & ids


def test_figures_carry_interval_basis_source_and_what_is_unknown() -> None:
    page = render(synthetic())
    for text in (
        "0.19 mJ [.15–.26]",
        "arXiv 2503.04341",
        "held out",
        "host-io: unknown",
        "Extrapolated",
        "hidden[17] step 42",
        "−1 of 160 (±1.3)",
        "0.9 % clipped",
        "threshold",
        "nirbridge compare digits.nir",
    ):
        assert text in page, text


def test_counts_that_only_a_target_reads_are_left_out() -> None:
    page = render(synthetic())
    assert "synops 32,000" in page and "peak_pe" not in page


def test_json_gives_the_same_page() -> None:
    report = synthetic()
    back = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert render(back) == render(report)


def browser() -> str | None:
    names = ("chromium", "chromium-browser", "google-chrome", "chrome")
    return next((path for path in map(shutil.which, names) if path), None)


@pytest.mark.skipif(browser() is None, reason="no chromium is installed")
def test_a_browser_opens_it(tmp_path: Path) -> None:
    page = tmp_path / "page.html"
    page.write_text(render(synthetic()), encoding="utf-8")
    program = browser()
    assert program is not None
    base = [
        program,
        "--headless",
        "--no-sandbox",
        "--disable-gpu",
        "--no-first-run",
        "--disable-background-networking",
        "--disable-component-update",
        "--disable-sync",
        "--enable-logging=stderr",
        "--window-size=390,1200",
    ]
    profile = [f"--user-data-dir={tmp_path / 'profile'}"]
    done = subprocess.run(
        [*base, *profile, "--dump-dom", page.as_uri()],
        capture_output=True,
        text=True,
        timeout=120,
        check=True,
    )
    assert "CONSOLE" not in done.stderr
    dom = outline(done.stdout)
    assert set(SECTIONS) <= {value for _, name, value in dom.attributes if name == "id"}
    assert "script" not in dom.tags
    picture = tmp_path / "page.png"
    subprocess.run(
        [*base, *profile, f"--screenshot={picture}", page.as_uri()],
        capture_output=True,
        timeout=120,
        check=True,
    )
    assert picture.stat().st_size > 10_000


def test_the_synthetic_report_holds_a_hostile_name() -> None:
    assert NASTY in {node["name"] for node in synthetic().graph.nodes}
