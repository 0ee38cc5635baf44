"""`nirbridge run`: a graph on one target, with accuracy, activity and cost."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import Batch, DryRun, Dt, Graph, Json, Quiet, Samples, TargetName, Unit
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from nir import NIRGraph
    from rich.console import Console

    from nirbridge.data import Dataset

SCHEMA = "nirbridge.run-result/1"


def command(
    context: typer.Context,
    file: Graph,
    target: TargetName,
    data: Annotated[
        Path | None,
        typer.Option("--data", "-d", metavar="FILE", help="Labelled spikes: .h5, .h5.gz, .npz or .nir."),
    ] = None,
    steps: Annotated[
        int | None,
        typer.Option("--steps", min=1, help="Instead of --data: one sample of so many steps without input."),
    ] = None,
    samples: Samples = None,
    record: Annotated[
        list[str] | None, typer.Option("--record", metavar="NODE", help="Keep this node's spikes; repeat it.")
    ] = None,
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="REC.nir", help="Write the recorded spikes.")
    ] = None,
    profile: Annotated[
        bool, typer.Option("--profile", help="Also show time, energy, activity and memory, term by term.")
    ] = False,
    batch: Batch = 64,
    dt: Dt = None,
    unit: Unit = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Run a graph on a target: accuracy, activity, cost."""
    from nirbridge import evaluate
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import data_of, graph_of, target_of
    from nirbridge.cli.provenance import Provenance

    out = Output(json, quiet)
    _check_source(data, steps)
    chosen = target_of(target)
    probes = list(record or [])
    if output is not None:
        _check_output(output, probes)
    options = {"target": target, "samples": samples, "steps": steps, "record": probes, "batch": batch,
               "dt": dt, "unit": unit}  # fmt: skip
    files = [file] if data is None else [file, data]
    provenance = Provenance("run", context.obj, options, files)
    graph = graph_of(out, file, dt, unit)
    if data is None:
        graph, loaded = _silent(graph, steps or 1)
    else:
        loaded = data_of(data, graph, samples)
    with about(*files), out.progress(f"running {target}", len(loaded)) as progress:
        result = evaluate.run(graph, chosen, loaded, record=probes, batch=batch, progress=progress)
    value = _value(file, data, target, result, len(loaded))
    if output is not None and not dry_run:
        from nirbridge.io import write_spikes

        write_spikes(output, dict(result.recording.spikes))
        provenance.write(output)
        out.note(f"wrote {output} ({', '.join(result.recording.spikes)})")
    out.result(value, lambda console: _show(console, value, profile=profile))


def _check_source(data: Path | None, steps: int | None) -> None:
    from nirbridge.errors import UsageError

    if (data is None) == (steps is None):
        found = "neither --data nor --steps is given" if data is None else "both --data and --steps are given"
        raise UsageError(
            found, code="NB700", fix="name the spikes with --data FILE, or run without input with --steps N"
        )


def _silent(graph: NIRGraph, steps: int) -> tuple[NIRGraph, Dataset]:
    """One sample of so many steps without a spike; the graph without the duration of its training."""
    from nirbridge.cli.inputs import input_size
    from nirbridge.data import Dataset
    from nirbridge.graph import read_metadata, write_metadata
    from nirbridge.semantics import semantics_of
    from nirbridge.spikes import Spikes

    duration = steps * semantics_of(graph).dt
    nothing = Spikes.from_events([], [], [], n_samples=1, n_units=input_size(graph) or 1, duration=duration)
    metadata = read_metadata(graph)
    if metadata is not None and metadata.training is not None:
        graph = write_metadata(graph, metadata.model_copy(update={"training": None}))
    return graph, Dataset(nothing, source=f"--steps {steps}")


def _check_output(output: Path, probes: list[str]) -> None:
    """Refuse, before the run, a recording that would hold nothing or cannot be written."""
    from nirbridge.cli.inputs import check_folder
    from nirbridge.errors import UsageError

    if not probes:
        raise UsageError(
            f"-o {output} is given but nothing is recorded", code="NB700", fix="name nodes with --record NODE"
        )
    for probe in probes:
        node, colon, _ = probe.rpartition(":")
        if colon:
            raise UsageError(
                f"--record {probe} is a trace, -o {output} keeps spikes only",
                code="NB700",
                fix=f"record the spikes with --record {node}, or leave -o out",
            )
    check_folder(output)
    if output.suffix.lower() != ".nir":
        what = f"'{output.suffix}' is not the ending of a recording" if output.suffix else "has no ending"
        raise UsageError(f"{output}: {what}, expected .nir", code="NB711", fix="rename the output")


