"""Delays per synapse: a weight node with a matrix of steps in memory, plain NIR on disk (NIR_TOOLKIT.md §5).

NIR has no delay per synapse. A *lowered* graph has a `Delay` ``<n>_d<k>`` and a weight node ``<n>_w<k>``
for each distinct delay of k steps, side by side and summed, so that every reader computes the same
network. A *folded* one has a single weight node ``<n>`` whose metadata hold the steps.
"""

from __future__ import annotations

import re
from collections.abc import Iterable
from copy import deepcopy
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph.copying import copy, make
from nirbridge.graph.metadata import read_metadata
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import Quantization, quantization_of

KEY = "nirbridge_delay"
Steps = NDArray[np.int32]
_BRANCH = re.compile(r"(.+)_w(\d+)")


def is_folded(graph: nir.NIRGraph) -> bool:
    """Whether a weight node of the graph, subgraphs included, carries delays in its metadata."""
    return any(
        is_folded(node) if isinstance(node, nir.NIRGraph) else KEY in node.metadata
        for node in graph.nodes.values()
    )


def steps_of(node: nir.NIRNode, name: str) -> Steps | None:
    """Delay of every synapse in steps, int32 of the weight's shape, or None where the node has none.

    Raises `BadInput` (NB401) where the metadata are no such array or hold a negative step.
    """
    if KEY not in node.metadata:
        return None
    weight: Any = getattr(node, "weight", None)
    shape = np.shape(weight)
    raw = np.asarray(node.metadata[KEY])
    if raw.shape != shape or len(shape) != 2 or raw.dtype.kind not in "iu" or np.any(raw < 0):
        raise BadInput(
            f"node '{name}': metadata '{KEY}' is an array of {raw.dtype} and shape {raw.shape}, expected "
            f"integers from 0 of the weight's shape {shape}",
            code="NB401",
            fix="fold the delays again from the lowered graph",
        )
    return raw.astype(np.int32)


def whole_steps(delay: Any, step: float) -> NDArray[np.int64]:
    """Delays in the file's unit as steps, halves up; ``step``: file units in a step, dt/time_unit."""
    return np.floor(np.asarray(delay, np.float64) / step + 0.5).astype(np.int64)


def step_of(graph: nir.NIRGraph) -> float:
    """File units in a step, dt/time_unit. Raises `BadInput` (NB301) where the graph says no dt."""
    metadata = read_metadata(graph)
    if metadata is None:
        raise BadInput(
            "the graph says no dt, and a delay in steps needs one", code="NB301", fix="state --dt SECONDS"
        )
    return metadata.dt / metadata.time_unit


