"""`nirbridge convert`: passes over a graph, and from one file format to another."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Dt, Json, Quiet, Unit
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.protocols import Target

SCHEMA = "nirbridge.convert/1"


def command(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar="IN", help="A graph.", show_default=False)],
    goal: Annotated[Path, typer.Argument(metavar="OUT", help="The new file.", show_default=False)],
    passes: Annotated[
        list[str] | None,
        typer.Option("--pass", "-p", metavar="NAME[:OPT=VAL,..]", help="A pass with its options; repeat it."),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--for", metavar="TARGET", help="Then the passes that make it legal there.")
    ] = None,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Run passes over a graph and write the result.

    The table says what each pass changed and what stays equal.
    """
    from nirbridge import plugins
    from nirbridge.analysis import applied
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_folder, format_of, graph_of, rehearse, target_of
    from nirbridge.cli.provenance import Provenance
    from nirbridge.graph import digest

    out = Output(json, quiet)
    specs = list(passes or [])
    items = tuple(plugins.parse("passes", spec) for spec in specs)
    chosen = None if target is None else target_of(target)
    check_folder(goal)
    writer = format_of(goal)
    provenance = Provenance(
        "convert", context.obj, {"pass": specs, "for": target, "dt": dt, "unit": unit}, [source]
    )
    graph = graph_of(out, source, dt, unit)
    with about(source, goal, goal=goal):
        after, results, _ = applied(items, graph)
        if chosen is not None:
            after, more, _ = applied(chosen.passes(after), after)
            results = (*results, *more)
            _check(chosen, after, str(target))
        if dry_run:
            rehearse(goal, lambda place: writer.write(place, after))
    value = {
        "schema": SCHEMA,
        "input": str(source),
        "output": None if dry_run else str(goal),
        "digest": {"before": digest(graph), "after": digest(after)},
        "passes": [
            {"name": r.name, "options": r.options, "changed": r.changed, "law": r.law, "result": r.result}
            for r in results
        ],
    }
    if not dry_run:
        with about(source, goal, goal=goal):
            writer.write(goal, after)
        provenance.write(goal, digest=value["digest"])
    out.result(value, lambda console: _show(console, value))
    verb = "would write" if dry_run else "wrote"
    out.note(f"{verb} {goal} ({len(after.nodes)} nodes, digest {digest(after)[:6]}…)")


def _check(target: Target, graph: NIRGraph, spec: str) -> None:
    """Raise `Unsupported` with every error that the target has on what its own passes made."""
    from nirbridge.errors import Unsupported

    errors = [finding for finding in target.check(graph) if finding.level == "error"]
    if errors:
        rest = f" (and {len(errors) - 1} more)" if len(errors) > 1 else ""
        raise Unsupported(
            f"{errors[0].message}{rest}; target '{spec}' refuses it even after its passes",
            code=errors[0].code,
            fix=errors[0].fix,
            findings=errors[1:],
        )


def _show(console: Console, value: dict[str, Any]) -> None:
    if not value["passes"]:
        console.print(f"no passes: {value['output'] or 'the result'} holds the same graph")
        return
    rows = [(r["name"], r["changed"], r["law"], r["result"]) for r in value["passes"]]
    console.print(table(("pass", "changed", "law", "result"), rows))
