"""The commands on every public `.nir` file: inspect, check, digest, diff against itself, convert and back."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Callable
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import pytest

sys.path.insert(0, str(Path(__file__).parent))
from test_nir_files import DIGESTS, EXPECTED, codes, ids, needs_repair

from nirbridge.cli import main
from nirbridge.errors import Finding

Run = Callable[..., tuple[int, Any]]


@pytest.fixture
def run(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Run:
    """Runs a command with --json in an empty folder; returns its exit code and what it printed."""
    monkeypatch.chdir(tmp_path)

    def command(*arguments: object) -> tuple[int, Any]:
        capsys.readouterr()
        code = main([*map(str, arguments), "--json"])
        out, err = capsys.readouterr()
        assert "Traceback" not in out + err
        return code, json.loads(out) if out else err

    return command


@pytest.mark.parametrize("path", ids(EXPECTED))
def test_inspect_and_its_drawing(path: Path, run: Run, tmp_path: Path) -> None:
    code, value = run("inspect", path, "--svg", "net.svg")
    assert code == 0
    root = ElementTree.fromstring((tmp_path / "net.svg").read_text(encoding="utf-8"))
    shown = [item.text or "" for item in root.iter("{http://www.w3.org/2000/svg}text")]
    assert all(node["name"] in shown for node in value["nodes"] if len(node["name"]) <= 26)
    assert value["complete"] == (path in DIGESTS)
    if path in DIGESTS and not needs_repair(path):
        assert value["digest"] == DIGESTS[path]


@pytest.mark.parametrize("path", ids(EXPECTED))
def test_check_reports_exactly_what_is_expected(path: Path, run: Run) -> None:
    code, value = run("check", path)
    found = [Finding(**finding) for finding in value["findings"]]
    assert codes(found, "error") == EXPECTED[path]["error"]
    assert codes(found, "warning") == EXPECTED[path]["warning"]
    assert code == (3 if EXPECTED[path]["error"] else 0)


@pytest.mark.parametrize("path", ids(EXPECTED))
def test_diff_against_itself_is_empty(path: Path, run: Run) -> None:
    code, value = run("diff", path, path)
    assert code == 0 and value["identical"]
    empty = ("added", "removed", "renamed", "retyped", "rewired", "fields", "dtypes", "metadata")
    assert not any(value[key] for key in empty)


@pytest.mark.parametrize("path", ids(p for p in EXPECTED if p in DIGESTS))
def test_digest_is_the_published_one(path: Path, run: Run) -> None:
    code, value = run("digest", path, *(["--repair"] if needs_repair(path) else []))
    assert code == 0
    assert value["files"] == [{"file": str(path), "digest": DIGESTS[path]}]


@pytest.mark.parametrize("path", ids(EXPECTED))
def test_convert_and_back_keeps_the_digest(path: Path, run: Run, tmp_path: Path) -> None:
    """What --fix can mend is mended first; errors that stay stop a conversion without --force."""
    shutil.copyfile(path, tmp_path / "in.nir")
    mended = run("check", "in.nir", "--fix")[1]
    code, value = run("convert", "in.nir", "there.nir")
    if not mended["valid"]:
        assert code == 3
        assert any(f"error[{finding['code']}]" in value for finding in mended["findings"])
        if path not in DIGESTS:  # no graph can be made of it
            return
        code, value = run("convert", "--force", "in.nir", "there.nir")
    assert code == 0, value
    assert run("convert", "--force", "there.nir", "back.nir")[0] == 0
    _, digests = run("digest", "in.nir", "there.nir", "back.nir")
    assert len({item["digest"] for item in digests["files"]}) == 1
    if not {finding["code"] for finding in mended["mended"]} - {"NB104", "NB106"}:
        assert digests["files"][0]["digest"] == DIGESTS[path]


@pytest.mark.parametrize("path", ids(p for p in EXPECTED if needs_repair(p)))
def test_a_repaired_subgraph_is_its_flat_twin_up_to_two_renames(path: Path, run: Run) -> None:
    twin = path.with_name(path.name.replace("_subgraph", ""))
    code, value = run("diff", path, twin, "--inline", "--repair")
    assert code == 5
    assert value["renamed"] == [["lif1.lif1", "lif1.lif"], ["lif1.lin", "lif1.w_rec"]]
    others = ("added", "removed", "retyped", "rewired", "fields", "dtypes", "metadata")
    assert not any(value[key] for key in others)
    code, value = run("diff", path, twin, "--inline", "--repair", "--ignore-names")
    assert code == 0 and value["identical"]


def test_two_exports_of_one_network_have_one_digest(run: Run) -> None:
    paths = [path for path in DIGESTS if path.stem in ("cnn_sinabs", "spyx_scnn_mnist")]
    if len(paths) < 2:
        pytest.skip("the two files are not there")
    code, value = run("diff", *paths)
    assert code == 0 and value["identical"]
