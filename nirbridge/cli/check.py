"""`nirbridge check`: every broken rule of a graph at once, and whether it fits a target."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Dt, Graph, Json, Quiet, Samples, Unit
from nirbridge.cli.output import Output, printable, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.errors import Finding

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
    fix: Annotated[bool, typer.Option("--fix", help="Mend what can be mended, in the file itself.")] = False,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """List every broken rule of a graph, all at once.

    With --target and --data it shows where the target leaves the reference, layer by layer: "agree" is
    the share of spikes in common as the network runs, "alone" that of a layer fed with the reference's
    own spikes. The exit code is 3 where there are errors, 4 where the graph does not fit a target.
    """
    from nirbridge.cli.failure import filled_finding
    from nirbridge.cli.inputs import target_of
    from nirbridge.report.numbers import plural

    out = Output(json, quiet)
    chosen = [(spec, target_of(spec)) for spec in target or []]
    if data is not None and not chosen:
        from nirbridge.errors import UsageError

        raise UsageError("--data is given but no target", code="NB700", fix="name one with --target NAME")
    findings, graph = _findings(file, dt, unit)
    mended: list[Finding] = []
    if fix and graph is not None:
        left, graph = _mend(context, file, findings, dry_run)
        mended = [finding for finding in findings if finding not in left]
        findings = left
        verb = "would mend" if dry_run else "mended"
        out.note(
            f"{verb} {file}: {plural(len(mended), 'finding')}" if mended else f"nothing to mend in {file}"
        )
    broken = any(finding.level == "error" for finding in findings)
    fits = []
    if graph is not None and not broken:
        fits = [_fit(spec, item, graph, file) for spec, item in chosen]
        if data is not None:
            for fit, (spec, item) in zip(fits, chosen, strict=True):
                fit["layers"] = _layers(item, graph, file, data, samples, out, spec) if fit["fits"] else []
    value = {
        "schema": SCHEMA,
        "file": str(file),
        "valid": not broken,
        "findings": [filled_finding(finding, file).as_dict() for finding in findings],
        "mended": [finding.as_dict() for finding in mended],
        "targets": fits,
    }
    out.result(value, lambda console: _show(console, value))
    if broken:
        raise typer.Exit(3)
    if any(not fit["fits"] for fit in fits):
        raise typer.Exit(4)


def _findings(file: Path, dt: float | None, unit: str | None) -> tuple[list[Finding], NIRGraph | None]:
    """The graph and all findings about it; a file that is no graph at all raises."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_dt, lint_graph, time_unit
    from nirbridge.semantics import with_dt
    from nirbridge.validate import validate

    scale = time_unit(unit)
    check_dt(dt)
    with about(file):
        graph, findings = lint_graph(file)
        if graph is None or any(finding.level == "error" for finding in findings):
            return findings, graph
        if dt is not None or scale is not None:
            graph = with_dt(graph, dt, scale)
            findings = validate(graph, in_file=True)
        return findings, graph


def _fit(spec: str, target: Any, graph: NIRGraph, file: Path) -> dict[str, Any]:
    """Findings of one target on the graph that its own passes make, and its limits."""
    from nirbridge.cli.failure import about, filled_finding
    from nirbridge.errors import DoesNotFit, Finding, Unsupported
    from nirbridge.passes import Pipeline

    result: dict[str, Any] = {"target": spec, "fits": True, "findings": [], "placement": None}
    findings: list[Finding] = []
    try:
        with about(file):
            lowered = Pipeline(tuple(target.passes(graph)))(graph)
            findings = list(target.check(lowered))
            placement = target.compile(lowered).placement
            result["placement"] = placement.as_dict()
            result["fits"] = placement.fits
    except Unsupported as error:
        if isinstance(error, DoesNotFit) and error.placement is not None:
            result["placement"] = error.placement.as_dict()
        if not any(finding.level == "error" for finding in findings):
            message = error.message.removeprefix(f"{file}: ")
            extra = Finding(code=error.code, level="error", message=message, fix=error.fix)
            findings += [*([] if error.findings else [extra]), *error.findings]
        result["fits"] = False
    result["findings"] = [filled_finding(finding, file).as_dict() for finding in findings]
    return result


