"""Findings as SARIF 2.1.0 (OASIS), the format in which CI systems show what a checker found."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import Any
from urllib.parse import quote

from nirbridge.errors import Finding
from nirbridge.report.text import printable
from nirbridge.validate.registry import RULES, Rule

SCHEMA = "https://docs.oasis-open.org/sarif/sarif/v2.1.0/errata01/os/schemas/sarif-schema-2.1.0.json"
_LEVELS = {"error": "error", "warning": "warning", "info": "note"}


def sarif(findings: Sequence[Finding], file: Path, *, version: str) -> dict[str, Any]:
    """One SARIF log with one run: the rules that were broken, and a result a finding about ``file``.

    version: of this program. Levels are error, warning and note; nodes are logical locations with
    their dotted name. A finding whose code is not in the registry (of a plugin) has no rule.
    """
    codes = sorted({finding.code for finding in findings if finding.code in RULES})
    driver = {
        "name": "nirbridge",
        "version": version,
        "semanticVersion": version,
        "rules": [_rule(RULES[code]) for code in codes],
    }
    results = [_result(finding, file, codes) for finding in findings]
    return {
        "$schema": SCHEMA,
        "version": "2.1.0",
        "runs": [{"tool": {"driver": driver}, "results": results, "columnKind": "unicodeCodePoints"}],
    }


def _rule(rule: Rule) -> dict[str, Any]:
    return {
        "id": rule.code,
        "shortDescription": {"text": rule.wrong},
        "fullDescription": {"text": rule.meaning},
        "help": {"text": f"{rule.meaning}\n\nFix: {rule.fix}"},
        "defaultConfiguration": {"level": _LEVELS[rule.level]},
    }


def _result(finding: Finding, file: Path, codes: Sequence[str]) -> dict[str, Any]:
    place: dict[str, Any] = {"physicalLocation": {"artifactLocation": {"uri": _uri(file)}}}
    if finding.node is not None:
        name = printable(finding.node)
        place["logicalLocations"] = [
            {"name": name.rpartition(".")[2] or name, "fullyQualifiedName": name, "kind": "object"}
        ]
    fix = "" if finding.fix is None else f"\nfix: {finding.fix}"
    result: dict[str, Any] = {
        "ruleId": finding.code,
        "level": _LEVELS[finding.level],
        "message": {"text": printable(finding.message) + fix},
        "locations": [place],
        "partialFingerprints": {"nirbridge/1": f"{finding.code}:{printable(finding.node or '')}"},
    }
    if finding.code in codes:
        result["ruleIndex"] = codes.index(finding.code)
    return result


def _uri(file: Path) -> str:
    """A relative name as a relative reference, an absolute one as a file URI."""
    return file.as_uri() if file.is_absolute() else quote(file.as_posix())
