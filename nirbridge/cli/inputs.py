"""Read what a command is given: a graph with its dt, a target, a data set that fits the graph."""

from __future__ import annotations

import math
import re
import warnings
from collections.abc import Callable
from pathlib import Path
from tempfile import TemporaryDirectory
from typing import TYPE_CHECKING

from nirbridge import plugins
from nirbridge.cli.failure import about, filled_finding
from nirbridge.errors import BadInput, Finding, FindingWarning, NirbridgeError, UsageError, raise_on_errors

if TYPE_CHECKING:
    from nir import NIRGraph

    from nirbridge.cli.output import Output
    from nirbridge.data import Dataset
    from nirbridge.protocols import Format, Target

UNITS = {"s": 1.0, "ms": 1e-3, "us": 1e-6, "µs": 1e-6}


def graph_of(
    out: Output, path: Path, dt: float | None = None, unit: str | None = None, *, force: bool = False
) -> NIRGraph:
    """The valid graph in a file, with the dt [s] and unit that the user stated; warnings are printed.

    Raises `BadInput` with every error that `validate` finds; with ``force`` they are printed as warnings.
    """
    return _valid(out, path, dt, unit, lambda: read_noting(path), force)


def mended_graph_of(
    out: Output, path: Path, dt: float | None = None, unit: str | None = None, *, force: bool = False
) -> tuple[NIRGraph, list[Finding]]:
    """As `graph_of`, after every repair that is unique; the findings that the repairs took away."""
    from nirbridge.validate import repair, validate

    with about(path):
        found, before = lint_graph(path)
        graph = read_graph(path) if found is None else found  # reading says what no graph can be made of
    mended = repair(graph)
    left = validate(mended, in_file=True)
    gone = [finding for finding in before if finding not in left]
    for finding in gone:
        out.note(f"mended[{finding.code}] {path}: {finding.message}")
    return _valid(out, path, dt, unit, lambda: (mended, []), force), gone


def _valid(
    out: Output,
    path: Path,
    dt: float | None,
    unit: str | None,
    read: Callable[[], tuple[NIRGraph, list[Finding]]],
    force: bool,
) -> NIRGraph:
    from nirbridge.semantics import with_dt
    from nirbridge.validate import validate
    from nirbridge.validate.timing import asked_step

    scale = time_unit(unit)
    check_dt(dt)
    with about(path):
        found, noted = read()
        graph = with_dt(found, dt, scale)
        findings = [*noted, *asked_step(found, dt, scale), *validate(graph)]
        if not force:
            raise_on_errors(findings, str(path))
    for finding in findings:
        if finding.level in ("warning", "error"):
            out.warn(filled_finding(finding, path), path)
    return graph


def check_dt(dt: float | None) -> None:
    """Refuse a step that is no positive number of seconds (NB701)."""
    if dt is not None and not (dt > 0 and math.isfinite(dt)):
        raise UsageError(
            f"--dt is {dt:g} s, expected a positive number of seconds", code="NB701", fix="state --dt SECONDS"
        )


def read_graph(path: Path) -> NIRGraph:
    """Read a graph by its file ending, through the installed formats."""
    if path.is_dir():
        raise BadInput(f"{path}: is a folder, expected a graph", code="NB001", fix="name a file in it")
    found = format_of(path)
    if not path.is_file():
        raise BadInput(f"{path}: no such file, expected a graph", code="NB001", fix="check the name")
    return found.read(path)


def read_noting(path: Path) -> tuple[NIRGraph, list[Finding]]:
    """As `read_graph`, with what the format warned of."""
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FindingWarning)
        graph = read_graph(path)
    return graph, [w.message.finding for w in caught if isinstance(w.message, FindingWarning)]


def write_noting(
    writer: Format, goal: Path, graph: NIRGraph, *, dry_run: bool = False
) -> tuple[str | None, list[Finding]]:
    """Write a graph, or only rehearse it: what the format says of the file, and what it warned of."""
    said: list[str | None] = []
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always", FindingWarning)
        if dry_run:
            rehearse(goal, lambda place: said.append(writer.write(place, graph)))
        else:
            said.append(writer.write(goal, graph))
    return said[0], [w.message.finding for w in caught if isinstance(w.message, FindingWarning)]


