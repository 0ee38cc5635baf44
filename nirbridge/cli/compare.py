"""`nirbridge compare`: one file on several targets, and the first spike that differs."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from nirbridge.cli.options import Batch, Data, DryRun, Dt, Graph, Json, Quiet, Samples, Unit
from nirbridge.cli.output import Output

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.report import Report


def command(
    context: typer.Context,
    file: Graph,
    data: Data,
    targets: Annotated[
        str | None, typer.Option("--targets", metavar="A,B,C", help="Targets; the first is compared with.")
    ] = None,
    target: Annotated[
        list[str] | None,
        typer.Option("--target", "-t", metavar="NAME:OPT=VAL,..", help="A further target; repeat it."),
    ] = None,
    against: Annotated[
        Path | None,
        typer.Option(
            "--against",
            metavar="FLOAT.nir",
            help="The first target runs this graph: the one before a training for integers.",
        ),
    ] = None,
    semantics: Annotated[
        str | None,
        typer.Option(
            "--semantics",
            metavar="A,B,C",
            help="Compare readings instead: how these frameworks would compute the file.",
        ),
    ] = None,
    samples: Samples = None,
    output: Annotated[
        list[Path] | None,
        typer.Option("--output", "-o", metavar="FILE", help="Write the report: .html or .json; repeat it."),
    ] = None,
    batch: Batch = 64,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Compare one graph on several targets, or with the graph that it was trained from.

    The table shows accuracy, spikes that agree, the first difference, energy and latency. With
    --semantics snntorch,norse,lava-dl it shows instead where those frameworks' readings of the file
    first differ from the file's own: sample, step, node, neuron, and the membrane on both sides.
    """
    from nirbridge import evaluate
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import data_of, graph_of, targets_of
    from nirbridge.cli.provenance import Provenance, command_line
    from nirbridge.cli.readings import readings_of
    from nirbridge.cli.report import check_endings, write_report
    from nirbridge.errors import UsageError

    out = Output(json, quiet)
    outputs = check_endings(output or [])
    if semantics is not None and (targets or target or against):
        raise UsageError(
            "--semantics compares readings on the reference, it takes no targets and no other graph",
            code="NB700",
            fix="leave --targets, --target and --against out",
        )
    chosen = targets_of(targets, list(target or []))
    if not chosen and semantics is None:
        raise UsageError(
            "no target is named",
            code="NB700",
            fix="name some: --targets reference,loihi2 (nirbridge plugins)",
        )
    if against is not None and len(chosen) < 2:
        raise UsageError(
            f"--against {against}: the first target runs it, and no other target is named for {file}",
            code="NB700",
            fix="name two: --targets reference,loihi2",
        )
    graph = graph_of(out, file, dt, unit)
    other = None
    if against is not None:
        other = graph_of(out, against, dt, unit)
        chosen[0] = (f"{chosen[0][0]} ({against.name})", chosen[0][1])
    if semantics is not None:
        chosen = readings_of(semantics, graph)
    options = {
        "targets": [spec for spec, _ in chosen],
        "against": None if against is None else str(against),
        "samples": samples,
        "batch": batch,
        "dt": dt,
        "unit": unit,
    }
    files = [file, data, *([] if against is None else [against])]
    provenance = Provenance("compare", context.obj, options, files)
    loaded = data_of(data, graph, samples)
    with about(*files), out.progress("comparing", len(loaded) * len(chosen)) as progress:
        seen: dict[str, int] = {}

        def step(spec: str, done: int, total: int) -> None:
            seen[spec] = done
            progress(sum(seen.values()))

        result = evaluate.compare(
            graph,
            chosen,
            loaded,
            file=str(file),
            batch=batch,
            progress=step,
            commands=(command_line(context.obj),),
            leave_out=semantics is not None,
            against=other,
        )
    if not dry_run:
        for path in outputs:
            write_report(path, result, provenance)
            out.note(f"wrote {path}")
    show = _show_readings if semantics is not None else _show
    out.result(result.as_dict(), lambda console: show(console, result))


def _show(console: Console, result: Report) -> None:
    from nirbridge.report.table import print_comparison

    print_comparison(console, result)


def _show_readings(console: Console, result: Report) -> None:
    from nirbridge.report.readings import print_readings

    print_readings(console, result)
