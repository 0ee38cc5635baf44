"""From the raw dict of a file to nodes: the structural rules NB010, NB101-NB103 and NB111, then nir.

`nir` asserts on most of these, so every rule runs before a node is made, and all are reported.
"""

from __future__ import annotations

import warnings
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from nirbridge.errors import Finding, Level
from nirbridge.graph import make
from nirbridge.validate.fields import FIELDS

Raw = dict[str, Any]
_TEXT_FIELDS = {"padding"}
_ASIDE = {"type", "metadata"}


@dataclass(slots=True)
class Built:
    """What could be made of a raw graph; ``complete`` if no node and no edge is missing."""

    graph: nir.NIRGraph
    findings: list[Finding]
    complete: bool


def graph_of(raw: Raw, prefix: str = "") -> Built:
    """The graph in a raw dict. Nodes with an error are left out of it and reported.

    Extra fields are dropped (NB102 warning), scalar neuron parameters take the shape of the others.
    """
    findings: list[Finding] = []
    nodes: dict[str, nir.NIRNode] = {}
    complete = True
    owner = prefix.rstrip(".") or None
    members = raw.get("nodes")
    if not isinstance(members, dict):
        findings.append(_missing(owner, "NIRGraph", "nodes", "a group of nodes"))
        members, complete = {}, False
    for name, item in members.items():
        full = prefix + name
        found, node_type = _check_type(item, full)
        findings += found
        if node_type == "NIRGraph":
            inner = graph_of(item, f"{full}.")
            findings += inner.findings
            nodes[name] = inner.graph
            complete = complete and inner.complete
        elif node_type is not None:
            found = _check_fields(item, full, node_type)
            findings += found
            if any(f.level == "error" for f in found):
                complete = False
            else:
                nodes[name] = _make_node(item, node_type)
        else:
            complete = False
    edges, found = _edges(raw.get("edges"), owner)
    findings += found + _extras(raw, owner, "NIRGraph") + _filled(members, owner)
    return Built(make(nodes, edges, _metadata(raw)), findings, complete and not found)


def _finding(
    code: str, node: str | None, node_type: str, what: str, fix: str | None = None, level: Level = "error"
) -> Finding:
    place = f"node '{node}' ({node_type})" if node else "the graph"
    return Finding(code=code, level=level, node=node, message=f"{place}: {what}", fix=fix)


def _missing(node: str | None, node_type: str, field: str, expected: str) -> Finding:
    return _finding(
        "NB102", node, node_type, f"field '{field}' is missing, expected {expected}", "export the file again"
    )


def _check_type(item: Any, name: str) -> tuple[list[Finding], str | None]:
    if not isinstance(item, dict):
        return [_finding("NB102", name, "array", "is an array, expected a group with a 'type'")], None
    node_type = item.get("type")
    if not isinstance(node_type, str):
        return [_missing(name, "no type", "type", "the name of a NIR node type")], None
    if node_type not in FIELDS:
        what = f"unknown node type, expected one of {', '.join(FIELDS)}"
        return [_finding("NB101", name, ascii(node_type[:60])[1:-1], what)], None
    return [], node_type


def _check_fields(item: Raw, name: str, node_type: str) -> list[Finding]:
    fields = FIELDS[node_type]
    findings = [_missing(name, node_type, key, "an array") for key in fields.required if key not in item]
    for key in fields.all:
        value = item.get(key)
        if isinstance(value, dict):
            findings.append(
                _finding("NB102", name, node_type, f"field '{key}' is a group, expected an array")
            )
        elif isinstance(value, str | list) and not (isinstance(value, str) and key in _TEXT_FIELDS):
            what = f"field '{key}' holds text, expected numbers"
            findings.append(_finding("NB010", name, node_type, what))
    if not findings:
        findings += _check_shapes(item, name, node_type)
    return findings + _extras(item, name, node_type)


