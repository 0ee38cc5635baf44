"""SARIF 2.1.0: what the standard requires of a log, and what the findings said."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import pytest

from nirbridge.errors import Finding
from nirbridge.report.sarif import sarif
from nirbridge.validate.registry import RULES

LEVELS = {"none", "note", "warning", "error"}
FINDINGS = [
    Finding(
        code="NB121", level="error", message="node 'a.b' (LIF): tau is 0", node="a.b", fix="export again"
    ),
    Finding(code="NB302", level="warning", message="the graph: ambiguous"),
    Finding(code="NB306", level="info", message="node 'x' (IF): per step", node="x"),
    Finding(code="NB999", level="error", message="a plugin's own rule", node="x"),
]


def check_log(log: dict[str, Any]) -> None:
    """The required members of sarifLog, run, tool, reportingDescriptor, result and location (§3.13-3.58)."""
    assert log["version"] == "2.1.0"
    assert log["$schema"].endswith("sarif-schema-2.1.0.json")
    assert isinstance(log["runs"], list)
    for run in log["runs"]:
        driver = run["tool"]["driver"]
        assert driver["name"] and all(isinstance(driver[key], str) for key in ("name", "version"))
        ids = [rule["id"] for rule in driver["rules"]]
        assert len(ids) == len(set(ids))
        for rule in driver["rules"]:
            assert all(rule[key]["text"] for key in ("shortDescription", "fullDescription", "help"))
            assert rule["defaultConfiguration"]["level"] in LEVELS
        for result in run["results"]:
            check_result(result, ids)


def check_result(result: dict[str, Any], ids: list[str]) -> None:
    assert result["message"]["text"]
    assert result["level"] in LEVELS
    if "ruleIndex" in result:
        assert ids[result["ruleIndex"]] == result["ruleId"]
    else:
        assert result["ruleId"] not in ids
    for location in result["locations"]:
        uri = location["physicalLocation"]["artifactLocation"]["uri"]
        assert uri and " " not in uri and "\\" not in uri
        for logical in location.get("logicalLocations", []):
            assert logical["name"] and logical["fullyQualifiedName"].endswith(logical["name"])


def test_the_log_has_what_the_standard_requires() -> None:
    log = sarif(FINDINGS, Path("nets/my net.nir"), version="0.1.0")
    check_log(json.loads(json.dumps(log)))
    check_log(sarif([], Path("x.nir"), version="0.1.0"))


def test_findings_keep_their_code_level_node_and_fix() -> None:
    log = sarif(FINDINGS, Path("nets/my net.nir"), version="0.1.0")
    results = log["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results] == [
        ("NB121", "error"), ("NB302", "warning"), ("NB306", "note"), ("NB999", "error"),
    ]  # fmt: skip
    names = [
        [item["fullyQualifiedName"] for item in r["locations"][0].get("logicalLocations", [])]
        for r in results
    ]
    assert names == [["a.b"], [], ["x"], ["x"]]
    assert results[0]["message"]["text"].endswith("fix: export again")
    uri = results[0]["locations"][0]["physicalLocation"]["artifactLocation"]["uri"]
    assert unquote(uri) == "nets/my net.nir"
    assert {rule["id"] for rule in log["runs"][0]["tool"]["driver"]["rules"]} == {"NB121", "NB302", "NB306"}


@pytest.mark.parametrize("code", RULES)
def test_every_rule_can_stand_in_a_log(code: str) -> None:
    finding = Finding(code=code, level=RULES[code].level, message="m")
    check_log(sarif([finding], Path("/abs/x.nir"), version="1"))
