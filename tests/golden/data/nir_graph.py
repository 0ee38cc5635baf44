"""A NIR file and its digest from plain dicts: node name -> {"type": …, field: array}."""

from __future__ import annotations

import hashlib
from pathlib import Path
from typing import Any

import h5py
import numpy as np

Nodes = dict[str, dict[str, Any]]
Edges = list[tuple[str, str]]
NIR_VERSION = "1.0.8"


def write_graph(path: Path, nodes: Nodes, edges: Edges) -> None:
    """The layout of ``nir.write``: a group a node, a dataset a field, edges as pairs of names."""
    text = h5py.string_dtype()
    with h5py.File(path, "w", libver="latest") as file:
        file.create_dataset("version", data=NIR_VERSION, dtype=text)
        graph = file.create_group("node")
        graph.create_dataset("type", data="NIRGraph", dtype=text)
        graph.create_dataset("edges", data=np.array(edges, dtype=object), dtype=text)
        for name, fields in nodes.items():
            group = graph.create_group(f"nodes/{name}")
            for field, value in fields.items():
                if isinstance(value, str):
                    group.create_dataset(field, data=value, dtype=text)
                else:
                    group.create_dataset(field, data=value)


def digest(nodes: Nodes, edges: Edges) -> str:
    """sha256 over length-prefixed names, types, fields, float64 values and edges, each sorted by name."""
    sha = hashlib.sha256()

    def add(item: str | bytes) -> None:
        data = item if isinstance(item, bytes) else item.encode()
        sha.update(len(data).to_bytes(8, "little") + data)

    add("nirbridge-digest-1")
    for name in sorted(nodes):
        add(name)
        add(nodes[name]["type"])
        for field in sorted(set(nodes[name]) - {"type"}):
            value = np.asarray(nodes[name][field], "<f8")
            add(field)
            add("f" + ",".join(map(str, value.shape)))
            add((value + 0.0).tobytes())
    for source, target in sorted(edges):
        add(source)
        add(target)
    return sha.hexdigest()
