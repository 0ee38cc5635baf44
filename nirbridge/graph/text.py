"""A short stable text form of a graph, for tests and messages."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.graph.digest import node_fields


def text(graph: nir.NIRGraph) -> str:
    """One line a node (``name: Type field=value``) and one line a source of edges, sorted by name.

    Uniform arrays print as one value with their shape, others as ``shape [min..max]``.
    """
    lines = []
    for name in sorted(graph.nodes):
        node = graph.nodes[name]
        if isinstance(node, nir.NIRGraph):
            lines.append(f"{name}: NIRGraph")
            lines += [f"  {line}" for line in text(node).splitlines()]
            continue
        parts = [f"{key}={_brief(value)}" for key, value in sorted(node_fields(node).items())]
        lines.append(" ".join([f"{name}: {type(node).__name__}", *parts]))
    targets: dict[str, list[str]] = {}
    for a, b in sorted(map(tuple, graph.edges)):
        targets.setdefault(a, []).append(b)
    lines += [f"{a} -> {', '.join(bs)}" for a, bs in targets.items()]
    return "\n".join(lines) + "\n"


def _brief(value: object) -> str:
    if value is None or isinstance(value, str):
        return str(value)
    array = np.asarray(value)
    if array.size == 0:
        return f"{array.shape}"
    low, high = float(np.min(array)), float(np.max(array))
    shape = "x".join(map(str, array.shape))
    if array.ndim == 1 and array.size <= 4:
        return "[" + ", ".join(f"{float(x):.6g}" for x in array) + "]"
    prefix = f"({shape})" if array.ndim else ""
    return f"{prefix}{low:.6g}" if low == high else f"{prefix}[{low:.6g}..{high:.6g}]"