def fold(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The flat graph with every `Delay` in front of a Linear or Affine taken into its matrix of steps.

    A weight node whose only source is a Delay reads that Delay's source instead. Weight nodes between
    the same nodes, of which one is delayed, become one where no synapse stands in two of them and their
    integers share one scale; it is called ``<n>`` if they are ``<n>_w<k>``, else as the first of them.
    Delays are rounded to whole steps; other Delays stay. Spikes are unchanged.
    """
    if not any(isinstance(node, nir.Delay) for node in graph.nodes.values()):
        return copy(graph)
    step = step_of(graph)
    nodes: dict[str, Any] = {name: deepcopy(node) for name, node in graph.nodes.items()}
    into: dict[str, set[str]] = {name: set() for name in nodes}
    for a, b in graph.edges:
        into[b].add(a)
    for name, node in nodes.items():
        while _takes_delays(node) and len(into[name]) == 1:
            (source,) = into[name]
            if not isinstance(nodes[source], nir.Delay) or len(into[source]) != 1:
                break
            more = np.broadcast_to(whole_steps(nodes[source].delay, step).reshape(-1), np.shape(node.weight))
            old = steps_of(node, name)
            node.metadata[KEY] = more.astype(np.int32) if old is None else (old + more).astype(np.int32)
            into[name] = set(into[source])
    was_used = {a for a, _ in graph.edges}
    while True:
        used = set().union(*into.values())
        gone = [n for n in nodes if isinstance(nodes[n], nir.Delay) and n in was_used and n not in used]
        if not gone:
            break
        for name in gone:
            del nodes[name], into[name]
    edges = sorted((a, b) for b, sources in into.items() for a in sources)
    return _merged(make(nodes, edges, deepcopy(graph.metadata)))


def _takes_delays(node: nir.NIRNode) -> bool:
    return isinstance(node, nir.Linear | nir.Affine) and np.ndim(node.weight) == 2


def _merged(graph: nir.NIRGraph) -> nir.NIRGraph:
    """Parallel weight nodes with delays as one node each, where they do not overlap."""
    sources: dict[str, set[str]] = {name: set() for name in graph.nodes}
    targets: dict[str, set[str]] = {name: set() for name in graph.nodes}
    for a, b in graph.edges:
        sources[b].add(a)
        targets[a].add(b)
    groups: dict[tuple[Any, ...], list[str]] = {}
    nodes: dict[str, Any] = dict(graph.nodes)
    for name, node in sorted(nodes.items()):
        if _takes_delays(node) and len(sources[name]) == 1:
            key = (*sources[name], tuple(sorted(targets[name])), np.shape(node.weight), _scale(node, name))
            groups.setdefault(key, []).append(name)
    renamed: dict[str, str] = {}
    for names in groups.values():
        if not any(KEY in nodes[name].metadata for name in names):
            continue
        for members in _disjoint(nodes, names):
            if len(members) == 1 and KEY not in nodes[members[0]].metadata:
                continue
            goal = _stem(nodes, members)
            node = _sum_of([nodes.pop(name) for name in members], members)
            nodes[goal] = node
            renamed |= dict.fromkeys(members, goal)
    edges = {(renamed.get(a, a), renamed.get(b, b)) for a, b in graph.edges}
    return make(nodes, sorted(edges), graph.metadata)


def _scale(node: nir.NIRNode, name: str) -> tuple[Any, ...] | None:
    """What must agree between integer weights of one matrix; None for floats."""
    q = quantization_of(node, name)
    return None if q is None else (q.scale.tobytes(), q.zero_point, q.bits, q.axis)


def _disjoint(nodes: dict[str, Any], names: Iterable[str]) -> list[list[str]]:
    """The names in groups whose nonzero weights lie in different places, first come first."""
    groups: list[tuple[list[str], NDArray[np.bool_]]] = []
    for name in names:
        mask = np.asarray(nodes[name].weight) != 0
        for members, taken in groups:
            if not np.any(taken & mask):
                members.append(name)
                taken |= mask
                break
        else:
            groups.append(([name], mask))
    return [members for members, _ in groups]


def _stem(nodes: dict[str, Any], members: list[str]) -> str:
    """``n`` for members ``n_w0``, ``n_w3``, … that carry just those delays; else the first member."""
    stems = set()
    for name in members:
        found = _BRANCH.fullmatch(name)
        steps = steps_of(nodes[name], name)
        held = {0} if steps is None else set(steps[np.asarray(nodes[name].weight) != 0].tolist())
        stems.add(found[1] if found and held <= {int(found[2])} else None)
    (stem,) = stems if len(stems) == 1 else (None,)
    return members[0] if stem is None or stem in nodes else stem


def _sum_of(parts: list[Any], names: list[str]) -> nir.NIRNode:
    """One weight node for parts whose weights do not overlap."""
    weight = np.asarray(parts[0].weight)
    delay = np.zeros(weight.shape, np.int32)
    q = None
    for part, name in zip(parts, names, strict=True):
        mask = np.asarray(part.weight) != 0
        steps = steps_of(part, name)
        if steps is not None:
            delay[mask] = steps[mask]
        mine = quantization_of(part, name)
        if part is not parts[0]:
            weight = np.where(mask, np.asarray(part.weight), weight)
        if mine is not None:
            q = _with(mine, mine.q if q is None else np.where(mask, mine.q, q.q))
    biases = [np.asarray(part.bias) for part in parts if isinstance(part, nir.Affine)]
    metadata = {k: v for part in reversed(parts) for k, v in part.metadata.items()}
    metadata[KEY] = delay
    if q is not None:
        metadata[QUANTIZED] = q.as_metadata()
    if biases:
        return nir.Affine(
            weight=weight, bias=np.sum(biases, axis=0, dtype=biases[0].dtype), metadata=metadata
        )
    return nir.Linear(weight=weight, metadata=metadata)


def _with(q: Quantization, integers: NDArray[np.int8]) -> Quantization:
    return Quantization(q=integers, scale=q.scale, zero_point=q.zero_point, bits=q.bits, axis=q.axis)


def lower(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph in plain NIR: for each distinct delay k of a weight node a Delay and the weights it delays.

    No Delay stands in front of the branch with k = 0; zero weights need no branch; a bias stands on the
    branch of the smallest k. A node whose delays are all 0 keeps its name. Spikes are unchanged; sums
    of floats may differ in order. Raises `Unsupported` (NB208) where a name is taken.
    """
    if not is_folded(graph):
        return copy(graph)
    step = step_of(graph)
    return _lowered(graph, step)


def _lowered(graph: nir.NIRGraph, step: float) -> nir.NIRGraph:
    nodes: dict[str, Any] = {}
    edges = [(str(a), str(b)) for a, b in graph.edges]
    for name, node in graph.nodes.items():
        if isinstance(node, nir.NIRGraph):
            nodes[name] = _lowered(node, step)
            continue
        nodes[name] = deepcopy(node)
        steps = steps_of(node, name)
        if steps is None:
            continue
        plain: Any = nodes.pop(name)
        del plain.metadata[KEY]
        distinct = [int(k) for k in np.unique(steps[np.asarray(plain.weight) != 0])] or [0]
        if distinct == [0]:
            nodes[name] = plain
            continue
        sources = [a for a, b in edges if b == name]
        targets = [b for a, b in edges if a == name]
        edges = [edge for edge in edges if name not in edge]
        for k in distinct:
            branch = f"{name}_w{k}"
            nodes[branch] = _branch(plain, name, steps == k, bias=k == distinct[0])
            before = branch
            if k > 0:
                before = f"{name}_d{k}"
                value = np.full(plain.weight.shape[1], k * step, np.float32)
                nodes[before] = nir.Delay(delay=value)
                edges.append((before, branch))
            edges += [(a, before) for a in sources] + [(branch, b) for b in targets]
            taken = {before, branch} & set(graph.nodes)
            if taken:
                raise Unsupported(
                    f"node '{name}' cannot be lowered: the name '{min(taken)}' is taken",
                    code="NB208",
                    fix=f"rename the node '{min(taken)}'",
                )
    return make(nodes, sorted(edges), deepcopy(graph.metadata))


def _branch(node: Any, name: str, here: NDArray[np.bool_], *, bias: bool) -> nir.NIRNode:
    """The node with only the weights that stand ``here``, as an Affine only if it keeps the bias."""
    weight = np.where(here, node.weight, np.zeros((), np.asarray(node.weight).dtype))
    metadata = deepcopy(node.metadata)
    q = quantization_of(node, name)
    if q is not None:
        integers = np.where(here, q.q, q.zero_point).astype(np.int8)
        metadata[QUANTIZED] = _with(q, integers).as_metadata()
    if isinstance(node, nir.Affine) and bias:
        return nir.Affine(weight=weight, bias=node.bias.copy(), metadata=metadata)
    return nir.Linear(weight=weight, metadata=metadata)
