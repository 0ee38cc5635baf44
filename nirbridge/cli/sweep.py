"""`nirbridge sweep`: a training repeated over values, seeds and left-out groups."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Json, Quiet
from nirbridge.cli.output import Output, printable, table

if TYPE_CHECKING:
    from rich.console import Console

    from nirbridge.evaluate.sweep import Trial

SCHEMA = "nirbridge.sweep/1"


def command(
    config: Annotated[
        Path, typer.Argument(metavar="CONFIG.toml", help="A training with [sweep].", show_default=False)
    ],
    output: Annotated[
        Path | None, typer.Option("--output", "-o", metavar="FILE.json", help="Also write the result here.")
    ] = None,
    jobs: Annotated[int, typer.Option("--jobs", "-j", min=1, help="Trainings at a time.")] = 1,
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Replace a value; repeat it.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Train over a grid of values, over seeds, and with each group of the data left out in turn.

    What to repeat stands in section [sweep] of the configuration: grid, seeds, leave_out.
    """
    from nirbridge import evaluate
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_folder
    from nirbridge.errors import BadInput
    from nirbridge.evaluate.sweep import sweep

    out = Output(json, quiet)
    if output is not None:
        check_folder(output)
    if not config.is_file():
        raise BadInput(
            f"{config}: no such file, expected a configuration", code="NB001", fix="check the name"
        )
    checked = evaluate.read_config(config, overrides=list(overrides or []))
    if dry_run:
        planned = {"schema": SCHEMA, "output": None, "config": checked.model_dump(mode="json")}
        out.result(planned, lambda console: console.print(f"{config} is valid"))
        return

    def tell(done: int, total: int, trial: Trial) -> None:
        out.note(f"{done}/{total}  {_name(trial.values, trial.seed, trial.left_out)}  {trial.accuracy:.3f}")

    with about(config):
        found = sweep(checked, config.parent, jobs=jobs, on_trial=tell)
    value = {"schema": SCHEMA, **found.as_dict(), "config": checked.model_dump(mode="json")}
    if output is not None:
        _write(output, value)
    out.result(value, lambda console: _show(console, value))


def _write(output: Path, value: dict[str, Any]) -> None:
    import json

    from nirbridge.io.atomic import atomic_path

    with atomic_path(output) as temporary:
        temporary.write_text(json.dumps(value, indent=2, ensure_ascii=False) + "\n", encoding="utf-8")


def _name(values: dict[str, Any], seed: int, left_out: int | None) -> str:
    parts = [*(f"{key}={value}" for key, value in values.items()), f"seed {seed}"]
    return printable(", ".join([*parts, *([] if left_out is None else [f"without group {left_out}"])]))


def _show(console: Console, value: dict[str, Any]) -> None:
    rows = [
        (
            printable(", ".join(f"{key}={v}" for key, v in trial["values"].items()) or "–"),
            str(trial["seed"]),
            "–" if trial["left_out"] is None else str(trial["left_out"]),
            f"{trial['correct']}/{trial['samples']}",
            f"{trial['accuracy']:.3f} ± {trial['accuracy_se']:.3f}",
            f"{trial['seconds']:.0f} s",
        )
        for trial in value["trials"]
    ]
    columns = ("values", "seed", "left out", "correct", "accuracy", "training")
    console.print(table(columns, rows, right=columns[1:]))
    console.print()
    for point in value["points"]:
        name = ", ".join(f"{key}={v}" for key, v in point["values"].items()) or "mean"
        spread = "" if point["deviation"] is None else f" ± {point['deviation']:.3f}"
        console.print(
            printable(f"{name}: {point['accuracy']:.3f}{spread} (mean ± sd of {point['trials']} trainings)")
        )
