"""The public `.nir` files, defects included, and those of the golden cases: read, digested, checked."""

import json
import os
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import pytest

from nirbridge.errors import BadInput
from nirbridge.graph import digest, equal, inline
from nirbridge.io import lint_file, read_graph, write_graph

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "nir"
OWN = Path(__file__).parent / "data" / "nir"
FILES = [*sorted(OWN.glob("*.nir")), *sorted(SHARED.glob("*.nir"))]


def table(name: str) -> dict[Path, Any]:
    """The entries of both folders' tables of this name, by the path of the file that they speak of."""
    return {
        path.parent / file: value
        for path in (OWN / name, SHARED / name)
        if path.is_file()
        for file, value in json.loads(path.read_text()).items()
    }


DIGESTS = table("digests.json")
EXPECTED = table("lint_expected.json")


def ids(paths: Iterable[Path]) -> list[Any]:
    cases = [pytest.param(path, id=f"nir-{path.stem}") for path in paths]
    reason = f"no such golden NIR files in {SHARED}"
    return cases or [pytest.param(None, id="nir-none", marks=pytest.mark.skip(reason=reason))]


def codes(findings: list[Any], level: str) -> list[str]:
    """Codes of the families that the table lists: NB1xx and NB304."""
    listed = {
        f.code for f in findings if f.level == level and (f.code.startswith("NB1") or f.code == "NB304")
    }
    return sorted(listed)


def needs_repair(path: Path) -> bool:
    return path.stem.endswith("_subgraph")


@pytest.mark.parametrize("path", ids(DIGESTS))
def test_the_digest_is_the_published_one(path: Path) -> None:
    assert digest(read_graph(path, repair=needs_repair(path))) == DIGESTS[path]


@pytest.mark.parametrize("path", ids(EXPECTED))
def test_exactly_the_expected_errors_and_warnings(path: Path) -> None:
    _, findings = lint_file(path)
    assert codes(findings, "error") == EXPECTED[path]["error"]
    assert codes(findings, "warning") == EXPECTED[path]["warning"]


@pytest.mark.parametrize("path", ids(p for p in FILES if p not in EXPECTED))
def test_nothing_is_reported_about_graphs_made_for_this_project(path: Path) -> None:
    _, findings = lint_file(path)
    assert codes(findings, "error") == []
    assert codes(findings, "warning") == []


@pytest.mark.parametrize("path", ids(DIGESTS))
def test_rewriting_changes_nothing(path: Path, tmp_path: Path) -> None:
    graph = read_graph(path, repair=needs_repair(path))
    write_graph(tmp_path / path.name, graph)
    assert equal(read_graph(tmp_path / path.name), graph)


@pytest.mark.parametrize("path", ids(p for p in FILES if p not in DIGESTS))
def test_what_no_graph_can_be_made_of_says_all_at_once(path: Path) -> None:
    with pytest.raises(BadInput) as caught:
        read_graph(path)
    assert {caught.value.code, *(f.code for f in caught.value.findings)} <= set(EXPECTED[path]["error"])


@pytest.mark.parametrize("path", ids(p for p in FILES if needs_repair(p)))
def test_a_repaired_subgraph_is_its_flat_twin(path: Path) -> None:
    flat = inline(read_graph(path, repair=True))
    twin = read_graph(path.with_name(path.name.replace("_subgraph", "")))
    assert set(flat.nodes) - set(twin.nodes) == {"lif1.lif1", "lif1.lin"}
    rename = {"lif1.lif1": "lif1.lif", "lif1.lin": "lif1.w_rec"}
    flat.nodes = {rename.get(name, name): node for name, node in flat.nodes.items()}
    flat.edges = [(rename.get(a, a), rename.get(b, b)) for a, b in flat.edges]
    assert equal(flat, twin)
