"""A digest of structure and values that does not change when a file is rewritten (NIR_TOOLKIT §4)."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator
from dataclasses import fields
from typing import Any

import nir
import numpy as np

from nirbridge.graph.delays import is_folded, lower

_DERIVED = {"metadata", "input_type", "output_type"}
_PAIRS = {"stride", "padding", "dilation", "kernel_size"}


def digest(graph: nir.NIRGraph) -> str:
    """sha256 (hex) over names, types, fields and edges; of a graph with folded delays in its lowered form.

    Independent of node order, dtype width, compression and nir version; covers no metadata, so
    neither semantics nor history.
    """
    sha = hashlib.sha256()
    for item in _graph_items(lower(graph) if is_folded(graph) else graph):
        data = item if isinstance(item, bytes) else item.encode("utf-8")
        sha.update(len(data).to_bytes(8, "little"))
        sha.update(data)
    return sha.hexdigest()


def equal(a: nir.NIRGraph, b: nir.NIRGraph) -> bool:
    """True if both graphs have the same names, types, values and edges (metadata aside)."""
    return a is b or digest(a) == digest(b)


def _graph_items(graph: nir.NIRGraph) -> Iterator[str | bytes]:
    yield "nirbridge-digest-1"
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        yield name
        if isinstance(node, nir.NIRGraph):
            yield "NIRGraph"
            yield digest(node)
            continue
        yield type(node).__name__
        yield from field_items(node)
    for source, target in sorted(map(tuple, graph.edges)):
        yield source
        yield target


def field_items(node: nir.NIRNode) -> Iterator[str | bytes]:
    """What the digest reads of one node's fields: names and values, in the order of the names."""
    for field, value in sorted(node_fields(node).items()):
        yield field
        yield from _value_items(value)


def node_fields(node: nir.NIRNode) -> dict[str, Any]:
    """NIR's own fields of a node, without metadata and derived ones, defaults filled in.

    Input and Output have the one field ``shape``; v_reset is zeros and w_in ones where a file
    leaves them out; Conv2d and pool hyper-parameters are pairs.
    """
    if isinstance(node, nir.Input):
        return {"shape": np.asarray(node.input_type["input"])}
    if isinstance(node, nir.Output):
        return {"shape": np.asarray(node.output_type["output"])}
    names = {f.name for f in fields(node)} - _DERIVED - {"input_shape"}
    values = {name: getattr(node, name) for name in names}
    shape = np.shape(np.asarray(values.get("v_threshold", values.get("v_leak"))))
    for name, fill in (("v_reset", 0.0), ("w_in", 1.0)):
        if name in values and np.ndim(values[name]) == 0:
            values[name] = np.full(shape, fill if values[name] is None else values[name])
    if isinstance(node, nir.Conv2d | nir.SumPool2d | nir.AvgPool2d):
        for name in _PAIRS & names:
            if not isinstance(values[name], str):
                values[name] = np.broadcast_to(np.asarray(values[name]), (2,))
    return values


def _value_items(value: Any) -> Iterator[str | bytes]:
    if value is None:
        yield "none"
    elif isinstance(value, str | bytes):
        yield "s" + (value.decode("utf-8") if isinstance(value, bytes) else value)
    else:
        array = np.asarray(value, dtype="<f8") + 0.0  # −0 becomes 0
        yield "f" + ",".join(str(n) for n in array.shape)
        yield np.where(np.isnan(array), np.float64("nan"), array).astype("<f8").tobytes()
