"""Labelled spikes by file ending: ``.npz``, ``.h5``, ``.h5.gz``, and ``.nir`` recordings."""

from __future__ import annotations

from pathlib import Path
from typing import Literal

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, UsageError
from nirbridge.io.spike_arrays import MAX_BYTES

ENDINGS = (".npz", ".h5", ".h5.gz", ".nir")


def read_dataset(
    path: Path | str,
    *,
    n_units: int | None = None,
    duration: float | None = None,
    max_bytes: int = MAX_BYTES,
    node: str | None = None,
    groups: Literal["speaker", "take"] = "speaker",
) -> Dataset:
    """Read labelled spikes. ``n_units``: channels; ``duration``: seconds of every sample.

    ``node``: the node of a recording (``.nir``) that holds the spikes of several. ``groups``: what of an
    HDF5 file becomes the samples' groups; the other formats have but one kind.

    Where they are None the file says them, or they follow from its spikes (the largest unit + 1;
    the smallest multiple of 1 ms above the largest time). Files may hold the spikes of a sample in
    any order: they are sorted by time. ``max_bytes`` bounds what a compressed file may unpack to.
    Raises `BadInput` (NB001 for a missing or broken file, NB509 for an unknown ending).
    """
    path = Path(path)
    ending = _ending(path)
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{path}: {what}, expected labelled spikes", code="NB001", fix="check the name")
    if ending == ".nir":
        from nirbridge.io.nir_data import read_recorded

        return read_recorded(path, node=node, n_units=n_units, duration=duration, max_bytes=max_bytes)
    if node is not None:
        raise UsageError(
            f"{path}: node '{node}' is asked for, expected a .nir recording", code="NB700", fix="leave it out"
        )
    if ending == ".npz":
        from nirbridge.io.npz import read_npz

        return read_npz(path, n_units=n_units, duration=duration, max_bytes=max_bytes)
    from nirbridge.io.shd import read_shd

    return read_shd(path, n_units=n_units, duration=duration, max_bytes=max_bytes, groups=groups)


def write_dataset(
    path: Path | str, dataset: Dataset, *, node: str | None = None, dt: float | None = None
) -> None:
    """Write labelled spikes so that `read_dataset` gives them back; a broken write leaves no file.

    A recording (``.nir``) is of one ``node``, else "input", as events, or with ``dt`` [s] a grid of steps.
    """
    path = Path(path)
    ending = _ending(path)
    if ending == ".nir":
        from nirbridge.io.nir_spikes import NODE, write_nodes

        write_nodes(path, {NODE if node is None else node: dataset}, dt=dt)
        return
    if node is not None or dt is not None:
        raise UsageError(
            f"{path}: only a .nir recording has named nodes and steps", code="NB700", fix="leave them out"
        )
    if ending == ".npz":
        from nirbridge.io.npz import write_npz

        write_npz(path, dataset)
        return
    from nirbridge.io.shd import write_shd

    write_shd(path, dataset)


def _ending(path: Path) -> str:
    name = path.name.lower()
    for ending in sorted(ENDINGS, key=len, reverse=True):
        if name.endswith(ending):
            return ending
    ending = "".join(path.suffixes[-2:])
    found = f"'{ending}' is not the ending of a data set" if ending else "has no ending"
    raise BadInput(
        f"{path}: {found}, expected {', '.join(ENDINGS)}",
        code="NB509",
        fix="rename the file, or write it with nirbridge.io.write_dataset",
    )
