"""How findings are printed: one line each with its fix, then how many there are of each level."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import printable

if TYPE_CHECKING:
    from rich.console import Console

_STYLE = {"error": "bold red", "warning": "yellow", "info": "dim"}
_WORDS = {"error": "error", "warning": "warning", "info": "note"}


def counted(findings: Sequence[dict[str, Any]]) -> str:
    """``2 errors, 1 note``, or an empty text."""
    from nirbridge.report.numbers import plural

    levels = [finding["level"] for finding in findings]
    return ", ".join(plural(levels.count(level), word) for level, word in _WORDS.items() if level in levels)


def show(console: Console, findings: Sequence[dict[str, Any]], *, mended: bool = False) -> None:
    """Each finding (`Finding.as_dict`) with its level, code, node, message and fix."""
    for finding in findings:
        node = finding["node"] or ""
        text = finding["message"] if node in finding["message"] else f"node '{node}': {finding['message']}"
        level = "mended" if mended else finding["level"]
        console.print(f"{level}[{finding['code']}]", style=_STYLE.get(level, "green"), end=" ")
        console.print(printable(text), soft_wrap=True)
        if finding["fix"] and not mended:
            console.print(f"  fix: {printable(finding['fix'])}", soft_wrap=True)
