"""Mend what has exactly one repair: NB104, NB105, NB110, NB111, NB116, NB117, NB119."""

from __future__ import annotations

from typing import Any, Literal

import nir
import numpy as np

from nirbridge.graph import copy
from nirbridge.validate.fields import FIELDS, type_name
from nirbridge.validate.shape_rules import square_weights, transposed_weights
from nirbridge.validate.shapes import Shape, as_shape, input_shape, unbatched
from nirbridge.validate.view import View, view_of
from nirbridge.validate.wiring import misplaced_inputs

Transpose = Literal["stop", "mismatched", "all"]
"""Which weights of a file with (in, out) ones are turned where square weights leave the order open."""


def repair(graph: nir.NIRGraph, *, transpose: Transpose = "stop") -> nir.NIRGraph:
    """A copy with every defect mended whose repair is unique; all else stays, for `validate` to list.

    An edge to an absent node goes to the one unused node (NB104); duplicate edges go once (NB105);
    (in, out) weights are transposed (NB110), where a square weight leaves the file's order open only
    if ``transpose`` says which: the mismatched ones, or all;
    scalar parameters take the shape that arrives (NB111); batch axes of ports are dropped (NB116);
    empty port shapes are filled in (NB117); a subgraph's Input moves from the recurrent weight to
    the neuron (NB119). Running it twice changes nothing more.
    """
    result = copy(graph)
    for mend in (_edges, _inputs_of_loops):
        for level in view_of(result).flat.graphs.values():
            mend(level)
    _transpose(view_of(result), transpose)
    for mend_nodes in (_broadcast, _strip_batch, _fill_ports, _broadcast):
        mend_nodes(view_of(result))
    return copy(result)


def _edges(graph: nir.NIRGraph) -> None:
    ends = {end for edge in graph.edges for end in edge}
    unknown, unused = ends - set(graph.nodes), set(graph.nodes) - ends
    rename = {unknown.pop(): unused.pop()} if len(unknown) == len(unused) == 1 else {}
    renamed = [(rename.get(a, a), rename.get(b, b)) for a, b in graph.edges]
    graph.edges = list(dict.fromkeys(renamed))


def _inputs_of_loops(graph: nir.NIRGraph) -> None:
    moved = {(name, weight): neuron for name, weight, neuron in misplaced_inputs(graph)}
    graph.edges = [(a, moved.get((a, b), b)) for a, b in graph.edges]


def _transpose(view: View, which: Transpose) -> None:
    wrong = transposed_weights(view)
    nodes = view.flat.nodes.items()
    matrices = [n for n, x in nodes if isinstance(x, nir.Linear | nir.Affine) and np.ndim(x.weight) == 2]
    if not wrong or (which == "stop" and square_weights(view)):
        return
    for name in matrices if which == "all" else wrong:
        node: Any = view.flat.nodes[name]
        node.weight = np.ascontiguousarray(np.asarray(node.weight).T)
        node.__post_init__()


def _broadcast(view: View) -> None:
    for name, node in view.flat.nodes.items():
        fields = FIELDS.get(type_name(node))
        given: dict[str, Any] = {
            key: getattr(node, key)
            for key in (fields.parameters if fields else ())
            if getattr(node, key, None) is not None
        }
        shape = input_shape(node) or (view.arriving.get(name) if view.flat.before[name] else None)
        if shape is None or not any(np.ndim(value) == 0 for value in given.values()):
            continue
        for key, value in given.items():
            if np.ndim(value) == 0:
                setattr(node, key, np.full(shape, value))
        whole: Any = node
        whole.__post_init__()


def _strip_batch(view: View) -> None:
    for name, node in view.flat.nodes.items():
        own = input_shape(node)
        if own is None:
            continue
        if isinstance(node, nir.Output):
            given = view.arriving.get(name)
            stripped = unbatched(own, given) if given is not None else None
        elif isinstance(node, nir.Input):
            out = view.out.get(name, own)
            stripped = out if out != own else None
        else:
            continue
        if stripped is not None:
            _set_port(node, stripped)


def _fill_ports(view: View) -> None:
    for name, node in view.flat.nodes.items():
        shape: Shape | None = None
        if isinstance(node, nir.Output) and input_shape(node) is None and view.flat.before[name]:
            shape = view.arriving.get(name)
        elif isinstance(node, nir.Input) and input_shape(node) is None:
            demands = {input_shape(view.flat.nodes[b]) for b in view.flat.after[name]}
            shape = demands.pop() if len(demands) == 1 else None
        if shape is not None and -1 not in shape and as_shape(shape) is not None:
            _set_port(node, shape)


def _set_port(node: nir.NIRNode, shape: Shape) -> None:
    node.input_type = {"input": np.array(shape)}
    node.output_type = {"output": np.array(shape)}
