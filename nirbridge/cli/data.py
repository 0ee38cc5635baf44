"""`nirbridge data`: describe, convert and make data sets."""

from __future__ import annotations

from enum import StrEnum
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Json, Quiet, Samples
from nirbridge.cli.output import Output, table

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.data import Dataset

INFO = "nirbridge.data-info/1"
SPIKES = "FILE.h5|.h5.gz|.npz|.nir"

app = typer.Typer(help="Describe, convert and make data sets.", rich_markup_mode=None)
make = typer.Typer(help="Make a data set by its rule.", rich_markup_mode=None)
app.add_typer(make, name="make")


class Split(StrEnum):
    """The published parts of a generated set."""

    train = "train"
    validation = "validation"
    test = "test"


Out = Annotated[
    Path, typer.Argument(metavar="OUT.h5|.h5.gz|.npz|.nir", help="The new file.", show_default=False)
]
Node = Annotated[
    str | None, typer.Option("--node", metavar="NODE", help="Of recorded spikes (.nir): this node's.")
]


@app.command()
def info(
    file: Annotated[Path, typer.Argument(metavar=SPIKES, help="Labelled spikes.", show_default=False)],
    node: Node = None,
    json: Json = False,
    quiet: Quiet = False,
) -> None:
    """Samples, classes, channels, spikes per sample, duration and groups of a data set."""
    from nirbridge.io.datasets import read_dataset

    value = described(file, read_dataset(file, node=node))
    Output(json, quiet).result(value, lambda console: _show(console, value))


@app.command()
def convert(
    context: typer.Context,
    source: Annotated[Path, typer.Argument(metavar=SPIKES, help="Labelled spikes.", show_default=False)],
    goal: Out,
    samples: Samples = None,
    node: Node = None,
    dt: Annotated[
        float | None, typer.Option("--dt", help="Into .nir: grids of steps of so many seconds, not events.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Write a data set in another format, or only its first samples."""
    from nirbridge.cli.convert_spikes import convert_spikes

    out = Output(json, quiet)
    convert_spikes(
        context, "data convert", source, goal, out, node=node, dt=dt, samples=samples, dry_run=dry_run
    )


@make.command("yin-yang")
def yin_yang(
    context: typer.Context,
    goal: Out,
    split: Annotated[Split, typer.Option("--split", help="Which published part.")] = Split.train,
    samples: Samples = None,
    t_min: Annotated[float, typer.Option("--t-min", help="Spike time of 0 [s].")] = 0.0,
    t_max: Annotated[float, typer.Option("--t-max", help="Spike time of 1 [s].")] = 0.03,
    duration: Annotated[float, typer.Option("--duration", help="Length of a sample [s].")] = 0.04,
    bias: Annotated[
        bool, typer.Option("--bias/--no-bias", help="A fifth channel that fires at t-min.")
    ] = True,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Make the Yin-Yang set as spike latencies: 5 channels, 3 classes."""
    from nirbridge.io.yin_yang import SEEDS, SIZES
    from nirbridge.io.yin_yang import yin_yang as generate

    name: Any = split.value
    count = samples if samples is not None else SIZES[name]
    dataset = generate(name, count, t_min_s=t_min, t_max_s=t_max, duration_s=duration, bias=bias)
    options = {
        "split": name,
        "samples": count,
        "t_min": t_min,
        "t_max": t_max,
        "duration": duration,
        "bias": bias,
    }
    out = Output(json, quiet)
    _write(context, "data make yin-yang", goal, dataset, options, [], out, dry_run, seed=SEEDS[name])


def described(file: Path, dataset: Dataset) -> dict[str, Any]:
    """The data set as plain values (schema ``nirbridge.data-info/1``)."""
    import numpy as np

    spikes = dataset.spikes
    counts = spikes.counts()
    per_class: dict[str, int] = {}
    if dataset.labels is not None:
        found = np.bincount(dataset.labels, minlength=len(dataset.classes))
        per_class = {f"{at} {name}": int(found[at]) for at, name in enumerate(dataset.classes)}
    groups = None
    if dataset.groups is not None:
        names, sizes = np.unique(dataset.groups, return_counts=True)
        groups = {str(name): int(size) for name, size in zip(names, sizes, strict=True)}
    return {
        "schema": INFO,
        "file": str(file),
        "n_samples": len(dataset),
        "classes": list(dataset.classes),
        "samples_per_class": per_class,
        "n_units": spikes.n_units,
        "active_units": len(np.unique(spikes.units)),
        "duration_s": spikes.duration,
        "last_spike_s": float(spikes.times.max(initial=0.0)),
        "spikes": len(spikes.times),
        "spikes_per_sample": {
            "mean": float(counts.mean()) if len(counts) else 0.0,
            "max": int(counts.max(initial=0)),
        },
        "graded": spikes.values is not None,
        "groups": groups,
    }


def _write(
    context: typer.Context,
    name: str,
    goal: Path,
    dataset: Dataset,
    options: dict[str, Any],
    inputs: list[Path],
    out: Output,
    dry_run: bool,
    *,
    seed: int | None = None,
) -> None:
    from nirbridge.cli.inputs import check_folder, rehearse
    from nirbridge.cli.provenance import Provenance
    from nirbridge.io.datasets import write_dataset

    value = {**described(goal, dataset), "wrote": [] if dry_run else [str(goal)]}
    check_folder(goal)
    if dry_run:
        rehearse(goal, lambda place: write_dataset(place, dataset))
    else:
        provenance = Provenance(name, context.obj, options, inputs, seed)
        write_dataset(goal, dataset)
        provenance.write(goal)
    verb = "would write" if dry_run else "wrote"
    spikes = len(dataset.spikes.times)
    line = f"{verb} {goal} ({len(dataset)} samples, {dataset.spikes.n_units} channels, {spikes:,} spikes)"
    out.result(value, lambda console: console.print(line, soft_wrap=True))


def _show(console: Console, value: dict[str, Any]) -> None:
    spikes = value["spikes_per_sample"]
    facts = [
        ("samples", f"{value['n_samples']:,}"),
        ("channels", f"{value['n_units']} ({value['active_units']} ever fire)"),
        ("duration", f"{value['duration_s']:g} s (last spike at {value['last_spike_s']:g} s)"),
        ("spikes", f"{value['spikes']:,}, per sample {spikes['mean']:,.1f} (max {spikes['max']:,})"),
        ("classes", str(len(value["classes"])) if value["classes"] else "no labels"),
    ]
    if value["groups"] is not None:
        shown = ", ".join(f"{name}: {size}" for name, size in value["groups"].items())
        facts.append(("groups", shown))
    if value["graded"]:
        facts.append(("values", "graded spikes"))
    console.print(table(("", ""), facts))
    if value["samples_per_class"]:
        console.print()
        rows = [(*name.split(" ", 1), size) for name, size in value["samples_per_class"].items()]
        console.print(table(("label", "class", "samples"), rows, right=("label", "samples")))
