"""Cores of a placement drawn with characters: memory as fill, and load where the target states it."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import printable
from nirbridge.report.numbers import plural
from nirbridge.report.placed import clusters, loads

if TYPE_CHECKING:
    from rich.console import Console
    from rich.text import Text

ROW = 16  # cores in a row of the grid
CLUSTERS = 8  # clusters in a row, 9 characters each
FILL = " ▁▂▃▄▅▆▇█"
COLOURS = ("cyan", "magenta", "yellow", "green", "blue", "red", "white")


def draw_cores(console: Console, value: dict[str, Any]) -> None:
    """A cell a core (``value``: `Placement.as_dict`), then a line a node with cores, neurons and fill.

    Where cores come in quads each quad is a block of 2×2 cells, unused ones dotted: the left half of a
    cell is memory, the right half load.
    """
    from rich.text import Text

    cores = value["cores"]
    nodes = list(dict.fromkeys(core["node"] for core in cores))
    colour = {node: COLOURS[at % len(COLOURS)] for at, node in enumerate(nodes)}
    quads = clusters(value)
    if quads:
        _quads(console, quads, colour)
    else:
        _rows(console, cores, colour)
    for node in nodes:
        mine = [core for core in cores if core["node"] == node]
        neurons = sum(core["neurons"] for core in mine)
        fullest = max(core["memory"] for core in mine)
        held = f"{plural(neurons, 'neuron')}, " if neurons else ""
        label = f"{len(mine)} × {printable(node)}: {held}memory up to {100 * fullest:.0f} %"
        found = loads(mine)
        if found:
            label += f", load up to {100 * max(found):.1f} % of a tick"
        console.print(Text("        ■ ", style=colour[node]).append(label, style="default"))


def _rows(console: Console, cores: Sequence[dict[str, Any]], colour: dict[str, str]) -> None:
    from rich.text import Text

    for start in range(0, len(cores), ROW):
        line = Text(f"{cores[start]['index']:>6}  ")
        for core in cores[start : start + ROW]:
            line.append(_glyph(core["memory"]) * 2 + " ", style=colour[core["node"]])
        console.print(line)


def _quads(
    console: Console, quads: Sequence[Sequence[dict[str, Any] | None]], colour: dict[str, str]
) -> None:
    """Four lines a row of quads: PEs 0 and 1, PEs 2 and 3, mean memory and load in percent."""
    from rich.text import Text

    for start in range(0, len(quads), CLUSTERS):
        block = quads[start : start + CLUSTERS]
        for half in (0, 2):
            line = Text(f"{start:>6}  " if half == 0 else " " * 8)
            for quad in block:
                for core in quad[half : half + 2]:
                    line.append_text(_cell(core, colour)).append(" ")
                line.append("   ")
            console.print(line)
        line = Text(" " * 8)
        for quad in block:
            line.append(f"{_shares(quad):<9}", style="dim")
        console.print(line)
    text = "        a quad-PE a block: memory left, load right; below, both in % of four PEs"
    console.print(Text(text, style="dim"))


def _cell(core: dict[str, Any] | None, colour: dict[str, str]) -> Text:
    from rich.text import Text

    if core is None:
        return Text("··", style="dim")
    return Text(_glyph(core["memory"]) + _glyph(core["detail"].get("load", 0.0)), style=colour[core["node"]])


def _shares(quad: Sequence[dict[str, Any] | None]) -> str:
    used = [core for core in quad if core is not None]
    if not used:
        return ""
    memory = sum(core["memory"] for core in used) / len(quad)
    return f"{100 * memory:.0f}/{100 * sum(loads(used)) / len(quad):.1f}"


def _glyph(share: float) -> str:
    level = min(max(round(share * (len(FILL) - 1)), 1), len(FILL) - 1)
    return FILL[level]
