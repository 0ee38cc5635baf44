"""The graph of an ONNX model as an `Ann`: which nodes count, in which order, and what each becomes."""

from __future__ import annotations

import math
from collections import deque
from pathlib import Path
from typing import Any

import numpy as np

from nirbridge.ann import Ann, shapes_of
from nirbridge.ann.shapes import MAX_ELEMENTS
from nirbridge.errors import BadInput, Finding, Unsupported
from nirbridge.io.onnx_in.limits import refused
from nirbridge.io.onnx_in.node import Node, Problem, Reading
from nirbridge.io.onnx_in.operators import OPERATORS
from nirbridge.io.onnx_in.tensors import tensor

FLOATS = (1, 10, 11)  # float, float16, double
LISTED = 8


def ann_of(graph: Any, opset: int, path: Path) -> Ann:
    """The ANN that the graph's output depends on; nodes that it does not need are left out.

    Raises as `read_ann`.
    """
    if len(graph.sparse_initializer):
        raise refused(path, "holds sparse tensors, expected dense ones", code="NB010")
    constants = {proto.name: tensor(proto, path) for proto in graph.initializer}
    if len(constants) < len(graph.initializer):
        raise refused(path, "two constant tensors have one name", code="NB014")
    given = [info for info in graph.input if info.name not in constants]
    if len(given) != 1 or len(graph.output) != 1:
        what = f"has {len(given)} inputs and {len(graph.output)} outputs, expected one of each"
        raise refused(path, what, code="NB014", fix="export the classifier alone")
    nodes = _ordered(graph, {*constants, given[0].name}, path)
    _all_known(nodes, len(graph.node), path)
    reading = Reading(opset, path, given[0].name, _sample_shape(given[0], path))
    reading.output = graph.output[0].name
    reading.wanted = {reading.output, *(name for node in nodes for name in node.inputs)}
    for name, array in constants.items():
        reading.constants[name] = _finite(name, array, path)
    problems: list[tuple[Node, Problem]] = []
    for node in nodes:
        if any(name in reading.unknown for name in node.inputs):
            reading.unknown |= set(node.outputs)
            continue
        try:
            OPERATORS[node.op](node, reading)
        except Problem as problem:
            problems.append((node, problem))
            reading.unknown |= set(node.outputs)
    if problems:
        raise _unsupported([(node, problem.what) for node, problem in problems], len(graph.node), path)
    output = reading.names.get(graph.output[0].name)
    if output is None:
        raise refused(path, "its output does not depend on its input", code="NB014")
    ann = Ann(
        input=reading.input,
        shape=reading.shapes[reading.input],
        layers=tuple(reading.layers),
        output=output,
        notes=tuple(reading.notes),
    )
    try:
        shapes_of(ann)
    except BadInput as error:
        error.message = f"{path}: {error.message}"
        raise
    return ann


def _ordered(graph: Any, known: set[str], path: Path) -> list[Node]:
    """The nodes that the output needs, each behind those that it reads."""
    nodes = [Node.of(proto, at) for at, proto in enumerate(graph.node)]
    makers: dict[str, Node] = {}
    for node in nodes:
        for name in node.outputs:
            if name in makers or name in known:
                raise refused(path, f"value {name[:80]!a} is made twice", code="NB014")
            makers[name] = node
    needed: dict[int, Node] = {}
    queue = deque([graph.output[0].name])
    while queue:
        name = queue.popleft()
        if name in known:
            continue
        if name not in makers:
            raise refused(path, f"value {name[:80]!a} is made by no operator", code="NB014")
        node = makers[name]
        if node.at not in needed:
            needed[node.at] = node
            queue.extend(node.inputs)
    missing = {at: len({makers[n].at for n in node.inputs if n not in known}) for at, node in needed.items()}
    readers: dict[int, list[int]] = {at: [] for at in needed}
    for at, node in needed.items():
        for source in {makers[n].at for n in node.inputs if n not in known}:
            readers[source].append(at)
    ready = deque(sorted(at for at, n in missing.items() if n == 0))
    order = []
    while ready:
        at = ready.popleft()
        order.append(needed[at])
        for after in sorted(readers[at]):
            missing[after] -= 1
            if missing[after] == 0:
                ready.append(after)
    if len(order) < len(needed):
        loop = [node.shown for at, node in sorted(needed.items()) if missing[at]]
        what = f"operators {', '.join(loop[:LISTED])} form a cycle, expected a feed-forward network"
        raise refused(path, what, code="NB108")
    return order


def _all_known(nodes: list[Node], total: int, path: Path) -> None:
    unknown = [(node, f"operator {node.op}") for node in nodes if node.op not in OPERATORS]
    if unknown:
        raise _unsupported(unknown, total, path)


def _unsupported(problems: list[tuple[Node, str]], total: int, path: Path) -> Unsupported:
    """One error with one finding for each different problem: what, how often, at which nodes."""
    kinds: dict[str, list[Node]] = {}
    for node, what in problems:
        kinds.setdefault(what, []).append(node)
    findings = []
    for what, nodes in sorted(kinds.items()):
        names = ", ".join(node.shown for node in nodes[:LISTED])
        more = f" and {len(nodes) - LISTED} more" if len(nodes) > LISTED else ""
        times = "once" if len(nodes) == 1 else f"{len(nodes)} times"
        message = f"{what} has no spiking form here; it stands {times}: {names}{more}"
        findings.append(Finding(code="NB201", level="error", node=nodes[0].shown, message=message))
    count = sum(len(nodes) for nodes in kinds.values())
    return Unsupported(
        f"{path}: {count} of {total} operators cannot be converted: "
        + "; ".join(f"{what} ({len(nodes)})" for what, nodes in sorted(kinds.items())),
        code="NB201",
        fix=f"use these: {', '.join(sorted(OPERATORS))}",
        findings=findings,
    )


def _sample_shape(info: Any, path: Path) -> tuple[int, ...]:
    """The shape of the input without its first axis, the batch."""
    kind = info.type.tensor_type
    name = ascii(info.name[:80])
    if not info.type.HasField("tensor_type") or kind.elem_type not in FLOATS:
        raise refused(path, f"input {name} is no tensor of floats", code="NB010")
    dims = [int(dim.dim_value) if dim.HasField("dim_value") else 0 for dim in kind.shape.dim]
    if not 2 <= len(dims) <= 4 or min(dims[1:]) < 1:
        shown = ", ".join("?" if d < 1 else str(d) for d in dims[:LISTED])
        raise refused(
            path,
            f"input {name} has shape ({shown}), expected a batch axis and 1 to 3 axes of known size",
            code="NB109",
            fix="export with fixed sizes; only the batch may be free",
        )
    if math.prod(dims[1:]) > MAX_ELEMENTS:
        what = f"input {name} has shape {tuple(dims[1:])}, expected at most {MAX_ELEMENTS} values"
        raise refused(path, what, code="NB007", fix="export the model for smaller samples")
    return tuple(dims[1:])


def _finite(name: str, array: Any, path: Path) -> Any:
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise refused(path, f"tensor {name[:80]!a} holds values that are not finite", code="NB120")
    return array
