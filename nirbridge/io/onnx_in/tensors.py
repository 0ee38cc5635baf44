"""Constant tensors of an ONNX file as arrays; what they declare is held against what is there."""

from __future__ import annotations

import math
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.io.onnx_in.limits import refused

EXTERNAL = 1
MAX_AXES = 8

# data_type -> dtype in the file, the field that holds values outside raw_data (onnx.proto3)
_TYPES: dict[int, tuple[str, str]] = {
    1: ("<f4", "float_data"),
    2: ("<u1", "int32_data"),
    3: ("<i1", "int32_data"),
    4: ("<u2", "int32_data"),
    5: ("<i2", "int32_data"),
    6: ("<i4", "int32_data"),
    7: ("<i8", "int64_data"),
    9: ("?", "int32_data"),
    10: ("<f2", "int32_data"),
    11: ("<f8", "double_data"),
    12: ("<u4", "uint64_data"),
    13: ("<u8", "uint64_data"),
}


def dtype_of(data_type: int) -> np.dtype[Any] | None:
    """The dtype of an ONNX element type, or None for one that is no plain number."""
    return np.dtype(_TYPES[data_type][0]) if data_type in _TYPES else None


def tensor(proto: Any, path: Path) -> NDArray[Any]:
    """The array of a TensorProto.

    Raises `BadInput`: NB004 for values kept in another file, NB010 for a type that is no plain number,
    NB001 where the file holds more or fewer values than the shape says.
    """
    name = ascii(proto.name[:80])
    if proto.data_location == EXTERNAL or len(proto.external_data):
        raise refused(
            path,
            f"tensor {name} keeps its values in another file",
            code="NB004",
            fix="store them inside: onnx.save_model(model, path, save_as_external_data=False)",
        )
    if proto.data_type not in _TYPES:
        what = f"tensor {name} has the element type {proto.data_type}, expected plain integers or floats"
        raise refused(path, what, code="NB010")
    kind, field = _TYPES[proto.data_type]
    dtype = np.dtype(kind)
    shape = tuple(proto.dims)
    count = math.prod(shape) if min(shape, default=0) >= 0 and len(shape) <= MAX_AXES else -1
    raw = proto.HasField("raw_data")
    held = len(proto.raw_data) if raw else len(getattr(proto, field))
    unit = f"bytes, {dtype.itemsize} a value" if raw else "values"
    if count < 0 or held != count * (dtype.itemsize if raw else 1):
        what = f"tensor {name} has shape {_shown(shape)} and {held} {unit}"
        raise refused(path, what, code="NB001", fix="copy or export the file again: it is cut off")
    if not count:
        return np.zeros(0, dtype)
    if raw:
        return np.frombuffer(proto.raw_data, dtype).reshape(shape)
    values = np.array(getattr(proto, field))
    if proto.data_type == 10:  # half floats are kept as their bits
        return values.astype(np.uint16).view(dtype).reshape(shape)
    return values.astype(dtype).reshape(shape)


def _shown(shape: tuple[int, ...]) -> str:
    return str(shape) if len(shape) <= MAX_AXES else f"{len(shape)} axes"
