"""`nirbridge convert` and `nirbridge data convert` on spikes: recordings and data sets, either way."""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import TYPE_CHECKING, Any

from nirbridge.cli.output import Output

if TYPE_CHECKING:
    import typer

    from nirbridge.data import Dataset

DATA = (".h5", ".h5.gz", ".npz")
RECORDING = ".nir"


def holds_spikes(source: Path, goal: Path) -> bool:
    """Whether a conversion is one of spikes: a data set on either side, or a recording as the source."""
    from nirbridge.io.nir_data import is_recording

    if any(str(path).lower().endswith(DATA) for path in (source, goal)):
        return True
    return source.suffix.lower() == RECORDING and source.is_file() and is_recording(source)


def refuse_graph_options(given: dict[str, object]) -> None:
    """Raise `UsageError` (NB700) for options that mean a graph."""
    from nirbridge.errors import UsageError

    named = [name for name, value in given.items() if value]
    if named:
        raise UsageError(
            f"{' and '.join(named)} {'is' if len(named) == 1 else 'are'} for graphs, and these are spikes",
            code="NB700",
            fix=f"leave {'it' if len(named) == 1 else 'them'} out",
        )


def convert_spikes(
    context: typer.Context,
    command: str,
    source: Path,
    goal: Path,
    out: Output,
    *,
    node: str | None = None,
    dt: float | None = None,
    samples: int | None = None,
    dry_run: bool = False,
) -> None:
    """Read spikes, write them in the format of the goal's ending, and say what the file holds.

    ``node``: of a recording, the node to read; into a recording from a data set, its name there. A
    recording becomes a recording with all of its nodes unless one is named. ``dt``: a `.nir` goal holds
    grids of this step instead of events. Warnings (NB502, NB507) are printed.
    """
    from nirbridge.cli.data import described
    from nirbridge.cli.failure import about
    from nirbridge.cli.inputs import check_dt, check_folder, rehearse
    from nirbridge.cli.provenance import Provenance
    from nirbridge.errors import FindingWarning
    from nirbridge.io.nir_spikes import write_nodes

    check_dt(dt)
    check_folder(goal)
    provenance = Provenance(command, context.obj, {"node": node, "dt": dt, "samples": samples}, [source])
    with warnings.catch_warnings(record=True) as caught, about(source, goal, goal=goal):
        warnings.simplefilter("always", FindingWarning)
        nodes = {name: item.head(samples) for name, item in _read(source, goal, node).items()}

        def write(place: Path) -> None:
            if goal.suffix.lower() == RECORDING:
                write_nodes(place, nodes, dt=dt)
            else:
                _write_dataset(place, nodes, dt)

        if dry_run:
            rehearse(goal, write)
        else:
            write(goal)
            provenance.write(goal)
    for warning in caught:
        if isinstance(warning.message, FindingWarning):
            out.warn(warning.message.finding, goal)
    first = next(iter(nodes.values()))
    value: dict[str, Any] = {**described(goal, first), "wrote": [] if dry_run else [str(goal)]}
    value["nodes"] = list(nodes) if goal.suffix.lower() == RECORDING else []
    line = f"{'would write' if dry_run else 'wrote'} {goal} ({_summary(nodes, goal)})"
    out.result(value, lambda console: console.print(line, soft_wrap=True))


def _read(source: Path, goal: Path, node: str | None) -> dict[str, Dataset]:
    from nirbridge.errors import BadInput
    from nirbridge.io.datasets import read_dataset
    from nirbridge.io.nir_data import read_nodes
    from nirbridge.io.nir_spikes import NODE

    if source.suffix.lower() != RECORDING:
        return {NODE if node is None else node: read_dataset(source)}
    if node is None and goal.suffix.lower() == RECORDING and source.is_file():
        nodes = read_nodes(source)
        if not nodes:
            raise BadInput(
                f"{source}: holds spikes of no node", code="NB504", fix="record some: nirbridge run --record"
            )
        return nodes
    return {NODE if node is None else node: read_dataset(source, node=node)}


def _write_dataset(place: Path, nodes: dict[str, Dataset], dt: float | None) -> None:
    from nirbridge.io.datasets import write_dataset

    (dataset,) = nodes.values()
    write_dataset(place, dataset, dt=dt)


def _summary(nodes: dict[str, Dataset], goal: Path) -> str:
    parts = [
        f"{len(dataset)} samples, {dataset.spikes.n_units} channels, {len(dataset.spikes.times):,} spikes"
        for dataset in nodes.values()
    ]
    if goal.suffix.lower() != RECORDING:
        return parts[0]
    return "; ".join(f"{name}: {part}" for name, part in zip(nodes, parts, strict=True))
