"""Labelled spikes by file ending: ``.npz``, ``.h5`` and ``.h5.gz``."""

from __future__ import annotations

from pathlib import Path

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge.io.spike_arrays import MAX_BYTES

ENDINGS = (".npz", ".h5", ".h5.gz")


def read_dataset(
    path: Path | str,
    *,
    n_units: int | None = None,
    duration: float | None = None,
    max_bytes: int = MAX_BYTES,
) -> Dataset:
    """Read labelled spikes. ``n_units``: channels; ``duration``: seconds of every sample.

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
    if ending == ".npz":
        from nirbridge.io.npz import read_npz

        return read_npz(path, n_units=n_units, duration=duration, max_bytes=max_bytes)
    from nirbridge.io.shd import read_shd

    return read_shd(path, n_units=n_units, duration=duration, max_bytes=max_bytes)


def write_dataset(path: Path | str, dataset: Dataset) -> None:
    """Write labelled spikes so that `read_dataset` gives them back; a broken write leaves no file."""
    path = Path(path)
    if _ending(path) == ".npz":
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
