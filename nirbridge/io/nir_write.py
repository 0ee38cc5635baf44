"""Write graphs in nir's file layout.

`nir.write` fails on scalar parameters and on unset fields and leaves half a file behind; the files
written here are read by plain `nir.read`.
"""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np

from nirbridge.errors import BadInput, Finding, raise_on_errors
from nirbridge.graph.delays import is_folded, lower
from nirbridge.io.atomic import atomic_path
from nirbridge.validate.fields import FIELDS, field_values, type_name
from nirbridge.validate.metadata import metadata_problem
from nirbridge.validate.names import name_problem
from nirbridge.validate.report import found
from nirbridge.validate.shapes import Shape
from nirbridge.validate.view import view_of

_COMPRESS_FROM = 2048  # bytes; below, a chunk and its filter cost more than they save


def write_graph(path: Path, graph: nir.NIRGraph) -> None:
    """Write a graph to a `.nir` file, atomically; an old file stays if anything fails.

    Folded delays are written as the Delay nodes that they stand for, so that every reader sees them.
    A Conv without ``input_shape`` gets the one that follows from the edges. Raises `BadInput` for
    what no NIR file can hold: names (NB012), missing fields (NB102), other node types (NB101),
    edges to absent nodes (NB104), arrays of other things than numbers (NB127), sparse weights
    too large for a dense array (NB128), metadata (NB405).
    """
    path = Path(path)
    graph = lower(graph) if is_folded(graph) else graph
    raise_on_errors(sorted(_obstacles(graph, ""), key=lambda f: f.node or ""), str(path))
    spaces = _conv_spaces(graph)
    with atomic_path(path) as temporary, h5py.File(temporary, "w") as file:
        _put(file, "version", nir.version)
        _put_graph(file.create_group("node"), graph, "", spaces)


def _obstacles(graph: nir.NIRGraph, owner: str) -> list[Finding]:
    findings = _metadata_obstacle(graph, owner, "NIRGraph")
    for a, b in graph.edges:
        if a not in graph.nodes or b not in graph.nodes:
            what = f"edge '{a}' -> '{b}' names an absent node"
            findings.append(found("NB104", "error", owner, "NIRGraph", what, "add the node or drop the edge"))
    for name, node in graph.nodes.items():
        problem = name_problem(name) if isinstance(name, str) else "is no text"
        full = f"{owner}.{name}" if owner else str(name)
        kind = type_name(node)
        if problem is not None:
            findings.append(found("NB012", "error", ascii(full), kind, f"its name {problem}", "rename it"))
        elif isinstance(node, nir.NIRGraph):
            findings += _obstacles(node, full)
        else:
            findings += _node_obstacles(full, node)
    return findings


def _node_obstacles(name: str, node: nir.NIRNode) -> list[Finding]:
    kind = type_name(node)
    if kind not in FIELDS:
        return [found("NB101", "error", name, kind, "is no NIR node type, so nir cannot read it back")]
    findings = _metadata_obstacle(node, name, kind)
    for key, value in field_values(node):
        if value is None and key in FIELDS[kind].required:
            findings.append(found("NB102", "error", name, kind, f"field '{key}' is missing"))
        elif value is not None and not isinstance(value, str):
            findings += _array_obstacle(name, kind, key, value)
    return findings


def _array_obstacle(name: str, kind: str, key: str, value: Any) -> list[Finding]:
    try:
        array = np.asarray(value)
    except BadInput as error:  # a sparse weight in memory that is too large for a dense one
        return [found(error.code, "error", name, kind, error.message, error.fix)]
    if array.dtype.kind in "biuf":
        return []
    what = f"{key} holds {array.dtype}, expected numbers"
    return [found("NB127", "error", name, kind, what, "store plain integers or floats")]


def _metadata_obstacle(node: nir.NIRNode, name: str, kind: str) -> list[Finding]:
    problem = metadata_problem(node.metadata)
    fix = "store it as a JSON string"
    return [] if problem is None else [found("NB405", "error", name, kind, f"metadata{problem}", fix)]


def _conv_spaces(graph: nir.NIRGraph) -> dict[str, Shape]:
    """Input sizes of the Conv nodes that do not state them, by dotted name."""
    view = view_of(graph)
    spaces = {}
    for name, node in view.flat.nodes.items():
        if isinstance(node, nir.Conv1d | nir.Conv2d) and node.input_shape is None:
            if name not in view.arriving:
                what = "its input shape is not stated and does not follow from the edges"
                raise BadInput(f"node '{name}': {what}", code="NB102", fix="state input_shape")
            spaces[name] = view.arriving[name][1:]
    return spaces


def _put_graph(group: h5py.Group, graph: nir.NIRGraph, owner: str, spaces: Mapping[str, Shape]) -> None:
    _put(group, "type", "NIRGraph")
    # edges into an Output last: some readers return what the last edge of a loop computed (NB214)
    ordered = sorted(graph.edges, key=lambda edge: isinstance(graph.nodes[edge[1]], nir.Output))
    edges = np.array([[str(a), str(b)] for a, b in ordered], dtype=object).reshape(-1, 2)
    group.create_dataset("edges", data=edges, dtype=h5py.string_dtype())
    nodes = group.create_group("nodes")
    for name, node in graph.nodes.items():
        full = f"{owner}.{name}" if owner else name
        inner = nodes.create_group(name)
        if isinstance(node, nir.NIRGraph):
            _put_graph(inner, node, full, spaces)
        else:
            _put_node(inner, node, spaces.get(full))
    _put_metadata(group, graph.metadata)


def _put_node(group: h5py.Group, node: nir.NIRNode, space: Shape | None) -> None:
    _put(group, "type", type_name(node))
    for key, value in field_values(node):
        if key == "input_shape" and value is None and space is not None:
            value = space[0] if len(space) == 1 else np.array(space)
        if value is not None:
            _put(group, key, value)
    _put_metadata(group, node.metadata)


def _put_metadata(group: h5py.Group, metadata: dict[str, Any]) -> None:
    if metadata:
        _put_dict(group.create_group("metadata"), metadata)


def _put_dict(group: h5py.Group, values: dict[str, Any]) -> None:
    for key, value in values.items():
        if isinstance(value, dict):
            _put_dict(group.create_group(key), value)
        else:
            _put(group, key, value)


def _put(group: h5py.Group, key: str, value: Any) -> None:
    if isinstance(value, str):
        group.create_dataset(key, data=value, dtype=h5py.string_dtype())
        return
    if isinstance(value, list | tuple) and value and isinstance(value[0], str):
        group.create_dataset(key, data=np.array(value, dtype=object), dtype=h5py.string_dtype())
        return
    array = np.asarray(value)
    packed = "gzip" if array.ndim and array.nbytes >= _COMPRESS_FROM else None
    group.create_dataset(key, data=array, compression=packed)
