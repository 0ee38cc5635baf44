"""Read a NetX file (.net, HDF5) into plain arrays, refusing what could reach outside the file."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from nirbridge.errors import BadInput
from nirbridge.io import Limits
from nirbridge.io.hdf5_values import load_file

Values = dict[str, Any]
LIMITS = Limits(max_bytes=1 << 28, max_objects=20_000, max_depth=6, max_string=1 << 16, empty=True)
MAX_NUMBERS = 1 << 25  # of all arrays together, twice the synapses of a chip; each takes 40 bytes on its way
_FIX = "write the file again with its original tool"
_SHOWN = 64  # characters of a text; names of types are shorter


def read_layers(path: Path, limits: Limits = LIMITS) -> list[Values]:
    """The groups ``/layer/0``, ``/layer/1`` … as nested dicts of arrays, strings and None (empty).

    Raises `BadInput` (NB001 to NB013) for anything but a self-contained file of numbers and strings.
    """
    path = Path(path)
    layers = load_file(path, limits).get("layer")
    if not isinstance(layers, dict) or not layers:
        raise BadInput(
            f"{path}: no group '/layer', so this is no NetX file", code="NB013", fix="give a .net file"
        )
    expected = [str(i) for i in range(len(layers))]
    if sorted(layers) != sorted(expected):
        raise BadInput(
            f"{path}: layers are named {', '.join(sorted(layers)[:8])}, expected 0 to {len(layers) - 1}",
            code="NB013",
            fix=_FIX,
        )
    for name in expected:
        if not isinstance(layers[name], dict):
            raise BadInput(f"{path}: layer {name} is an array, expected a group", code="NB013", fix=_FIX)
    count = sum(_count(layers[name]) for name in expected)
    if count > MAX_NUMBERS:
        what = f"{path}: holds {count:,} numbers, expected at most {MAX_NUMBERS:,}"
        raise BadInput(what, code="NB007", fix="split the network")
    return [_plain(layers[name], f"{path}: /layer/{name}") for name in expected]


def _count(values: Values) -> int:
    """Numbers in all arrays of a group."""
    return sum(_count(value) if isinstance(value, dict) else int(np.size(value)) for value in values.values())


def _plain(values: Values, where: str) -> Values:
    """Texts that stand alone in an array, as the format writes its types, become plain texts."""
    result: Values = {}
    for name, value in values.items():
        if isinstance(value, dict):
            result[name] = _plain(value, f"{where}/{name}")
        elif isinstance(value, list):
            if len(value) != 1 or not isinstance(value[0], str):
                found = f"holds {len(value)} strings, expected one"
                raise BadInput(f"{where}/{name} {found}", code="NB010", fix=_FIX)
            result[name] = value[0][:_SHOWN]
        elif isinstance(value, str):
            result[name] = value[:_SHOWN]
        else:
            result[name] = None if value is None else np.asarray(value)
    return result
