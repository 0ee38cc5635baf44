"""`nirbridge digest`: the digest of each graph, as sha256sum prints that of a file."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import Json, Quiet
from nirbridge.cli.output import Output, printable

if TYPE_CHECKING:
    from rich.console import Console

SCHEMA = "nirbridge.digest/1"


def command(
    files: Annotated[list[Path], typer.Argument(metavar="FILE...", help="Graphs.", show_default=False)],
    repair: Annotated[
        bool, typer.Option("--repair", help="Of the graph that check --fix would make, leaving the file.")
    ] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Print the digest of structure and values of each graph.

    It does not change when a file is rewritten: node order, number format, compression and metadata
    play no role. Names of nodes do.
    """
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import lint_graph
    from nirbridge.errors import raise_on_errors
    from nirbridge.graph import digest
    from nirbridge.validate import repair as mend

    found = []
    for file in files:
        with about(file):
            graph, findings = lint_graph(file)
            if graph is None:
                raise_on_errors(findings, str(file))
                raise TypeError(f"{file}: a format gave no graph")
            found.append({"file": str(file), "digest": digest(mend(graph) if repair else graph)})
    value = {"schema": SCHEMA, "files": found}
    Output(json, quiet).result(value, lambda console: _show(console, found))


def _show(console: Console, found: list[dict[str, Any]]) -> None:
    for item in found:
        console.print(f"{item['digest']}  {printable(item['file'])}", soft_wrap=True)
