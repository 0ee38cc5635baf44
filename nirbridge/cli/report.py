"""`nirbridge report`: one HTML page from the JSON of one or several comparisons."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nirbridge.cli.options import DryRun, Json, Quiet
from nirbridge.cli.output import Output

if TYPE_CHECKING:
    from collections.abc import Sequence

    from nirbridge.cli.provenance import Provenance
    from nirbridge.report import Report

SCHEMA = "nirbridge.written/1"
ENDINGS = (".html", ".json")


def command(
    context: typer.Context,
    files: Annotated[
        list[Path], typer.Argument(metavar="RUN.json..", help="Reports of compare.", show_default=False)
    ],
    output: Annotated[
        list[Path], typer.Option("--output", "-o", metavar="FILE", help="The page: .html (or .json).")
    ],
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Make one page from the JSON files of comparisons.

    Several files must be about one graph, data set and first target.
    """
    from nirbridge.cli.provenance import Provenance

    out = Output(json, quiet)
    outputs = check_endings(output)
    provenance = Provenance("report", context.obj, {}, files)
    result = merged(files, [read_report(path) for path in files])
    if not dry_run:
        for path in outputs:
            write_report(path, result, provenance)
    value = {
        "schema": SCHEMA,
        "wrote": [] if dry_run else [str(path) for path in outputs],
        "targets": [item.target for item in result.results],
    }
    verb = "would write" if dry_run else "wrote"
    out.result(value, lambda console: console.print("\n".join(f"{verb} {path}" for path in outputs)))


def check_endings(outputs: Sequence[Path]) -> list[Path]:
    """The files to write; raises `UsageError` (NB711) before any work for an ending we cannot write."""
    from nirbridge.cli.inputs import check_folder
    from nirbridge.errors import UsageError

    for path in outputs:
        check_folder(path)
        if path.suffix.lower() not in ENDINGS:
            what = f"'{path.suffix}' is not the ending of a report" if path.suffix else "has no ending"
            raise UsageError(
                f"{path}: {what}, expected {' or '.join(ENDINGS)}",
                code="NB711",
                fix="rename the output",
            )
    return list(outputs)


def write_report(path: Path, report: Report, provenance: Provenance) -> None:
    """Write the page or the JSON, by ending, and the run file beside it."""
    import json

    from nirbridge.cli.output import plain
    from nirbridge.io.atomic import write_text

    if path.suffix.lower() == ".html":
        from nirbridge.report.page import render

        write_text(path, render(report))
    else:
        write_text(path, json.dumps(plain(report.as_dict()), ensure_ascii=False, allow_nan=False) + "\n")
    provenance.write(path)


def read_report(path: Path) -> Report:
    """Read what `compare` wrote; raises `BadInput` (NB506, NB001) for anything else."""
    import json

    from nirbridge.cli.failure import about
    from nirbridge.errors import BadInput
    from nirbridge.report import Report

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{path}: {what}, expected a report of compare", code="NB001", fix="check the name")
    try:
        value = json.loads(path.read_text(encoding="utf-8"))
    except (ValueError, RecursionError) as cause:
        raise BadInput(
            f"{path}: not a JSON file ({cause})", code="NB506", fix="give a JSON file that 'compare' wrote"
        ) from cause
    with about(path):
        return Report.from_dict(value)


def merged(files: Sequence[Path], reports: Sequence[Report]) -> Report:
    """One report with the results of all; graph, data and first target must be the same."""
    from nirbridge.errors import BadInput

    first = reports[0]
    results = list(first.results)
    for path, item in zip(files[1:], reports[1:], strict=True):
        for what, mine, theirs in (
            ("graph", first.graph.digest, item.graph.digest),
            ("data", (first.data.file, first.data.n_samples), (item.data.file, item.data.n_samples)),
            ("first target", first.results[0].target, item.results[0].target),
        ):
            if mine != theirs:
                raise BadInput(
                    f"{path}: its {what} is {theirs}, that of {files[0]} is {mine}",
                    code="NB506",
                    fix="make a page for each, or compare again with one graph, data set and first target",
                )
        known = {result.target for result in results}
        results += [result for result in item.results if result.target not in known]
    return replace(
        first,
        results=tuple(results),
        rasters=tuple(x for item in reports for x in item.rasters),
        membranes=tuple(x for item in reports for x in item.membranes),
        weights=tuple(x for item in reports for x in item.weights),
        commands=tuple(dict.fromkeys(x for item in reports for x in item.commands)),
    )
