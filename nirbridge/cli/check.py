"""`nirbridge check`: every broken rule of a graph at once, and whether it fits a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, cast

import typer

from nirbridge.cli.findings import counted, show
from nirbridge.cli.fitting import LAYERS, fitted, layer_row, layers, tightest
from nirbridge.cli.options import DryRun, Dt, Graph, Json, Quiet, Samples, Unit
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.errors import Finding
    from nirbridge.validate.repair import Transpose

SCHEMA = "nirbridge.check/1"


def command(
    context: typer.Context,
    file: Graph,
    target: Annotated[
        list[str] | None, typer.Option("--target", "-t", help="Also check against this target.")
    ] = None,
    data: Annotated[
        Path | None,
        typer.Option(
            "--data",
            "-d",
            metavar="FILE",
            help="Also hold each layer there against the reference on these spikes.",
        ),
    ] = None,
    samples: Samples = None,
    reader: Annotated[
        list[str] | None,
        typer.Option(
            "--reader", metavar="NAME", help="Also list what this framework's reader would lose, or 'all'."
        ),
    ] = None,
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended, in the file itself.")] = False,
    transpose: Annotated[
        str,
        typer.Option(
            "--transpose",
            metavar="WHICH",
            help="With --fix and square weights, which to transpose: stop, mismatched or all.",
        ),
    ] = "stop",
    sarif: Annotated[
        Path | None, typer.Option("--sarif", metavar="FILE", help="Also write the findings as SARIF 2.1.0.")
    ] = None,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """List every broken rule of a graph, all at once.

    With --target and --data it shows where the target leaves the reference, layer by layer: "agree" is
    the share of spikes in common as the network runs, "alone" that of a layer fed with the reference's
    own spikes. The exit code is 3 where there are errors, 4 where the graph does not fit a target or a
    reader refuses it. `nirbridge rules` explains the codes.
    """
    from nirbridge.cli.failure import filled_finding
    from nirbridge.cli.inputs import check_folder, target_of
    from nirbridge.errors import BadInput, Finding, UsageError
    from nirbridge.report.numbers import plural

    out = Output(json, quiet)
    chosen = [(spec, target_of(spec)) for spec in target or []]
    readers, which = _readers(reader or []), _transpose(transpose)
    if data is not None and not chosen:
        raise UsageError("--data is given but no target", code="NB700", fix="name one with --target NAME")
    if sarif is not None:
        check_folder(sarif)
    try:
        findings, graph = _findings(file, dt, unit)
    except BadInput as error:
        if sarif is not None and not dry_run:
            message = error.message.removeprefix(f"{file}: ")
            whole = Finding(code=error.code, level="error", message=message, fix=error.fix)
            _write_sarif(sarif, [whole, *error.findings], file)
        raise
    mended: list[Finding] = []
    if fix and graph is None:
        out.note(f"nothing mended in {file}: nodes or edges cannot be read")
    if fix and graph is not None:
        left, graph = _mend(context, file, graph, findings, which, dry_run)
        mended = [finding for finding in findings if finding not in left]
        findings = left
        verb = "would mend" if dry_run else "mended"
        out.note(
            f"{verb} {file}: {plural(len(mended), 'finding')}" if mended else f"nothing to mend in {file}"
        )
    broken = any(finding.level == "error" for finding in findings)
    fits = []
    if graph is not None and not broken:
        fits = [fitted(spec, item, graph, file) for spec, item in chosen]
        if data is not None:
            for fit, (spec, item) in zip(fits, chosen, strict=True):
                fit["layers"] = layers(item, graph, file, data, samples, out, spec) if fit["fits"] else []
    taken = [_taken(name, graph, file) for name in readers] if graph is not None else []
    value: dict[str, Any] = {
        "schema": SCHEMA,
        "file": str(file),
        "valid": not broken,
        "findings": [filled_finding(finding, file).as_dict() for finding in findings],
        "mended": [finding.as_dict() for finding in mended],
        "targets": fits,
        "readers": taken,
    }
    if sarif is not None and not dry_run:
        listed = [*value["findings"], *(f for part in (*fits, *taken) for f in part["findings"])]
        _write_sarif(sarif, [Finding(**item) for item in listed], file)
        out.note(f"wrote {sarif}")
    out.result(value, lambda console: _show(console, value))
    if broken:
        raise typer.Exit(3)
    if any(not fit["fits"] for fit in fits) or any(not part["takes"] for part in taken):
        raise typer.Exit(4)


def _readers(asked: list[str]) -> list[str]:
    """The names of readers that were asked for; raises `UsageError` (NB701) for an unknown one."""
    from nirbridge.errors import UsageError
    from nirbridge.validate.readers import READERS

    for name in asked:
        if name != "all" and name not in READERS:
            raise UsageError(
                f"--reader is '{name}', expected one of {', '.join(READERS)} or all",
                code="NB701",
                fix="name one of these",
            )
    return list(READERS) if "all" in asked else list(dict.fromkeys(asked))


def _transpose(which: str) -> Transpose:
    from typing import get_args

    from nirbridge.errors import UsageError
    from nirbridge.validate.repair import Transpose

    if which not in get_args(Transpose):
        raise UsageError(
            f"--transpose is '{which}', expected stop, mismatched or all",
            code="NB701",
            fix="name one of these",
        )
    return cast("Transpose", which)


def _taken(name: str, graph: NIRGraph, file: Path) -> dict[str, Any]:
    """What one framework's reader would refuse or change."""
    from nirbridge.cli.failure import filled_finding
    from nirbridge.validate.reader_rules import check_reader
    from nirbridge.validate.readers import READERS

    findings = [filled_finding(finding, file) for finding in check_reader(graph, name)]
    return {
        "reader": name,
        "release": READERS[name].release or None,
        "takes": not any(finding.level == "error" for finding in findings),
        "findings": [finding.as_dict() for finding in findings],
    }