def _layers(
    target: Any, graph: NIRGraph, file: Path, data: Path, samples: int | None, out: Output, spec: str
) -> list[dict[str, Any]]:
    """Each layer of the graph that the target's passes make, against the reference on the same graph."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import data_of
    from nirbridge.evaluate import diagnose
    from nirbridge.passes import Pipeline

    lowered = Pipeline(tuple(target.passes(graph)))(graph)
    loaded = data_of(data, graph, samples)
    neurons = sum(hasattr(node, "r") for node in lowered.nodes.values())
    with about(file, data), out.progress(f"layers on {spec}", neurons) as progress:
        return [layer.as_dict() for layer in diagnose(lowered, target, loaded, progress=progress)]


def _mend(
    context: typer.Context, file: Path, findings: list[Finding], dry_run: bool
) -> tuple[list[Finding], NIRGraph]:
    """Repair the file in place; returns the findings that are left and the repaired graph."""
    from nirbridge.cli.failure import about
    from nirbridge.cli.provenance import Provenance
    from nirbridge.io import read_graph, write_graph
    from nirbridge.validate import validate

    with about(file):
        provenance = Provenance("check", context.obj, {"fix": True}, [file])
        graph = read_graph(file, repair=True)
        left = validate(graph, in_file=True)
        mended = [finding for finding in findings if finding not in left]
        if mended and not dry_run:
            write_graph(file, graph)
            provenance.write(file, mended=[finding.as_dict() for finding in mended])
    return left, graph


def _show(console: Console, value: dict[str, Any]) -> None:
    from nirbridge.report.numbers import plural

    if value["mended"]:
        _print_findings(console, value["mended"], mended=True)
    _print_findings(console, value["findings"])
    words = {"error": "error", "warning": "warning", "info": "note"}
    counts = [
        plural(sum(f["level"] == level for f in value["findings"]), word)
        for level, word in words.items()
        if any(f["level"] == level for f in value["findings"])
    ]
    console.print(f"{value['file']}: {', '.join(counts) or 'no findings'}", soft_wrap=True)
    for fit in value["targets"]:
        _print_findings(console, fit["findings"])
        console.print(
            f"{fit['target']}: {'fits' if fit['fits'] else 'does not run here'}{_tightest(fit)}",
            soft_wrap=True,
        )
        if fit.get("layers"):
            console.print(table(_LAYERS, [_layer_row(layer) for layer in fit["layers"]]))


def _layer_row(layer: dict[str, Any]) -> tuple[str, ...]:
    def number(value: float | None, form: str = "{:.2f}") -> str:
        return "–" if value is None else form.format(value)

    own = [f"{key.partition('_')[2].replace('_', ' ')} {n:g}" for key, n in layer["counts"].items()
           if "wraps" in key or "overflows" in key]  # fmt: skip
    alone = number(layer["alone"], "{:.2%}")
    if layer["v_error"] is not None:
        alone = f"V within {layer['v_error']:.1g}"
    first = layer["first"]
    return (
        layer["node"],
        number(layer["reference_rate"]),
        number(layer["rate"]),
        number(layer["agree"], "{:.2%}"),
        alone,
        ", ".join([f"saturated {layer['counts'].get('saturated', 0.0):g}", *own]),
        "–" if first is None else f"sample {first['sample']} step {first['step']} [{first['neuron']}]",
    )


_LAYERS = ("layer", "reference", "rate", "agree", "alone", "counts a sample", "first difference")


def _tightest(fit: dict[str, Any]) -> str:
    limits = [limit for limit in (fit["placement"] or {}).get("limits", []) if limit["headroom"] is not None]
    if not limits:
        return ""
    least = min(limits, key=lambda limit: float(limit["headroom"]))
    return (
        f"; tightest limit: {least['name']} ({least['where']}), {least['used']:g} of {least['limit']:g} "
        f"{least['unit']}, headroom {100 * least['headroom']:.0f} %"
    )


def _print_findings(console: Console, findings: list[dict[str, Any]], *, mended: bool = False) -> None:

    style = {"error": "bold red", "warning": "yellow", "info": "dim"}
    for finding in findings:
        where = f"node '{finding['node']}': " if finding["node"] else ""
        text = (
            finding["message"]
            if (finding["node"] or "") in finding["message"]
            else where + finding["message"]
        )
        level = "mended" if mended else finding["level"]
        console.print(f"{level}[{finding['code']}]", style=style.get(level, "green"), end=" ")
        console.print(printable(text), soft_wrap=True)
        if finding["fix"] and not mended:
            console.print(f"  fix: {printable(finding['fix'])}", soft_wrap=True)
