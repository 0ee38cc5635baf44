"""`nirbridge rules`: every code that the program prints, and what is behind one of them."""

from __future__ import annotations

from textwrap import indent
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import Json, Quiet
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.validate.registry import Rule

SCHEMA = "nirbridge.rules/1"


def command(
    code: Annotated[
        str | None, typer.Argument(metavar="[CODE]", help="Explain this one, such as NB121.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List every numbered rule, or explain one."""
    from nirbridge.errors import UsageError
    from nirbridge.validate.registry import RULES

    wanted = None if code is None else code.strip().upper()
    if wanted is not None and wanted not in RULES:
        raise UsageError(f"no rule '{code}'", code="NB701", fix="nirbridge rules lists them all")
    chosen = [RULES[wanted]] if wanted is not None else list(RULES.values())
    value = {"schema": SCHEMA, "rules": [_as_dict(rule) for rule in chosen]}
    if wanted is not None:
        Output(json, quiet).result(value, lambda console: _page(console, chosen[0]))
    else:
        Output(json, quiet).result(value, lambda console: _list(console, chosen))


def _as_dict(rule: Rule) -> dict[str, Any]:
    return {
        "code": rule.code,
        "levels": list(rule.levels),
        "wrong": _plain(rule.wrong),
        "meaning": _plain(rule.meaning),
        "example": rule.example if rule.example is not None else _plain(rule.shown or ""),
        "reader": rule.reader,
        "fix": _plain(rule.fix),
        "mends": rule.mends,
    }


def _list(console: Console, rules: list[Rule]) -> None:
    rows = [
        (rule.code, "/".join(rule.levels), _plain(rule.wrong), _plain(rule.fix), "yes" if rule.mends else "")
        for rule in rules
    ]
    console.print(table(("code", "level", "what is wrong", "fix", "--fix"), rows))


def _page(console: Console, rule: Rule) -> None:
    console.print(f"{rule.code}  {_plain(rule.wrong)}  ({' or '.join(rule.levels)})", soft_wrap=True)
    console.print()
    console.print(_plain(rule.meaning))
    console.print()
    if rule.example is not None:
        reader = f" for the reader {rule.reader}" if rule.reader else ""
        console.print(f"Example{reader}:")
        console.print(indent(rule.example, "  "), soft_wrap=True)
    else:
        console.print(f"Example: {_plain(rule.shown or '')}")
    console.print()
    console.print(f"Fix: {_plain(rule.fix)}")
    if rule.mends:
        console.print("nirbridge check FILE --fix mends it where the repair is unique.")


def _plain(text: str) -> str:
    """The text without the marks that documentation needs."""
    return text.replace("``", "").replace("`", "")
