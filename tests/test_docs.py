"""The documentation keeps up with the code: its examples run, its tables are whole, it builds."""

from __future__ import annotations

import doctest
import importlib.util
import re
import subprocess
import sys
from pathlib import Path

import pytest

from nirbridge.plugins import available
from nirbridge.validate.registry import FAMILIES, RULES

ROOT = Path(__file__).parents[1]
DOCS = ROOT / "docs"
PAGES = sorted(DOCS.glob("*.rst"))
SOURCES = [path for shelf in ("nirbridge", "targets", "trainers") for path in (ROOT / shelf).rglob("*.py")]


@pytest.mark.parametrize("page", PAGES, ids=lambda page: page.stem)
def test_the_examples_on_a_page_run(page: Path) -> None:
    if "import onnxruntime" in page.read_text(encoding="utf-8"):
        pytest.importorskip("onnxruntime", reason="onnxruntime is not installed (extra 'test')")
    failed, _ = doctest.testfile(str(page), module_relative=False, optionflags=doctest.NORMALIZE_WHITESPACE)
    assert failed == 0


def test_some_pages_have_examples() -> None:
    assert sum(">>> " in page.read_text(encoding="utf-8") for page in PAGES) >= 4


def test_the_command_reference_is_that_of_the_program() -> None:
    done = subprocess.run([sys.executable, DOCS / "generate.py", "--check"], capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")


def test_every_code_is_explained_and_every_explained_code_exists() -> None:
    registry = ROOT / "nirbridge" / "validate" / "registry"
    texts = [path.read_text(encoding="utf-8") for path in SOURCES if registry not in path.parents]
    raised = {code for text in texts for code in re.findall(r"NB\d{3}", text)}
    assert raised - set(RULES) == set(), "add a Rule to nirbridge/validate/registry"
    assert set(RULES) - raised == set(), "nothing raises these: take them out of nirbridge/validate/registry"


def test_the_registry_names_each_code_once_in_order() -> None:
    codes = [rule.code for family in FAMILIES for rule in family.rules]
    assert len(codes) == len(set(codes))
    assert all(list(part) == sorted(part) for part in ([r.code for r in f.rules] for f in FAMILIES))
    for rule in RULES.values():
        assert (rule.example is None) != (rule.shown is None), rule.code
        assert rule.meaning.endswith(".") and rule.fix, rule.code


def test_every_pass_of_ours_has_a_row() -> None:
    page = (DOCS / "passes.rst").read_text(encoding="utf-8")
    ours = {plugin.name for plugin in available("passes") if plugin.package == "nirbridge"}
    assert {name for name in ours if f"\n``{name}``" not in page} == set()


@pytest.mark.skipif(importlib.util.find_spec("sphinx") is None, reason="sphinx is not installed")
def test_the_site_builds_without_a_warning(tmp_path: Path) -> None:
    command = [sys.executable, "-m", "sphinx", "-W", "-q", "-d", tmp_path / "trees", DOCS, tmp_path / "site"]
    done = subprocess.run(command, capture_output=True, text=True)
    assert (done.returncode, done.stderr) == (0, "")
    assert (tmp_path / "site" / "codes.html").is_file()
