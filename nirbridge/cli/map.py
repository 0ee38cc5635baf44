"""`nirbridge map`: which neurons sit on which core, and every limit with its headroom."""

from __future__ import annotations

from typing import TYPE_CHECKING, Any

import typer

from nirbridge.cli.options import Dt, Graph, Json, Quiet, TargetName, Unit
from nirbridge.cli.output import Output, printable, table

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "nirbridge.map/1"


def command(
    file: Graph,
    target: TargetName,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Show the placement of a graph on a target.

    The exit code is 4 where it does not fit.
    """
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import graph_of, target_of
    from nirbridge.errors import DoesNotFit
    from nirbridge.passes import Pipeline

    out = Output(json, quiet)
    chosen = target_of(target)
    refused: DoesNotFit | None = None
    graph = graph_of(out, file, dt, unit)
    with about(file):
        lowered = Pipeline(tuple(chosen.passes(graph)))(graph)
        try:
            placement = chosen.compile(lowered).placement
        except DoesNotFit as error:
            if error.placement is None:
                raise
            refused, placement = error, error.placement
    value = {"schema": SCHEMA, "file": str(file), **placement.as_dict(), "target": target}
    out.result(value, lambda console: _show(console, value))
    if refused is not None:
        raise refused
    if not placement.fits:
        raise typer.Exit(4)


def _show(console: Console, value: dict[str, Any]) -> None:
    from nirbridge.cli.core_grid import draw_cores
    from nirbridge.report.numbers import amount, plural

    word = value["core_name"]
    used = plural(value["used"], word)
    if value["available"] >= value["used"]:
        used = f"{value['used']} of {plural(value['available'], word)}"
    console.print(f"{printable(value['target'])}: {used} in use")
    if value["cores"]:
        console.print()
        draw_cores(console, value)
        console.print()
    rows = [
        (
            limit["name"],
            limit["where"],
            amount(limit["used"]),
            "–" if limit["limit"] is None else amount(limit["limit"]),
            limit["unit"],
            "–" if limit["headroom"] is None else f"{100 * limit['headroom']:.1f} %",
            limit["basis"],
        )
        for limit in sorted(value["limits"], key=lambda x: 2.0 if x["headroom"] is None else x["headroom"])
    ]
    right = ("used", "of", "headroom")
    console.print(table(("limit", "where", "used", "of", "unit", "headroom", "basis"), rows, right=right))
