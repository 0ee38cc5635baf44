"""What a user sees when a command fails: the message on stderr, and the exit code."""

from __future__ import annotations

import os
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

import typer

from nirbridge.cli.output import printable
from nirbridge.errors import NirbridgeError

BUG, USAGE, BAD_INPUT, INTERRUPTED = 1, 2, 3, 130


@contextmanager
def about(path: Path) -> Iterator[None]:
    """Errors that leave this block name the file that they are about."""
    try:
        yield
    except NirbridgeError as error:
        if path.name not in error.message:
            error.message = f"{path}: {error.message}"
        raise


def exit_code_of(error: BaseException) -> int:
    """Print what went wrong to stderr, and return the exit code for it."""
    if isinstance(error, typer.Exit):
        return int(error.exit_code)
    if isinstance(error, KeyboardInterrupt | typer.Abort):
        _say("interrupted")
        return INTERRUPTED
    if isinstance(error, NirbridgeError):
        _say(str(error))
        return error.exit_code
    if hasattr(error, "format_message") and hasattr(error, "exit_code"):
        return _usage(error)
    if isinstance(error, BrokenPipeError):
        # The reader of our output has seen enough, as in `nirbridge inspect FILE | head`.
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())
        return 0
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"error[NB001] {error.filename}: {error.strerror}\n  fix: check the name and the permissions")
        return BAD_INPUT
    return _bug(error)


def _usage(error: BaseException) -> int:
    """A wrong option or argument, as the option parser describes it."""
    message = str(error.format_message()).strip().replace("\n", " ")  # type: ignore[attr-defined]
    context = getattr(error, "ctx", None)
    command = context.command_path if context is not None else "nirbridge"
    message = message[:1].lower() + message[1:].removesuffix(".")
    _say(f"error[NB700] {message}\n  fix: see {command} --help")
    return USAGE


def _bug(error: BaseException) -> int:
    handle, name = tempfile.mkstemp(prefix="nirbridge-error-", suffix=".txt")
    with os.fdopen(handle, "w", encoding="utf-8", errors="replace") as file:
        file.write(f"{' '.join(sys.argv)}\n\n")
        file.writelines(traceback.format_exception(error))
    first = (str(error).splitlines() or [""])[0]
    _say(
        f"error[NB000] a bug in nirbridge or in a plugin: {type(error).__name__}: {first}\n"
        f"  fix: report it with the traceback in {name}"
    )
    return BUG


def _say(text: str) -> None:
    red = sys.stderr.isatty() and not os.environ.get("NO_COLOR")
    for line in printable(text).splitlines():
        head, bracket, rest = line.partition("]")
        if red and bracket and head.startswith(("error[", "warning[")):
            line = f"\x1b[1;31m{head}]\x1b[0m{rest}"
        print(line, file=sys.stderr)