def _write_sarif(place: Path, findings: list[Finding], file: Path) -> None:
    import json

    from nirbridge import __version__
    from nirbridge.io.atomic import write_text
    from nirbridge.report.sarif import sarif

    log = sarif(findings, file, version=__version__)
    write_text(place, json.dumps(log, indent=2, ensure_ascii=False) + "\n")


def _findings(file: Path, dt: float | None, unit: str | None) -> tuple[list[Finding], NIRGraph | None]:
    """The graph and all findings about it; a file that is no graph at all raises."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_dt, lint_graph, time_unit
    from nirbridge.errors import BadInput, Finding
    from nirbridge.semantics import with_dt
    from nirbridge.validate import validate
    from nirbridge.validate.rules import sort_findings
    from nirbridge.validate.timing import asked_step

    scale = time_unit(unit)
    check_dt(dt)
    with about(file):
        graph, findings = lint_graph(file)
        if graph is None or (dt is None and scale is None):
            return findings, graph
        found = validate(graph, in_file=True)
        read = [finding for finding in findings if finding not in found]  # what reading mended on its way
        try:
            stated = with_dt(graph, dt, scale)
        except BadInput as error:
            if error.code == "NB301":
                raise
            wrong = Finding(code=error.code, level="error", message=error.message, fix=error.fix)
            return sort_findings([*findings, *([wrong] if error.code == "NB305" else [])]), graph
        asked = asked_step(graph, dt, scale)
        return sort_findings([*read, *asked, *validate(stated, in_file=True)]), stated


def _mend(
    context: typer.Context,
    file: Path,
    graph: NIRGraph,
    findings: list[Finding],
    which: Transpose,
    dry_run: bool,
) -> tuple[list[Finding], NIRGraph]:
    """Repair the file in place; returns the findings that are left and the repaired graph."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import format_of
    from nirbridge.cli.provenance import Provenance
    from nirbridge.validate import repair, validate

    with about(file):
        provenance = Provenance("check", context.obj, {"fix": True, "transpose": which}, [file])
        graph = repair(graph, transpose=which)
        left = validate(graph, in_file=True)
        mended = [finding for finding in findings if finding not in left]
        if mended and not dry_run:
            format_of(file).write(file, graph)
            provenance.write(file, mended=[finding.as_dict() for finding in mended])
    return left, graph


def _show(console: Console, value: dict[str, Any]) -> None:
    show(console, value["mended"], mended=True)
    show(console, value["findings"])
    console.print(f"{value['file']}: {counted(value['findings']) or 'no findings'}", soft_wrap=True)
    for fit in value["targets"]:
        show(console, fit["findings"])
        failed = "does not run here" if fit["placement"] is None else "does not fit"
        console.print(
            f"{fit['target']}: {'fits' if fit['fits'] else failed}{tightest(fit)}",
            soft_wrap=True,
        )
        if fit.get("layers"):
            console.print(table(LAYERS, [layer_row(layer) for layer in fit["layers"]]))
    for part in value["readers"]:
        show(console, part["findings"])
        verdict = "takes it as it is" if not part["findings"] else "takes it, with a difference"
        verdict = verdict if part["takes"] else "computes another network"
        release = f" ({part['release']})" if part["release"] else ""
        console.print(f"{part['reader']}{release}: {verdict}", soft_wrap=True)
