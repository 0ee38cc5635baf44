"""Images and other arrays of values in one ``.npz``: x, y."""

from __future__ import annotations

import zipfile
from pathlib import Path
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.ann import Encoding, encoding_in
from nirbridge.data import Dataset, Images, Latency
from nirbridge.data.latency import latency_in
from nirbridge.errors import BadInput
from nirbridge.io.npz import BROKEN, npz_arrays, one_number
from nirbridge.io.spike_arrays import MAX_BYTES, refused

PIXEL = 1.0 / 255.0
NAMES = ("x", "y", "classes", "scale")
MAX_SPIKES = 1 << 27


def read_images(path: Path, *, max_bytes: int = MAX_BYTES) -> Images:
    """Read samples of values: ``x`` (n, ...) integers or floats.

    Optional: ``y`` (n,) whole numbers from 0 on, the classes; ``classes``, their names; ``scale``, what
    x is multiplied by before the ANN sees it: without it 1/255 for uint8 and 1 for every other dtype.
    Nothing is unpickled. Raises `BadInput`: NB001 where the file is no readable zip of arrays, NB007
    where it unpacks to more than ``max_bytes``, NB513 where the arrays are missing or do not agree.
    """
    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise BadInput(f"{path}: {what}, expected images", code="NB001", fix="check the name")
    try:
        arrays = npz_arrays(path, max_bytes, NAMES)
    except BROKEN as cause:
        raise refused(
            path,
            f"not a readable .npz file ({cause}), expected a zip of numpy arrays without objects",
            code="NB001",
            fix="write or copy the file again",
        ) from cause
    if "x" not in arrays:
        found = ", ".join(f"{name} {value.shape}" for name, value in list(arrays.items())[:8]) or "nothing"
        raise refused(
            path,
            f"no samples in this .npz: found {found}; expected x (n, ...) and optionally y (n,)",
            code="NB513",
            fix="write it with numpy.savez(path, x=samples, y=labels)",
        )
    x = arrays["x"]
    return Images(
        x=x,
        scale=_scale(arrays.get("scale"), x.dtype, path),
        labels=arrays.get("y"),
        classes=tuple(str(name) for name in arrays.get("classes", np.empty(0, np.str_)).reshape(-1)),
        source=str(path),
    )


def holds_images(path: Path) -> bool:
    """Whether a file is an ``.npz`` with samples of values in it."""
    try:
        with zipfile.ZipFile(path) as archive:
            return path.suffix.lower() == ".npz" and "x.npy" in archive.namelist()
    except BROKEN:
        return False


def image_code(graph: nir.NIRGraph) -> Encoding | Latency | None:
    """How a graph takes images, a rate or a latency code, as its metadata say; None where they do not."""
    return encoding_in(graph) or latency_in(graph)


def encoded(path: Path, graph: nir.NIRGraph, samples: int | None = None) -> Dataset:
    """The first samples of a file of images, as the spikes that the graph takes.

    Raises `BadInput` (NB513) for a graph whose metadata do not say how it takes images, for samples of
    another shape and for more than 2^27 spikes, and what `read_images` raises.
    """
    code = image_code(graph)
    ports = [node for node in graph.nodes.values() if isinstance(node, nir.Input)]
    if code is None or len(ports) != 1:
        raise refused(
            path,
            "holds images, and the graph's metadata do not say how it takes them",
            code="NB513",
            fix="give spikes, or a graph that nirbridge made from an ANN or trained on images",
        )
    shape = tuple(int(n) for n in ports[0].input_type["input"])
    images = read_images(path).head(samples).shaped(shape)
    steps = code.steps if isinstance(code, Encoding) else 1
    spikes = int(np.count_nonzero(images.x)) * steps
    if spikes > MAX_SPIKES:
        raise refused(
            path,
            f"{len(images)} images of {steps} steps are up to {spikes} spikes, expected at most "
            f"{MAX_SPIKES} at once",
            code="NB513",
            fix=f"take fewer, such as -n {max(1, len(images) * MAX_SPIKES // spikes)}",
        )
    return Dataset(code.spikes(images), images.labels, images.classes, source=str(path))


def _scale(array: NDArray[Any] | None, dtype: np.dtype[Any], path: Path) -> float:
    if array is None:
        return PIXEL if dtype == np.uint8 else 1.0
    return one_number(array, path, "scale", "NB513")
