"""Options and arguments that several commands share, declared once."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

Json = Annotated[bool, typer.Option("--json", help="Print one JSON object.")]
Quiet = Annotated[bool, typer.Option("--quiet", "-q", help="No progress, no notes.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Do everything except writing files.")]
Dt = Annotated[float | None, typer.Option("--dt", help="Seconds per time step.")]
Unit = Annotated[str | None, typer.Option("--unit", help="Unit of the file's tau and delays: s, ms or us.")]
Graph = Annotated[Path, typer.Argument(metavar="NET.nir", help="A NIR graph.", show_default=False)]
TargetName = Annotated[
    str, typer.Option("--target", "-t", metavar="NAME[:OPT=VAL,..]", help="A target with its options.")
]
Data = Annotated[
    Path, typer.Option("--data", "-d", metavar="FILE", help="Labelled spikes: .h5, .h5.gz, .npz or .nir.")
]
Samples = Annotated[int | None, typer.Option("-n", "--samples", min=1, help="Only the first N samples.")]
Batch = Annotated[int, typer.Option("--batch", min=1, help="Samples per batch; results do not depend on it.")]
