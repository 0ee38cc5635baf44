"""`nirbridge convert`: passes over a graph, and from one file format to another."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Dt, Json, Quiet, Samples, Unit
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.errors import Finding
    from nirbridge.protocols import Target

SCHEMA = "nirbridge.convert/1"


def command(
    context: typer.Context,
    source: Annotated[
        Path, typer.Argument(metavar="IN", help="A graph, recorded spikes or a data set.", show_default=False)
    ],
    goal: Annotated[
        Path,
        typer.Argument(
            metavar="OUT[:OPT=VAL,..]", help="The new file, with options of its format.", show_default=False
        ),
    ],
    passes: Annotated[
        list[str] | None,
        typer.Option(
            "--pass", "-p", metavar="NAME[:OPT=VAL,..]", help="A pass (see plugins) with options; repeat it."
        ),
    ] = None,
    target: Annotated[
        str | None, typer.Option("--for", metavar="TARGET", help="Then the passes that make it legal there.")
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="First mend what can be mended, and list it.")] = False,
    force: Annotated[
        bool, typer.Option("--force", help="Copy a graph that breaks rules too; they are listed.")
    ] = False,
    node: Annotated[
        str | None, typer.Option("--node", metavar="NODE", help="Of recorded spikes: this node's.")
    ] = None,
    calibration: Annotated[
        Path | None,
        typer.Option("--calibration", metavar="FILE.npz", help="Of an ANN (.onnx): samples for thresholds."),
    ] = None,
    coding: Annotated[
        str | None,
        typer.Option(
            "--rate-coding", metavar="OPT=VAL,..", help="Of an ANN: percentile, coding, steps, max_pool …"
        ),
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="FILE.npz", help="Of an ANN: samples to measure accuracy on."),
    ] = None,
    samples: Samples = None,
    report: Annotated[
        Path | None,
        typer.Option("--report", metavar="FILE", help="Of quantised weights: every scale, .html or .json."),
    ] = None,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Run passes over a graph and write the result; or write spikes in another format.

    The table says what each pass changed and what stays equal. An ANN (.onnx) becomes a rate-coded
    spiking graph first, whose accuracy is shown for growing numbers of steps. Recorded spikes (.nir) and
    data sets (.h5, .h5.gz, .npz) become each other; with --dt a recording holds grids of this step, else
    events.
    """
    from nirbridge import plugins
    from nirbridge.analysis import applied
    from nirbridge.cli import calibration as scales_report
    from nirbridge.cli.ann import is_ann, rate_coded, refuse_ann_options, refuse_for_anns
    from nirbridge.cli.convert_spikes import convert_spikes, holds_spikes, refuse_graph_options
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_folder, file_of, graph_of, mended_graph_of, target_of, write_noting
    from nirbridge.cli.provenance import Provenance
    from nirbridge.errors import FindingWarning
    from nirbridge.graph import digest

    out = Output(json, quiet)
    if is_ann(source):
        refuse_for_anns({"--fix": fix, "--force": force, "--unit": unit})
    else:
        of_anns = {"--calibration": calibration, "--rate-coding": coding, "--data": data, "-n": samples}
        refuse_ann_options(of_anns)
    if holds_spikes(source, goal):
        given: dict[str, object] = {"--pass": passes, "--for": target, "--unit": unit, "--fix": fix}
        given["--force"] = force
        given["--report"] = report
        refuse_graph_options(given)
        convert_spikes(context, "convert", source, goal, out, node=node, dt=dt, dry_run=dry_run)
        return
    _refuse_node(node)
    specs = list(passes or [])
    items = tuple(plugins.parse("passes", spec) for spec in specs)
    chosen = None if target is None else target_of(target)
    goal, writer = file_of(goal)
    check_folder(goal)
    scales_report.check_report(report)
    options = {
        "pass": specs,
        "for": target,
        "fix": fix,
        "force": force,
        "dt": dt,
        "unit": unit,
        "rate_coding": coding,
    }
    read = [path for path in (source, calibration, data) if path is not None]
    provenance = Provenance("convert", context.obj, {**options, "samples": samples}, read)
    ann: dict[str, Any] | None = None
    mended: list[Finding] = []
    if is_ann(source):
        graph, ann = rate_coded(
            out, source, calibration=calibration, coding=coding, data=data, samples=samples, dt=dt
        )
    elif fix:
        graph, mended = mended_graph_of(out, source, dt, unit, force=force)
    else:
        graph = graph_of(out, source, dt, unit, force=force)
    with about(source, goal, goal=goal):
        with warnings.catch_warnings(record=True) as caught:
            warnings.simplefilter("always", FindingWarning)
            # a graph that is only copied may break rules under --force, passes take valid ones
            after, results, steps = applied(items, graph) if items or not force else (graph, (), [])
            if chosen is not None:
                after, more, more_steps = applied(chosen.passes(after), after)
                results, steps = (*results, *more), [*steps, *more_steps]
                _check(chosen, after, str(target))
        for warning in caught:
            if isinstance(warning.message, FindingWarning):
                out.warn(warning.message.finding, source)
        said, noted = write_noting(writer, goal, after, dry_run=dry_run)
    for finding in noted:
        out.warn(finding, goal)
    scales = scales_report.scales_of(steps)
    value = {
        "schema": SCHEMA,
        "input": str(source),
        "output": None if dry_run else str(goal),
        "note": said,
        "mended": [finding.as_dict() for finding in mended],
        "digest": {"before": digest(graph), "after": digest(after)},
        "passes": [
            {"name": r.name, "options": r.options, "changed": r.changed, "law": r.law, "result": r.result}
            for r in results
        ],
        "scales": scales_report.as_dicts(scales),
        "ann": ann,
    }
    if not dry_run:
        provenance.write(goal, digest=value["digest"])
        if report is not None:
            scales_report.write_report(report, scales, goal)
            if not scales:
                out.note(f"{report}: no weights were quantised, the report is empty")

    def show(console: Console) -> None:
        _show(console, value)
        if scales:
            scales_report.show(console, scales)

    out.result(value, show)
    verb = "would write" if dry_run else "wrote"
    line = "" if said is None else f"; {said}"
    out.note(f"{verb} {goal} ({len(after.nodes)} nodes, digest {digest(after)[:6]}…{line})")


def _refuse_node(node: str | None) -> None:
    from nirbridge.errors import UsageError

    if node is not None:
        raise UsageError(
            "--node is given, and this is a graph", code="NB700", fix="name a file of recorded spikes"
        )


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
    if value["ann"] is not None:
        from nirbridge.cli.ann import show

        show(console, value["ann"])
        if not value["passes"]:
            return
    if not value["passes"]:
        console.print(f"no passes: {value['output'] or 'the result'} holds the same graph")
        return
    rows = [(r["name"], r["changed"], r["law"], r["result"]) for r in value["passes"]]
    console.print(table(("pass", "changed", "law", "result"), rows))
