"""Rules about metadata: NB401 to NB406."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from nirbridge.errors import BadInput, Finding
from nirbridge.graph import digest, newer_schema, read_metadata
from nirbridge.graph.metadata import KEY, KEY_NEWER, VERSION
from nirbridge.graph.quantization import KEY as KEY_Q
from nirbridge.graph.quantization import Quantization
from nirbridge.validate.fields import type_name
from nirbridge.validate.names import name_problem
from nirbridge.validate.report import found
from nirbridge.validate.view import View

DELAYED = "nirbridge_delay"
_DEEPEST = 32


def schema(view: View) -> Iterator[Finding]:
    """NB401: metadata that break their schema; NB402: metadata of a newer nirbridge."""
    for key in (KEY, KEY_NEWER):
        version = newer_schema(view.graph, key)
        if version is not None:
            what = f"metadata '{key}' have schema version {version}, this nirbridge knows {VERSION}"
            fix = "upgrade nirbridge, or state --dt"
            yield found("NB402", "warning", None, "NIRGraph", f"{what}; they are kept, not read", fix)
    try:
        read_metadata(view.graph)
    except BadInput as error:
        yield Finding(code=error.code, level="error", message=error.message, fix=error.fix)


def stale_digest(view: View) -> Iterator[Finding]:
    """NB404: the graph is not the one that the metadata describe."""
    stated = view.metadata.digest if view.metadata is not None else None
    if stated is None:
        return
    try:
        actual = digest(view.graph)
    except (AttributeError, TypeError, ValueError):
        return  # a broken node has no digest, and other rules report it
    if stated != actual:
        what = f"digest is {actual[:12]}…, the metadata state {ascii(stated[:12])[1:-1]}…"
        fix = "another tool edited the graph; its history no longer binds"
        yield found("NB404", "warning", None, "NIRGraph", what, fix)


def quantised(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB403: integers that do not give the weight."""
    value = node.metadata.get(KEY_Q)
    if value is None:
        return
    problem = _quantised_problem(value, getattr(node, "weight", None))
    if problem is not None:
        fix = f"remove '{KEY_Q}', or quantise again"
        yield found("NB403", "error", name, type_name(node), f"{KEY_Q}: {problem}", fix)


def _quantised_problem(value: Any, weight: Any) -> str | None:
    if not isinstance(value, dict) or not {"q", "scale", "zero_point", "bits", "axis"} <= set(value):
        return "expected the keys q, scale, zero_point, bits, axis"
    q, scale, array = np.asarray(value["q"]), np.asarray(value["scale"]), np.asarray(weight)
    zero_point, bits, axis = (np.asarray(value[key]) for key in ("zero_point", "bits", "axis"))
    if weight is None or q.shape != array.shape or q.dtype.kind != "i":
        return (
            f"q has shape {q.shape} ({q.dtype}), expected integers in the shape {array.shape} of the weight"
        )
    if any(v.dtype.kind not in "iu" or v.size != 1 for v in (zero_point, bits, axis)):
        return "zero_point, bits and axis must be whole numbers"
    if not 1 <= int(bits.item()) <= 8:
        return f"bits is {bits.item()}, expected 1 to 8"
    at = int(axis.item())
    if not -1 <= at < array.ndim or scale.dtype.kind != "f":
        return f"axis is {at} and scale is {scale.dtype}, expected an axis of the weight (or -1) and floats"
    if scale.shape not in {(1,), (array.shape[at],) if at >= 0 else (1,)}:
        return f"scale has shape {scale.shape}, expected (1,) or one value along axis {at}"
    expected = Quantization(
        q=q, scale=scale, zero_point=int(zero_point.item()), bits=int(bits.item()), axis=at
    ).weight()
    same = (expected.view(np.int32) == array.astype(np.float32).view(np.int32)) & (
        expected.astype(np.float64) == array
    )
    if same.all():
        return None
    index = np.unravel_index(int(np.argmin(same)), same.shape)
    return (
        f"weight[{', '.join(str(int(k)) for k in index)}] is {array[index]:.9g}, "
        f"expected (q - zero_point)·scale = {expected[index]:.9g} ({int((~same).sum())} of {same.size})"
    )


def unwritable(view: View) -> Iterator[Finding]:
    """NB405: metadata that nir cannot write, or would give back as something else."""
    for owner, graph in view.flat.graphs.items():
        yield from _unwritable(owner, "NIRGraph", graph.metadata)
    for name, node in view.flat.nodes.items():
        yield from _unwritable(name, type_name(node), node.metadata)


def _unwritable(name: str, kind: str, metadata: Any) -> Iterator[Finding]:
    problem = metadata_problem(metadata)
    if problem is not None:
        fix = "store it as a JSON string"
        yield found("NB405", "error", name, kind, f"metadata{problem}", fix)


def metadata_problem(value: Any, depth: int = 0) -> str | None:
    """What keeps a metadata value out of a file, with its place in front; None if nothing does."""
    if isinstance(value, dict):
        return _dict_problem(value, depth)
    if isinstance(value, str):
        if "\0" in value or any("\ud800" <= c <= "\udfff" for c in value):
            return " is a string with a NUL or half a surrogate pair, which HDF5 cannot hold"
        return None
    if isinstance(value, np.ndarray):
        if value.ndim == 0:
            return " is an array without a shape, expected a plain number"
        return None if value.dtype.kind in "biuf" else f" is an array of {value.dtype}, expected numbers"
    if isinstance(value, list | tuple):
        return _list_problem(value)
    if isinstance(value, bool | np.bool_ | float | np.floating | np.integer):
        return None
    if isinstance(value, int):
        return None if -(2**63) <= value < 2**63 else f" is {value}, expected at most 64 bits"
    return f" is of type {type(value).__name__}, expected text, numbers, arrays or dicts of them"


def _dict_problem(value: dict[Any, Any], depth: int) -> str | None:
    if depth >= _DEEPEST:
        return f" nests deeper than {_DEEPEST} dicts"
    for key, item in value.items():
        if not isinstance(key, str):
            return f" has the key {key!r}, expected text"
        problem = name_problem(key)
        if problem is not None:
            return f" has the key {key[:80]!a}, which {problem}"
        problem = metadata_problem(item, depth + 1)
        if problem is not None:
            return f"['{key}']{problem}"
    return None


def _list_problem(value: list[Any] | tuple[Any, ...]) -> str | None:
    if value and all(isinstance(item, str) for item in value):
        return next((p for p in map(metadata_problem, value) if p is not None), None)
    try:
        array = np.asarray(value)
    except (OverflowError, ValueError):
        return " is a ragged list"
    if array.dtype.kind not in "biuf" or not _alike(value):
        return " is a mixed list, expected all numbers or all text"
    return None


def _alike(value: Any) -> bool:
    """True for numbers nested in lists (np.asarray would also turn mixed items into one kind)."""
    if isinstance(value, list | tuple):
        return all(_alike(item) for item in value)
    return isinstance(value, bool | np.bool_ | int | float | np.number)


def folded_delays(view: View) -> Iterator[Finding]:
    """NB406: delays that only nirbridge would see. They are usual in memory, and wrong in a file."""
    for name, node in view.flat.nodes.items():
        if DELAYED in node.metadata:
            what = f"metadata '{DELAYED}' hold delays that other readers ignore, expected Delay nodes"
            yield found("NB406", "warning", name, type_name(node), what, "--pass lower-delays")
