"""The result on stdout, as text or as one JSON object; progress and warnings on stderr."""

from __future__ import annotations

import json
import math
import sys
from collections.abc import Callable, Iterable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirbridge.errors import UsageError

if TYPE_CHECKING:
    from rich.console import Console
    from rich.table import Table

    from nirbridge.errors import Finding

WIDE = 1000  # columns of a table that goes to a file or a pipe


@dataclass(frozen=True)
class Output:
    """Where a command prints. ``json``: one object instead of text; ``quiet``: no progress, no notes."""

    json: bool = False
    quiet: bool = False

    def result(self, value: dict[str, Any], show: Callable[[Console], None]) -> None:
        """Print the result: ``value`` (with a ``schema`` key) under --json, else what ``show`` prints."""
        if sys.stdout is None:
            raise _no_stdout("it is closed")
        if self.json:
            text = json.dumps(plain(value), ensure_ascii=False, allow_nan=False)
        else:
            screen = console()
            with screen.capture() as captured:
                show(screen)
            text = "\n".join(line.rstrip() for line in captured.get().rstrip().splitlines())
        try:
            sys.stdout.write(text + "\n")
            sys.stdout.flush()
        except BrokenPipeError:
            raise
        except OSError as cause:
            from nirbridge.cli.failure import drop_stdout

            drop_stdout()
            raise _no_stdout(cause.strerror or str(cause)) from cause

    def note(self, text: str) -> None:
        """A line about what was done, on stderr; --quiet drops it."""
        if not self.quiet:
            print(printable(text), file=sys.stderr)

    def warn(self, finding: Finding, file: Path) -> None:
        """A warning about a file, one line on stderr; --quiet drops it."""
        fix = "" if finding.fix is None else f"; fix: {finding.fix}"
        self.note(f"{finding.level}[{finding.code}] {file}: {finding.message}{fix}")

    @contextmanager
    def progress(self, what: str, total: int | None) -> Iterator[Callable[[int], None]]:
        """A bar on stderr with rate and time left, where stderr is a terminal.

        Yields a function that takes the number of samples done.
        """
        if self.quiet or not sys.stderr.isatty():
            yield lambda done: None
            return
        from nirbridge.cli.progress import bar

        with bar() as progress:
            task = progress.add_task(what, total=total)
            yield lambda done: progress.update(task, completed=done)


def _no_stdout(why: str) -> UsageError:
    return UsageError(
        f"standard output: cannot write the result ({why})",
        code="NB710",
        fix="free some space, or send the output elsewhere",
    )


def console() -> Console:
    """stdout through rich: no colour without a terminal or with NO_COLOR, no wrapping in a pipe."""
    from rich.console import Console

    return Console(
        file=sys.stdout,
        width=None if sys.stdout.isatty() else WIDE,
        highlight=False,
        markup=False,
        emoji=False,
    )


def table(columns: Sequence[str], rows: Iterable[Sequence[object]], *, right: Sequence[str] = ()) -> Table:
    """A plain table; the columns named in ``right`` are aligned to the right."""
    from rich.table import Table
    from rich.text import Text

    result = Table(
        box=None, pad_edge=False, header_style="bold", padding=(0, 2, 0, 0), show_header=any(columns)
    )
    for name in columns:
        result.add_column(name, justify="right" if name in right else "left", overflow="fold")
    for row in rows:
        result.add_row(*(Text(printable(str(cell))) for cell in row))
    return result


def printable(text: str) -> str:
    """The text without control characters: names from a file must not steer the terminal."""
    from nirbridge.report.text import printable as safe  # its package is heavy, `--help` does without

    return safe(text)


def plain(value: Any) -> Any:
    """The value as JSON can hold it: numpy becomes lists and numbers, a number that is not finite null."""
    if isinstance(value, dict):
        return {str(key): plain(item) for key, item in value.items()}
    if isinstance(value, list | tuple | set | frozenset):
        return [plain(item) for item in value]
    if isinstance(value, bool | int | str) or value is None:
        return value
    if isinstance(value, float):
        return value if math.isfinite(value) else None
    if isinstance(value, Path):
        return str(value)
    if hasattr(value, "tolist"):
        return plain(value.tolist())
    if isinstance(value, bytes):
        return value.decode("utf-8", errors="replace")
    return str(value)
