"""`nirbridge plugins`: what is installed, and the options of one of them."""

from __future__ import annotations

from dataclasses import is_dataclass
from inspect import cleandoc
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import Json, Quiet
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "nirbridge.plugins/1"


def command(
    name: Annotated[
        str | None, typer.Argument(metavar="[NAME]", help="Show this one's options.", show_default=False)
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """List what is installed, or the options of one plugin."""
    from nirbridge import plugins

    found = [plugin for group in plugins.GROUPS for plugin in plugins.available(group)]
    if name is not None:
        chosen = [plugin for plugin in found if plugin.name == name]
        if not chosen:
            from nirbridge.errors import UsageError

            known = sorted({plugin.name for plugin in found})
            raise UsageError(
                f"unknown plugin '{name}'{plugins.meant(name, known)}",
                code="NB902",
                fix=f"use one of: {', '.join(known)}",
            )
        found = chosen
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "plugins": [_entry(plugin, name is not None) for plugin in found],
    }
    Output(json, quiet).result(value, lambda console: _show(console, value))


def _entry(plugin: Any, options: bool) -> dict[str, Any]:
    """A plugin as plain values; it is imported only where its options are asked for."""
    from nirbridge.plugins import REQUIRED, describe, load

    entry = {
        "name": plugin.name,
        "group": plugin.group,
        "package": plugin.package,
        "version": plugin.version,
        "from": plugin.value,
    }
    cls = load(plugin.group, plugin.name) if options else None
    if is_dataclass(cls):
        entry["about"] = cleandoc(cls.__doc__ or "")
        entry["options"] = [
            {"name": o.name, "type": o.type, "default": None if o.default is REQUIRED else o.default}
            for o in describe(cls)
        ]
    return entry


def _show(console: Console, value: dict[str, Any]) -> None:
    entries = value["plugins"]
    rows = [(e["group"], e["name"], f"{e['package']} {e['version']}", e["from"]) for e in entries]
    console.print(table(("group", "name", "package", "from"), rows))
    for entry in entries:
        if "options" not in entry:
            continue
        console.print()
        console.print(entry["about"])
        console.print()
        if entry["options"]:
            options = [(o["name"], o["type"], _default(o["default"])) for o in entry["options"]]
            console.print(table(("option", "type", "default"), options))
        else:
            console.print("no options")


def _default(value: Any) -> str:
    return str(value).lower() if value is None or isinstance(value, bool) else str(value)
