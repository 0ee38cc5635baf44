"""`nirbridge diff`: what differs between two graphs, by structure and value."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import Json, Quiet
from nirbridge.cli.output import Output, printable, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

SCHEMA = "nirbridge.diff/1"
_WIDE = 60  # characters of a metadata value that are shown


def command(
    first: Annotated[Path, typer.Argument(metavar="A.nir", help="A graph.", show_default=False)],
    second: Annotated[Path, typer.Argument(metavar="B.nir", help="Another graph.", show_default=False)],
    inline: Annotated[bool, typer.Option("--inline", help="Flatten subgraphs first.")] = False,
    atol: Annotated[float, typer.Option("--atol", min=0, help="Allowed absolute difference.")] = 0.0,
    rtol: Annotated[float, typer.Option("--rtol", min=0, help="Allowed relative difference.")] = 0.0,
    ignore_names: Annotated[
        bool, typer.Option("--ignore-names", help="Pair nodes by values and wiring, whatever their names.")
    ] = False,
    repair: Annotated[bool, typer.Option("--repair", help="Compare what check --fix would make.")] = False,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Say what differs between two graphs: nodes, names, edges, values.

    A value passes if |a-b| is at most atol + rtol * max(|a|, |b|). Number formats and metadata are
    listed apart and change nothing. The exit code is 0 where the graphs are equal within the tolerance
    and 5 where they are not.
    """
    from nirbridge.analysis import diff
    from nirbridge.cli.failure import about

    out = Output(json, quiet)
    graphs = [_graph(out, path, repair) for path in (first, second)]
    with about(first, second):
        found = diff(*graphs, flatten=inline, ignore_names=ignore_names, atol=atol, rtol=rtol)
    value = {
        "schema": SCHEMA,
        "files": [str(first), str(second)],
        "inline": inline,
        "atol": atol,
        "rtol": rtol,
        **found.as_dict(),
    }
    out.result(value, lambda console: _show(console, value))
    if not found.within:
        raise typer.Exit(5)


def _graph(out: Output, path: Path, mend: bool) -> NIRGraph:
    """The graph in a file, broken or not; that it is broken is noted."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import lint_graph
    from nirbridge.validate import repair, validate

    with about(path):
        whole, findings = lint_graph(path)
        graph = whole if whole is not None else lint_graph(path, partial=True)[0]
        if graph is None:
            raise TypeError(f"{path}: a format gave no graph")
        if mend:
            graph = repair(graph)
            findings = validate(graph, in_file=True)
    errors = any(finding.level == "error" for finding in findings)
    if whole is None:
        out.note(f"{path}: nodes or edges cannot be read and are not compared: see nirbridge check")
    elif errors:
        out.note(f"{path}: has errors, compared as it is: see nirbridge check")
    return graph


def _show(console: Console, value: dict[str, Any]) -> None:
    from nirbridge.report.numbers import plural

    rows: list[tuple[str, str, str]] = []
    rows += [("added", name, "") for name in value["added"]]
    rows += [("removed", name, "") for name in value["removed"]]
    rows += [("renamed", a, b) for a, b in value["renamed"]]
    rows += [("type", name, f"{a} → {b}") for name, a, b in value["retyped"]]
    rows += [
        ("edge", f"{item['source']} → {item['target']}", _edge(item["first"], item["second"]))
        for item in value["rewired"]
    ]
    rows += [("values", f"{item['node']}.{item['field']}", _values(item)) for item in value["fields"]]
    for kind, word in (("dtypes", "dtype"), ("metadata", "metadata")):
        rows += [
            (
                word,
                f"{item['node'] or 'graph'}.{item['key']}",
                f"{_cut(item['first'])} → {_cut(item['second'])}",
            )
            for item in value[kind]
        ]
    if rows:
        console.print(table(("what", "node", "difference"), rows))
    names = "" if value["names_matter"] or not value["renamed"] else " up to names"
    verdict = "differ"
    if {row[0] for row in rows} <= {"renamed", "dtype", "metadata"} and value["renamed"]:
        verdict = f"equal up to {plural(len(value['renamed']), 'renamed node')}"
    if value["identical"]:
        verdict = f"equal{names}"
    elif value["within"]:
        verdict = f"equal{names} within atol {value['atol']:g}, rtol {value['rtol']:g}"
    console.print(printable(f"{value['files'][0]} and {value['files'][1]}: {verdict}"), soft_wrap=True)


def _edge(first: int, second: int) -> str:
    if first and second:
        return f"{first} times → {second} times"
    return "only in the first" if first else "only in the second"


def _values(item: dict[str, Any]) -> str:
    if item["max_abs"] is None:
        return " → ".join(
            str(value) if value is not None else "absent" if shape is None else f"shape {tuple(shape)}"
            for value, shape in zip(item["values"], item["shapes"], strict=True)
        )
    index = f"[{', '.join(map(str, item['index']))}]" if item["index"] else ""
    a, b = item["values"]
    beyond = "" if item["beyond"] == item["count"] else f", {item['beyond']:,} beyond the tolerance"
    return (
        f"{item['count']:,} of {item['size']:,} differ{beyond}; at most {item['max_abs']:.3g} "
        f"(relative {item['max_rel']:.3g}); first {index} {a:.9g} → {b:.9g}"
    )


def _cut(text: str) -> str:
    return text if len(text) <= _WIDE else text[: _WIDE - 1] + "…"
