"""Read what a command is given: a graph with its dt, a target, a data set that fits the graph."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import TYPE_CHECKING

from nirbridge import plugins
from nirbridge.cli.failure import about
from nirbridge.errors import BadInput, UsageError, raise_on_errors

if TYPE_CHECKING:
    from nir import NIRGraph

    from nirbridge.data import Dataset
    from nirbridge.protocols import Format, Target

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


@contextmanager
def graph_of(path: Path, dt: float | None = None, unit: str | None = None) -> Iterator[NIRGraph]:
    """The valid graph in a file, with the dt [s] and unit that the user stated.

    Raises `BadInput` with every error that `validate` finds. Errors raised inside
    the block that do not name a file are about this one.
    """
    from nirbridge.semantics import with_dt
    from nirbridge.validate import validate

    scale = time_unit(unit)
    if dt is not None and not dt > 0:
        raise UsageError(
            f"--dt is {dt:g} s, expected a positive number of seconds", code="NB701", fix="state --dt SECONDS"
        )
    with about(path):
        graph = with_dt(read_graph(path), dt, scale)
        raise_on_errors(validate(graph), str(path))
        yield graph


def read_graph(path: Path) -> NIRGraph:
    """Read a graph by its file ending, through the installed formats."""
    found = format_of(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{path}: {what}, expected a graph", code="NB001", fix="check the name")
    return found.read(path)


def format_of(path: Path) -> Format:
    """The format plugin for a file ending; raises `UsageError` (NB711) with the known endings."""
    known = sorted({plugin.name for plugin in plugins.available("formats")}, key=len, reverse=True)
    for ending in known:
        if path.name.lower().endswith(ending):
            loaded: Format = plugins.load("formats", ending)()
            return loaded
    raise UsageError(
        f"{path}: {path.suffix or 'no ending'} is no ending of a graph, expected {', '.join(sorted(known))}",
        code="NB711",
        fix="rename the file, or install a package that offers the format (nirbridge plugins)",
    )


def check_folder(output: Path) -> None:
    """Refuse an output whose folder does not exist before the work, not after it (NB710)."""
    if not output.parent.is_dir():
        raise UsageError(
            f"{output}: no folder {output.parent}", code="NB710", fix="create it, or name another"
        )


def time_unit(unit: str | None) -> float | None:
    """Seconds per unit of time, or None; raises `UsageError` (NB701) for an unknown one."""
    if unit is None:
        return None
    if unit not in UNITS:
        raise UsageError(
            f"--unit is '{unit}', expected one of {', '.join(UNITS)}",
            code="NB701",
            fix="state the unit of the file's tau and delays",
        )
    return UNITS[unit]


def target_of(spec: str) -> Target:
    """The target that a text names, with its options."""
    target: Target = plugins.parse("targets", spec)
    return target


def targets_of(listed: str | None, single: list[str]) -> list[tuple[str, Target]]:
    """Targets from ``--targets A,B`` and repeated ``--target A:opt=val``, in this order, each once."""
    specs = [part.strip() for part in (listed or "").split(",") if part.strip()]
    for spec in specs:
        if "=" in spec and ":" not in spec:
            raise UsageError(
                f"--targets: '{spec}' is no target", code="NB701", fix="give options as --target NAME:opt=val"
            )
    specs = list(dict.fromkeys([*specs, *single]))
    return [(spec, target_of(spec)) for spec in specs]


def data_of(path: Path, graph: NIRGraph, samples: int | None) -> Dataset:
    """The first samples of a data set, with as many channels as the graph has inputs."""
    from nirbridge.io.datasets import read_dataset

    return read_dataset(path, n_units=input_size(graph)).head(samples)


def input_size(graph: NIRGraph) -> int | None:
    """Number of input channels of a graph, or None where it has not exactly one Input."""
    import nir
    import numpy as np

    shapes = [node.input_type["input"] for node in graph.nodes.values() if isinstance(node, nir.Input)]
    return int(np.prod(shapes[0])) if len(shapes) == 1 else None
