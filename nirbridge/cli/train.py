"""`nirbridge train`: fit a graph as a configuration says, with a bar, a checkpoint and a run file."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from nirbridge.cli.options import DryRun, Json, Quiet
from nirbridge.cli.output import Output

if TYPE_CHECKING:
    from nirbridge.evaluate import Config
    from nirbridge.protocols import Format, TrainStats

SCHEMA = "nirbridge.train/1"


def command(
    context: typer.Context,
    config: Annotated[Path, typer.Argument(metavar="CONFIG.toml", help="A training.", show_default=False)],
    output: Annotated[Path, typer.Option("--output", "-o", metavar="NET.nir", help="The trained graph.")],
    overrides: Annotated[
        list[str] | None, typer.Option("--set", metavar="A.B=C", help="Replace a value; repeat it.")
    ] = None,
    trainer: Annotated[
        str | None, typer.Option("--trainer", metavar="NAME", help="Replaces the trainer's name.")
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on from the checkpoint.")] = False,
    seed: Annotated[
        int | None, typer.Option("--seed", help="Replaces the seed of the configuration.")
    ] = None,
    json: Json = False,
    quiet: Quiet = False,
    dry_run: DryRun = False,
) -> None:
    """Train a graph as a configuration says.

    Ctrl-C leaves a checkpoint that --resume goes on from.
    """
    from nirbridge import evaluate
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_folder, format_of
    from nirbridge.cli.provenance import Provenance, command_line
    from nirbridge.errors import BadInput
    from nirbridge.graph import digest
    from nirbridge.report.numbers import quantity

    out = Output(json, quiet)
    check_folder(output)
    writer = format_of(output)
    _check_format(output, writer)
    changes = list(overrides or [])
    if not config.is_file():
        raise BadInput(
            f"{config}: no such file, expected a configuration", code="NB001", fix="check the name"
        )
    checked = evaluate.read_config(config, overrides=changes, seed=seed, trainer=trainer)
    if dry_run:
        planned = {"schema": SCHEMA, "output": None, "config": checked.model_dump(mode="json")}
        out.result(planned, lambda console: console.print(f"{config} is valid; would write {output}"))
        return
    options = {"set": changes, "resume": resume, "trainer": trainer}
    provenance = Provenance("train", context.obj, options, [config, *_inputs(config, checked)])
    try:
        with about(config, *_named(config, checked)), _progress(out) as on_step:
            trained = evaluate.train(
                config,
                overrides=changes,
                seed=seed,
                trainer=trainer,
                out=output,
                resume=resume,
                on_step=on_step,
                on_memory=lambda n: out.note(f"training will need about {quantity(n, 'B')} of memory"),
            )
    except KeyboardInterrupt:
        if evaluate.checkpoint_of(output).is_file():
            again = [item for item in context.obj if item != "--resume"]
            out.note(f"checkpoint written; go on with: {command_line([*again, '--resume'])}")
        raise
    writer.write(output, trained.graph)
    digests = digest(trained.graph)
    size = quantity(output.stat().st_size, "B")
    provenance.write(
        output,
        seed=trained.config.run.seed,
        digest=digests,
        config=trained.config.model_dump(mode="json"),
        curve=trained.curve,
        train_seconds=trained.seconds,
    )
    evaluate.checkpoint_of(output).unlink(missing_ok=True)
    value = {
        "schema": SCHEMA,
        "output": str(output),
        "digest": digests,
        "seconds": trained.seconds,
        "curve": trained.curve,
    }
    line = f"wrote {output} ({len(trained.graph.nodes)} nodes, {size}, digest {digests[:6]}…)"
    out.result(value, lambda console: console.print(line, soft_wrap=True))


def _check_format(output: Path, writer: Format) -> None:
    """Refuse a format that cannot hold a network with float weights, before training one (NB711)."""
    import numpy as np

    from nirbridge.cli.inputs import rehearse
    from nirbridge.errors import NirbridgeError, UsageError
    from nirbridge.graph.stack import layered

    small = layered(inputs=2, hidden=[3], outputs=2, dt=1e-3, rng=np.random.default_rng(0))
    try:
        rehearse(output, lambda place: writer.write(place, small))
    except NirbridgeError as cause:
        raise UsageError(
            f"{output}: a {output.suffix} file cannot hold a network with float weights as training makes it",
            code="NB711",
            fix=f"train to {output.with_suffix('.nir')}, then use nirbridge convert",
        ) from cause


def _named(config: Path, checked: Config) -> list[Path]:
    """The names of files in the configuration, as errors may say them."""
    names = (checked.data.train, checked.data.valid, checked.graph.file)
    return [path for name in names if name is not None for path in (config.parent / name, Path(name))]


def _inputs(config: Path, checked: Config) -> list[Path]:
    """The files that the configuration names, as the training finds them."""
    places = iter(_named(config, checked))
    found = []
    for beside, here in zip(places, places, strict=True):
        found += [path for path in (beside, here) if path.is_file()][:1]
    return found


@contextmanager
def _progress(out: Output) -> Iterator[Callable[[TrainStats], None]]:
    """A bar with loss and accuracy on a terminal, else a line an epoch."""
    import sys

    if out.quiet or not sys.stderr.isatty():
        yield lambda stats: out.note(_line(stats)) if stats.epoch_done else None
        return
    from nirbridge.cli.progress import bar

    with bar() as progress:
        task: Any = progress.add_task("compiling kernels (first run only) …", total=None)

        def step(stats: TrainStats) -> None:
            progress.update(
                task,
                total=stats.epochs * stats.epoch_samples,
                completed=stats.epoch * stats.epoch_samples + (0 if stats.epoch_done else stats.samples),
                description=_line(stats),
            )

        yield step


def _line(stats: TrainStats) -> str:
    valid = "" if stats.valid_accuracy is None else f"  valid {stats.valid_accuracy:.3f}"
    return (
        f"epoch {stats.epoch}/{stats.epochs}  loss {stats.loss:.3f}  train {stats.accuracy:.3f}{valid}  "
        f"spikes/neuron {stats.spikes_per_neuron:.1f}  silent {100 * stats.silent:.0f} %"
    )