def _check_shapes(item: Raw, name: str, node_type: str) -> list[Finding]:
    shapes = {key: np.shape(item[key]) for key in FIELDS[node_type].parameters if key in item}
    distinct = sorted({shape for shape in shapes.values() if shape})
    if len(distinct) < 2:
        scalars = [key for key, shape in shapes.items() if not shape]
        if not distinct or not scalars:
            return []
        what = f"{', '.join(scalars)} without a shape, expected {distinct[0]} like the others"
        return [_finding("NB111", name, node_type, what, "nirbridge check FILE --fix", "warning")]
    listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items() if shape)
    what = f"parameters have different shapes ({listed}), expected one shape"
    return [_finding("NB111", name, node_type, what, "give every parameter the shape of the node")]


def _extras(item: Raw, name: str | None, node_type: str) -> list[Finding]:
    extras = sorted(set(item) - set(FIELDS[node_type].all) - _ASIDE)
    return [
        _finding(
            "NB102",
            name,
            node_type,
            f"unknown field '{key}', expected {', '.join(FIELDS[node_type].all)}; it is left out",
            "nirbridge check FILE --fix",
            "warning",
        )
        for key in extras
    ]


def _filled(members: Raw, owner: str | None) -> list[Finding]:
    """What files of older versions leave out, and what is read in its place."""
    findings = []
    for key, value in (("v_reset", 0), ("w_in", 1)):
        names = [
            name
            for name, item in members.items()
            if isinstance(item, dict) and isinstance(kind := item.get("type"), str) and kind in FIELDS
            if key in FIELDS[kind].optional and key not in item
        ]
        if names:
            more = f" and {len(names) - 3} more" if len(names) > 3 else ""
            what = f"'{key}' is missing at {', '.join(names[:3])}{more}, read as {value}"
            fix = "nirbridge check FILE --fix"
            findings.append(_finding("NB102", owner, "NIRGraph", what, fix, "info"))
    return findings


def _edges(value: Any, owner: str | None) -> tuple[list[tuple[str, str]], list[Finding]]:
    if isinstance(value, np.ndarray) and value.size == 0:
        return [], []
    if value is None:
        what = "'edges' is missing, expected an N×2 array of node names"
    elif not isinstance(value, list):
        what = "'edges' holds no strings, expected an N×2 array of node names"
    elif not all(_is_pair(pair) for pair in value):
        at = next(k for k, pair in enumerate(value) if not _is_pair(pair))
        what = f"'edges' row {at} is no pair of names, expected an N×2 array of node names"
    else:
        return [(a, b) for a, b in value], []
    return [], [_finding("NB103", owner, "NIRGraph", what, "export the file again")]


def _is_pair(pair: Any) -> bool:
    return isinstance(pair, list) and len(pair) == 2 and all(isinstance(end, str) for end in pair)


def _metadata(item: Raw) -> dict[str, Any]:
    metadata = item.get("metadata", {})
    return metadata if isinstance(metadata, dict) else {"metadata": metadata}


def _make_node(item: Raw, node_type: str) -> nir.NIRNode:
    kind: type[nir.NIRNode] = getattr(nir, node_type)
    values: Raw = {key: item[key] for key in FIELDS[node_type].all if key in item}
    parameters = {key: values[key] for key in FIELDS[node_type].parameters if key in values}
    shape = max((np.shape(value) for value in parameters.values()), key=len, default=())
    for key, value in parameters.items():
        values[key] = np.full(shape, value) if shape and np.ndim(value) == 0 else np.asarray(value)
    if "shape" in values:
        port = "input" if node_type == "Input" else "output"
        values = {f"{port}_type": {port: np.atleast_1d(values["shape"])}}
    if node_type in ("Conv1d", "Conv2d"):
        values.setdefault("input_shape", None)
    if node_type == "Flatten":
        values["input_type"] = {"input": values.get("input_type")}
    values["metadata"] = _metadata(item)
    try:
        with warnings.catch_warnings(), np.errstate(all="ignore"):
            warnings.simplefilter("ignore")
            return kind(**values)
    except (AssertionError, ArithmeticError, AttributeError, LookupError, TypeError, ValueError):
        return _unchecked(kind, values)


def _unchecked(kind: type[nir.NIRNode], values: Raw) -> nir.NIRNode:
    """A node that nir's constructor refuses, kept so that the rules can say why."""
    node = kind.__new__(kind)
    unknown: Any = None
    node.input_type, node.output_type = {"input": unknown}, {"output": unknown}
    for key, value in values.items():
        setattr(node, key, value)
    return node
