"""Progress bars on stderr; imported only where there is a terminal to draw on."""

from __future__ import annotations

import sys

from rich.console import Console
from rich.progress import BarColumn, MofNCompleteColumn, Progress, ProgressColumn, Task, TextColumn
from rich.progress import TimeRemainingColumn as TimeLeft
from rich.text import Text


class Rate(ProgressColumn):
    """Samples per second, or milliseconds per sample where that reads better."""

    def render(self, task: Task) -> Text:
        speed = task.finished_speed or task.speed
        if not speed:
            return Text("")
        return Text(f"{speed:.0f}/s" if speed >= 10 else f"{1000 / speed:.0f} ms/sample")


def bar() -> Progress:
    """A bar that vanishes when it is done."""
    return Progress(
        TextColumn("{task.description}", markup=False),
        BarColumn(bar_width=30),
        MofNCompleteColumn(),
        Rate(),
        TimeLeft(),
        TextColumn("left"),
        console=Console(file=sys.stderr),
        transient=True,
    )