def lint_graph(path: Path, *, partial: bool = False) -> tuple[NIRGraph | None, list[Finding]]:
    """The graph in a file and all findings about it; None where no graph can be made of it.

    With ``partial`` the graph holds what could be made.
    """
    from nirbridge.io import lint_file
    from nirbridge.validate import validate

    if path.suffix.lower() == ".nir" and not path.is_dir():
        return lint_file(path, partial=partial)
    graph, noted = read_noting(path)
    return graph, [*noted, *validate(graph)]


def file_of(text: Path) -> tuple[Path, Format]:
    """A graph's file and its format with the options that may stand behind the name.

    ``net.onnx:states=true`` is the file ``net.onnx``, whose format has the option ``states``. Raises
    `UsageError` as `format_of` does, and (NB701) for an option that the format does not have.
    """
    endings = {plugin.name for plugin in plugins.available("formats")}
    found = re.fullmatch(r"(.+?\.\w+):([A-Za-z][\w-]*=.*)", str(text))
    if found is None or not found[1].lower().endswith(tuple(endings)):
        return text, format_of(text)
    return Path(found[1]), format_of(Path(found[1]), found[2])


def format_of(path: Path, options: str = "") -> Format:
    """The format plugin for a file ending; raises `UsageError` (NB711) with the known endings."""
    known = sorted({plugin.name for plugin in plugins.available("formats")}, key=len, reverse=True)
    for ending in known:
        if path.name.lower().endswith(ending):
            spec = f"{ending}:{options}"
            loaded: Format = plugins.parse("formats", spec) if options else plugins.load("formats", ending)()
            return loaded
    what = f"'{path.suffix}' is not the ending of a graph" if path.suffix else "has no ending"
    raise UsageError(
        f"{path}: {what}, expected {' or '.join(sorted(known))}",
        code="NB711",
        fix="rename the file, or install a package that offers the format (nirbridge plugins)",
    )


def check_folder(output: Path) -> None:
    """Refuse an output that cannot be written before the work, not after it (NB710)."""
    if output.is_dir():
        raise UsageError(
            f"{output}: is a folder, expected a file name", code="NB710", fix="name a file in it"
        )
    if not output.parent.is_dir():
        raise UsageError(
            f"{output}: no folder {output.parent}", code="NB710", fix="create it, or name another"
        )


def check_new_folder(folder: Path) -> None:
    """Refuse a folder that cannot be made, because a file is in its way (NB710)."""
    for place in (folder, *folder.parents):
        if place.is_dir():
            return
        if place.exists():
            raise UsageError(
                f"{folder}: {place} is a file, expected a folder", code="NB710", fix="name another folder"
            )


def rehearse(output: Path, write: Callable[[Path], object]) -> None:
    """Write what --dry-run must not leave behind, so that it meets the same errors."""
    with TemporaryDirectory() as folder:
        place = Path(folder) / output.name
        try:
            write(place)
        except NirbridgeError as error:
            error.message = error.message.replace(str(place), str(output))
            raise


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
    """The first samples of a data set, with as many channels as the graph has inputs.

    Images become spikes as the graph says.
    """
    from nirbridge.io.datasets import read_dataset
    from nirbridge.io.images import encoded, holds_images, image_code

    with about(path):
        if holds_images(path) and image_code(graph) is not None:
            return encoded(path, graph, samples)
        return read_dataset(path, n_units=input_size(graph)).head(samples)


def input_size(graph: NIRGraph) -> int | None:
    """Number of input channels of a graph, or None where it has not exactly one Input."""
    import nir
    import numpy as np

    shapes = [node.input_type["input"] for node in graph.nodes.values() if isinstance(node, nir.Input)]
    return int(np.prod(shapes[0])) if len(shapes) == 1 else None
