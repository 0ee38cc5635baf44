"""The registry of codes: every example breaks its rule and nothing graver, the base graph breaks none."""

import importlib.util
import sys
from pathlib import Path
from types import ModuleType

import pytest

sys.path.insert(0, str(Path(__file__).parent))

from nirbridge.validate import repair, validate
from nirbridge.validate.readers import READERS
from nirbridge.validate.registry import RULES, Rule


def load() -> ModuleType:
    path = Path(__file__).parents[2] / "docs" / "rule_pages.py"
    spec = importlib.util.spec_from_file_location("nirbridge_rule_pages", path)
    assert spec is not None and spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


PAGES = load()
SHOWN = [rule for rule in RULES.values() if rule.example is not None]
SOUND = Rule(code="NB000", levels=("info",), wrong="", meaning="", fix="", example="")


def test_the_base_graph_breaks_no_rule() -> None:
    assert validate(PAGES.broken(SOUND), in_file=True) == []


@pytest.mark.parametrize("rule", SHOWN, ids=lambda rule: rule.code)
def test_an_example_breaks_its_rule(rule: Rule) -> None:
    finding = PAGES.shown(rule)
    assert finding.code == rule.code
    assert finding.level in rule.levels


@pytest.mark.parametrize("rule", [r for r in SHOWN if r.mends and r.code != "NB102"], ids=lambda r: r.code)
def test_what_is_said_to_be_mended_is_mended(rule: Rule) -> None:
    after = validate(repair(PAGES.broken(rule)), in_file=True)
    mended = rule.code not in {finding.code for finding in after}
    assert mended == (rule.code != "NB117"), "an Input of size 0 has no unique repair"


def test_levels_that_are_reported_are_those_that_are_listed() -> None:
    import test_rules

    for graph, code, level, _ in test_rules.CASES.values():
        assert level in RULES[code].levels, code
        for finding in validate(graph, running=True, in_file=True):
            assert finding.level in RULES[finding.code].levels, finding


def test_every_reader_has_an_example_or_refuses_nothing() -> None:
    assert {rule.reader for rule in SHOWN if rule.reader} <= set(READERS)
