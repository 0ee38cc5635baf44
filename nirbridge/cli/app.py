"""The program `nirbridge`: its commands, and how every failure becomes a message and an exit code."""

from __future__ import annotations

import sys
from collections.abc import Sequence
from typing import Annotated

import typer

from nirbridge.cli import (
    check,
    compare,
    convert,
    data,
    demo,
    diff,
    digest,
    doctor,
    inspect,
    map,
    plugins,
    report,
    rules,
    run,
    sweep,
    train,
)
from nirbridge.cli.failure import drop_stdout, exit_code_of

app = typer.Typer(
    name="nirbridge",
    help="Train a spiking network, keep it as a NIR graph, run the same file on every target.",
    add_completion=False,
    pretty_exceptions_enable=False,
    rich_markup_mode=None,
)
for command in (demo, train, sweep, inspect, check, rules, digest, diff, convert, map, run, compare, report):
    app.command(name=command.__name__.rpartition(".")[2])(command.command)
app.add_typer(data.app, name="data")
app.command(name="plugins")(plugins.command)
app.command(name="doctor")(doctor.command)


def _version(asked: bool) -> None:
    if asked:
        from nirbridge import __version__

        print(f"nirbridge {__version__}")
        raise typer.Exit


@app.callback()
def common(
    version: Annotated[
        bool, typer.Option("--version", help="Print the version and stop.", callback=_version, is_eager=True)
    ] = False,
) -> None:
    """Train a spiking network, keep it as a NIR graph, run the same file on every target."""


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command and return its exit code (ARCHITECTURE: 0, 1, 2, 3, 4, 5 or 130)."""
    given = list(sys.argv[1:] if arguments is None else arguments) or ["--help"]
    for stream in (sys.stdout, sys.stderr):
        if hasattr(stream, "reconfigure"):
            stream.reconfigure(errors="replace")
    program = typer.main.get_command(app)
    code = 0
    try:
        with program.make_context("nirbridge", given, obj=given) as context:
            program.invoke(context)
    except (Exception, KeyboardInterrupt) as error:
        code = exit_code_of(error)
    return code or _flushed()


def _flushed() -> int:
    """Nothing may be left to write once the exit code is said."""
    try:
        if sys.stdout is not None:
            sys.stdout.flush()
    except OSError as error:
        code = exit_code_of(error)
        drop_stdout()
        return code
    return 0
