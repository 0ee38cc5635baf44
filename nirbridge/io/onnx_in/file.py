"""From the bytes of an ``.onnx`` file to the model, and from its graph to an `Ann`."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import nir

from nirbridge.ann import Ann
from nirbridge.errors import UsageError
from nirbridge.io.onnx_in.limits import OnnxLimits, refused
from nirbridge.io.onnx_in.wire import walk

OLDEST_OPSET = 7  # before it Add, Gemm and BatchNormalization broadcast by other rules


def read(path: Path, *, limits: OnnxLimits | None = None) -> nir.NIRGraph:
    """A spiking graph cannot be had from the file alone: its thresholds need samples.

    Everything that `read_ann` refuses is refused first. Raises `UsageError` (NB701).
    """
    ann = read_ann(path, limits=limits)
    raise UsageError(
        f"{path}: an ANN of {len(ann.layers)} layers on samples of shape {ann.shape}; the thresholds of a "
        "spiking graph are taken from its activations on samples",
        code="NB701",
        fix=f"nirbridge convert {path} OUT.nir --calibration IMAGES.npz",
    )


def read_ann(path: Path | str, *, limits: OnnxLimits | None = None) -> Ann:
    """Read a feed-forward ANN: one input, one output, the operators of `OPERATORS`.

    Raises `BadInput`: NB001 for what is no ONNX file or is cut off, NB004 for tensors kept in other
    files, NB007 to NB009 beyond a limit, NB010 for tensors that are no plain numbers, NB012 for text
    that is no UTF-8, NB013 without a graph, NB014 for a graph whose values do not hang together, NB108
    for a cycle, NB109 and NB114 for shapes and windows that do not fit; `Unsupported` (NB201) with
    every operator that has no spiking form, by name, count and node.
    """
    from nirbridge.io.onnx_in.graph import ann_of

    path, limits = Path(path), limits or OnnxLimits()
    model = _model(path, limits)
    if not model.HasField("graph") or not len(model.graph.node):
        raise refused(path, "an ONNX model without operators, expected a graph", code="NB013")
    if len(model.graph.node) > limits.max_nodes:
        what = f"has {len(model.graph.node)} operators, expected at most {limits.max_nodes}"
        raise refused(path, what, code="NB009", fix="read it with a larger max_nodes if you trust it")
    return ann_of(model.graph, _opset(model, path), path)


def _model(path: Path, limits: OnnxLimits) -> Any:
    import onnx
    from google.protobuf.message import DecodeError

    if not path.is_file():
        what = "is a folder" if path.is_dir() else "no such file"
        raise refused(path, f"{what}, expected an ONNX model", code="NB001", fix="check the name")
    with path.open("rb") as file:
        size = os.fstat(file.fileno()).st_size
        if size > limits.max_bytes:
            what = f"has {size} bytes, expected at most {limits.max_bytes}"
            raise refused(path, what, code="NB007", fix="read it with a larger max_bytes if you trust it")
        content = file.read(size)
    if not content:
        raise refused(path, "is empty, expected an ONNX model", code="NB001")
    walk(content, onnx.ModelProto.DESCRIPTOR, limits, path)
    model: Any = onnx.ModelProto()
    try:
        model.ParseFromString(content)
    except DecodeError as cause:
        what = f"not a readable ONNX file ({cause})"
        raise refused(path, what, code="NB001", fix="copy or export the file again") from cause
    return model


def _opset(model: Any, path: Path) -> int:
    versions = [int(entry.version) for entry in model.opset_import if entry.domain in ("", "ai.onnx")]
    if len(versions) != 1 or versions[0] < OLDEST_OPSET:
        found = ", ".join(map(str, versions[:4])) or "none"
        what = f"states operator set {found}, expected one of at least {OLDEST_OPSET}"
        raise refused(path, what, code="NB014", fix="export with opset 13 or newer")
    return versions[0]
