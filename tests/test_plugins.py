"""Plugins are found without being imported, and are loud when they fail."""

from __future__ import annotations

import sys
from pathlib import Path

import pytest

from nirbridge import plugins
from nirbridge.ann import RateCoding
from nirbridge.errors import PluginError, UsageError

MODULE = """
from dataclasses import dataclass
from typing import ClassVar, Literal, Optional

@dataclass(frozen=True)
class Foreign:
    bits: int = 8
    rate: float = 0.5
    exact: bool = False
    mode: Literal["a", "b-c"] = "a"
    level: Literal[1, 2] = 1
    note: str = ""
    limit: Optional[int] = None
    either: int | str = 3
    name: ClassVar[str] = "foreign"

    def __post_init__(self):
        if self.bits > 8:
            raise ValueError("bits is above 8")

@dataclass(frozen=True)
class Needs:
    size: int
    name: ClassVar[str] = "needs"
"""


def install(folder: Path, package: str, points: str) -> None:
    info = folder / f"{package}-1.2.dist-info"
    info.mkdir(parents=True)
    (info / "METADATA").write_text(f"Metadata-Version: 2.1\nName: {package}\nVersion: 1.2\n")
    (info / "entry_points.txt").write_text(points)


@pytest.fixture
def foreign(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    (tmp_path / "foreign_pass.py").write_text(MODULE)
    (tmp_path / "broken_pass.py").write_text("import a_module_that_is_absent\n")
    install(
        tmp_path,
        "foreign",
        "[nirbridge.passes]\nforeign = foreign_pass:Foreign\nneeds = foreign_pass:Needs\n"
        "broken = broken_pass:Broken\nabsent = foreign_pass:Absent\nclash = foreign_pass:Foreign\n"
        "plain = foreign_pass:dataclass\n",
    )
    install(tmp_path, "rival", "[nirbridge.passes]\nclash = rival_pass:Rival\n")
    monkeypatch.syspath_prepend(str(tmp_path))
    monkeypatch.delitem(sys.modules, "foreign_pass", raising=False)
    return tmp_path


def test_listing_imports_nothing(foreign: Path) -> None:
    found = {plugin.name: plugin for plugin in plugins.available("passes")}
    assert found["foreign"].package == "foreign"
    assert found["foreign"].version == "1.2"
    assert {"broken", "quantize-weights"} <= set(found)
    assert "foreign_pass" not in sys.modules


def test_options_are_read_by_the_types_of_the_fields(foreign: Path) -> None:
    spec = "foreign:bits=4,rate=1e-3,exact=yes,mode=b-c,level=2,note=x=y,limit=7,either=12"
    thing = plugins.parse("passes", spec)
    assert (thing.bits, thing.rate, thing.exact, thing.mode) == (4, 1e-3, True, "b-c")
    assert (thing.level, thing.note, thing.limit, thing.either) == (2, "x=y", 7, 12)
    assert plugins.parse("passes", plugins.spec_of(thing)) == thing
    assert plugins.parse("passes", "foreign:limit=none,either=many").either == "many"
    assert plugins.spec_of(plugins.parse("passes", "foreign")) == "foreign"


def test_values_of_a_config_keep_their_type(foreign: Path) -> None:
    cls = plugins.load("passes", "foreign")
    assert plugins.build(cls, {"rate": 1, "limit": None, "level": 2, "exact": True}).rate == 1.0
    for bad in ({"bits": 1.5}, {"bits": True}, {"exact": 1}, {"note": 3}, {"level": True}, {"rate": []}):
        with pytest.raises(UsageError, match="expected"):
            plugins.build(cls, bad)


@pytest.mark.parametrize(
    ("spec", "words", "about"),
    [
        ("foreign:bitz=4", ["no option 'bitz'", "did you mean 'bits'"], "bits=8 (int)"),
        ("foreign:zzz=4", ["no option 'zzz'"], None),
        ("foreign:bits=4,bits=5", ["given twice"], "bits=8 (int)"),
        ("foreign:zzz=4,zzz=5", ["given twice"], None),
        ("foreign:bits=four", ["'four'", "expected int"], "bits=8 (int)"),
        ("foreign:bits=4.5", ["'4.5'"], "bits=8 (int)"),
        ("foreign:exact=perhaps", ["true | false"], "exact=false (true | false)"),
        ("foreign:mode=c", ["a | b-c"], "mode=a (a | b-c)"),
        ("foreign:limit=x", ["int or none"], "limit=none (int or none)"),
        ("foreign:bits", ["field=value"], None),
        ("foreign:bits=4,,", ["field=value"], None),
        ("foreign:bits=9", ["bits is above 8"], None),
        ("needs", ["'size' must be given"], "size=required (int)"),
    ],
)
def test_wrong_options_name_the_right_ones(
    foreign: Path, spec: str, words: list[str], about: str | None
) -> None:
    with pytest.raises(UsageError) as caught:
        plugins.parse("passes", spec)
    assert (caught.value.code, caught.value.exit_code) == ("NB701", 2)
    for word in words:
        assert word in caught.value.message
    fix = str(caught.value.fix)
    assert fix.startswith(f"{about};" if about else "options of foreign: ")
    assert about or ("bits=8 (int)" in fix and "mode=a (a | b-c)" in fix)
    assert about is None or fix.endswith(f"; nirbridge plugins {spec.partition(':')[0]} explains all options")


def test_options_of_what_is_no_plugin_name_no_command() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.build(RateCoding, {"percentle": "3"}, name="rate-coding")
    assert str(caught.value.fix).startswith("percentile=") and "plugins" not in str(caught.value.fix)


def test_many_options_are_listed_by_name() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.parse("trainers", "eventprop:zzz=4")
    fix = str(caught.value.fix)
    assert fix.startswith("options of eventprop: mode, slope") and "epochs, batch" in fix
    assert fix.endswith("nirbridge plugins eventprop explains them")


def test_an_unknown_name_lists_the_known_ones() -> None:
    with pytest.raises(UsageError) as caught:
        plugins.load("targets", "lohi2")
    assert (caught.value.code, caught.value.exit_code) == ("NB902", 2)
    assert "did you mean 'loihi2'" in caught.value.message
    assert "reference" in str(caught.value.fix)


@pytest.mark.parametrize(
    ("name", "code", "words"),
    [
        ("broken", "NB901", ["'broken'", "'foreign' 1.2", "a_module_that_is_absent"]),
        ("absent", "NB901", ["'absent'", "Absent"]),
        ("clash", "NB903", ["foreign", "rival"]),
        ("plain", "NB901", ["dataclass"]),
    ],
)
def test_a_plugin_that_fails_is_named(foreign: Path, name: str, code: str, words: list[str]) -> None:
    with pytest.raises(PluginError) as caught:
        plugins.parse("passes", name)
    assert (caught.value.code, caught.value.exit_code) == (code, 4)
    for word in words:
        assert word in str(caught.value)


def test_options_are_described() -> None:
    options = {option.name: option for option in plugins.describe(plugins.load("passes", "quantize-weights"))}
    assert (options["bits"].type, options["bits"].default) == ("int", 8)
    assert "percentile" in options["scheme"].type