def _value(file: Path, data: Path | None, target: str, result: Any, samples: int) -> dict[str, Any]:
    recording = result.recording
    sizes = {p.name: p.size for p in _populations(result.program.graph)}
    per_neuron = {
        node: float(counts["spikes"].mean()) / sizes[node]
        for node, counts in recording.counts.items()
        if "spikes" in counts and sizes.get(node) and len(counts["spikes"])
    }
    return {
        "schema": SCHEMA,
        "file": str(file),
        "data": None if data is None else str(data),
        "target": target,
        "n_samples": samples,
        "accuracy": result.accuracy,
        "accuracy_se": result.accuracy_se,
        "correct": result.correct,
        "cut_spikes": result.cut_spikes,
        "predictions": None if result.predictions is None else list(result.predictions),
        "spikes_per_neuron": per_neuron,
        "counts": {
            node: {key: int(values.sum()) for key, values in counts.items()}
            for node, counts in recording.counts.items()
        },
        "wall_s": recording.wall_s,
        "cost": result.cost.as_dict(),
        "placement": result.program.placement.as_dict(),
    }


def _populations(graph: Any) -> Any:
    from nirbridge.network import build

    network = build(graph)
    return [network.populations[at] for at in network.neurons]


def _show(console: Console, value: dict[str, Any], *, profile: bool) -> None:
    from nirbridge.report.numbers import interval, per_text, share, unknown

    cost = value["cost"]
    facts: list[tuple[str, str]] = [("target", value["target"]), ("samples", str(value["n_samples"]))]
    if value["accuracy"] is not None:
        error = f" ± {share(value['accuracy_se'])}" if value["accuracy_se"] is not None else ""
        facts.append(("accuracy", f"{share(value['accuracy'])}{error} ({value['correct']} correct)"))
    else:
        facts.append(("accuracy", "no labels"))
    for node, spikes in value["spikes_per_neuron"].items():
        facts.append(("spikes per neuron", f"{node} {spikes:.2f} per sample"))
    if value["cut_spikes"]:
        facts.append(("cut off", f"{value['cut_spikes']} input spikes beyond the duration"))
    for name in ("energy", "latency"):
        total = cost[name]
        if total is None:
            facts.append((name, unknown(cost, name)))
            continue
        scope = f", {cost['scope']}" if name == "energy" else ""
        extrapolated = ", extrapolated" if cost["extrapolated"] else ""
        facts.append(
            (
                name,
                f"{interval(total)} per {per_text(total['per'], cost['batch'])}{scope}; "
                f"{total['basis']}: {total['source']}{extrapolated}",
            )
        )
    if cost["bands"]:
        errors = ", ".join(f"{band['quantity']} ±{band['error_pct']:g} %" for band in cost["bands"])
        facts.append(("bands", f"{errors}; {cost['bands'][0]['basis']}: {cost['bands'][0]['source']}"))
    if cost["static_share"] is not None and cost["static_share"] > 0.5:
        facts.append(("static share", f"{100 * cost['static_share']:.0f} %: time and idle policy decide"))
    for late in cost["overruns"]:
        facts.append(("OVERRUN", late))
    for note in cost["notes"]:
        facts.append(("note", note))
    console.print(table(("", ""), facts))
    if profile:
        _profile(console, value)


def _profile(console: Console, value: dict[str, Any]) -> None:
    from nirbridge.report.profile import views

    samples = max(value["n_samples"], 1)
    counts = {
        node: {key: total / samples for key, total in keys.items()} for node, keys in value["counts"].items()
    }
    for title, columns, rows in views(value["cost"], counts, value["placement"]):
        console.print()
        console.print(title, style="bold")
        console.print(table(columns, rows, right=[name for name in columns if name not in _LEFT]))


_LEFT = ("term", "node", "basis", "source", "published row", "of", "unit", "role")
