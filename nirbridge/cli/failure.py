"""What a user sees when a command fails: the message on stderr, and the exit code."""

from __future__ import annotations

import errno
import os
import shlex
import sys
import tempfile
import traceback
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import replace
from pathlib import Path

import typer

from nirbridge.cli.output import printable
from nirbridge.errors import Finding, NirbridgeError, UsageError

GOAL = Path("out.nir")  # what a next step calls the file that it makes
NO_WRITE = (errno.ENOSPC, errno.EDQUOT, errno.EBADF, errno.EIO, errno.EFBIG)
BUG, USAGE, BAD_INPUT, INTERRUPTED = 1, 2, 3, 130


@contextmanager
def about(path: Path, *others: Path, goal: Path = GOAL) -> Iterator[None]:
    """Errors that leave this block name the file that they are about.

    That is ``path``, unless the message starts with one of the ``others``; an error of the command
    line is about no file. A next step that converts names ``path`` and ``goal``.
    """
    try:
        yield
    except NirbridgeError as error:
        error.fix = filled(error.fix, path, goal)
        error.findings = tuple(filled_finding(finding, path, goal) for finding in error.findings)
        named = path.name in error.message or error.message.startswith(tuple(f"{p}: " for p in others))
        if not named and not isinstance(error, UsageError):
            error.message = f"{path}: {error.message}"
        raise


def filled(fix: str | None, path: Path, goal: Path = GOAL) -> str | None:
    """The next step with the file names that only the command line knows."""
    if fix is None:
        return None
    source = shlex.quote(str(path))
    converted = fix.replace("convert IN OUT", f"convert {source} {shlex.quote(str(goal))}")
    return converted.replace("check FILE", f"check {source}")


def filled_finding(finding: Finding, path: Path, goal: Path = GOAL) -> Finding:
    """The finding with the file names in its next step."""
    return replace(finding, fix=filled(finding.fix, path, goal))


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
        drop_stdout()
        return 0
    if isinstance(error, OSError) and error.filename is not None:
        _say(f"error[NB001] {error.filename}: {error.strerror}\n  fix: check the name and the permissions")
        return BAD_INPUT
    if isinstance(error, OSError) and error.errno in NO_WRITE:
        _say(f"error[NB710] cannot write: {error.strerror}\n  fix: free some space, or write elsewhere")
        return USAGE
    return _bug(error)


def drop_stdout() -> None:
    """Send what is still buffered for stdout nowhere, so that Python does not try again at its end."""
    with suppress(OSError, ValueError):
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


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
