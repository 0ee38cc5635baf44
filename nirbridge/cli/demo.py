"""`nirbridge demo`: train Yin-Yang, quantise it, run it on three targets, write the report."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nirbridge.cli.options import DryRun, Json, Quiet
from nirbridge.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.report import Report


def command(
    context: typer.Context,
    folder: Annotated[Path, typer.Option("--output", "-o", metavar="DIR", help="Where files go.")] = Path(
        "nirbridge-demo"
    ),
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Train on Yin-Yang, run it on every target, write a report."""
    from nirbridge.cli.inputs import check_new_folder
    from nirbridge.cli.provenance import Provenance
    from nirbridge.cli.report import write_report

    out = Output(json, quiet)
    check_new_folder(folder)
    if dry_run:
        text = f"would train Yin-Yang and write a graph, its int8 form and a report to {folder}"
        value = {"schema": "nirbridge.written/1", "wrote": [], "targets": []}
        out.result(value, lambda console: console.print(text))
        return
    from nirbridge import evaluate

    folder.mkdir(parents=True, exist_ok=True)
    provenance = Provenance("demo", context.obj, {"output": str(folder)})
    result = evaluate.demo(folder, note=out.note)
    for name in ("yin-yang.nir", "yin-yang-int8.nir", "yin-yang-test.npz"):
        provenance.write(folder / name)
    for ending in ("json", "html"):
        write_report(folder / f"report.{ending}", result, provenance)
    out.result(result.as_dict(), lambda console: _show(console, result))
    out.note(f"open {folder / 'report.html'}")


def _show(console: Console, result: Report) -> None:
    from nirbridge.report.table import print_comparison

    print_comparison(console, result)
