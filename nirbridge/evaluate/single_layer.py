"""One layer of a network as a graph of its own, fed by an Input with the channels of all its sources."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.graph import make
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.delays import steps_of
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.graph.quantization import Quantization, quantization_of
from nirbridge.network import Network, Source, Sparse, Stage, operator
from nirbridge.semantics import with_semantics

CELLS = 1 << 25  # of a matrix that stands for a convolution
_IN, _OUT, _WEIGHTS = "_input", "_output", "_weights"


def alone(network: Network, at: int) -> tuple[nir.NIRGraph, tuple[Source, ...]]:
    """The graph of one population with its synapses, and the sources of its channels, block by block.

    A layer with one source keeps its nodes; the weights of several become one matrix, convolutions
    written out. Raises `Unsupported` (NB202) where that cannot be done.
    """
    drive = network.drives[at]
    inputs = [*drive.inputs, *(item for stage in drive.stages for item in stage.inputs)]
    sources = tuple(item for item in inputs if isinstance(item, Source))
    if len(sources) == 1:
        return _path(network, at), sources
    terms = _terms(network, at)
    return _matrix(network, at, terms), tuple(term.source for term in terms)


def _path(network: Network, at: int) -> nir.NIRGraph:
    """Input → the nodes between the one source and the layer, as they are → the layer → Output."""
    drive, p = network.drives[at], network.populations[at]
    edges: list[tuple[str, str]] = []

    def connect(items: tuple[Source | int, ...], name: str) -> None:
        edges.extend((_IN if isinstance(i, Source) else drive.stages[i].name, name) for i in items)

    shape = p.shape
    for stage in drive.stages:
        connect(stage.inputs, stage.name)
        if isinstance(stage.inputs[0], Source):
            shape = stage.in_shape
    connect(drive.inputs, p.name)
    return _graph(network, at, {s.name: deepcopy(s.node) for s in drive.stages}, edges, shape)


def _graph(
    network: Network, at: int, between: dict[str, Any], edges: list[tuple[str, str]], shape: tuple[int, ...]
) -> nir.NIRGraph:
    p = network.populations[at]
    nodes = {
        _IN: nir.Input({"input": np.array(shape)}),
        **between,
        p.name: deepcopy(p.node),
        _OUT: nir.Output({"output": np.array(p.shape)}),
    }
    return with_semantics(make(nodes, [*edges, (p.name, _OUT)]), network.semantics)


@dataclass(frozen=True, slots=True, eq=False)
class _Term:
    """Weights (n_post, n_pre) from one source; q, steps alike or None; bias (n_post,) or None."""

    source: Source
    node: Any
    weight: NDArray[np.floating]
    q: Quantization | None
    steps: NDArray[np.int32] | None
    bias: NDArray[np.float64] | None


def _terms(network: Network, at: int) -> list[_Term]:
    drive, p = network.drives[at], network.populations[at]
    of_stage: list[list[Source]] = []
    weighted: list[list[_Term]] = []
    for stage in drive.stages:
        reached: list[Source] = []
        for item in stage.inputs:
            if isinstance(item, int) and weighted[item]:
                raise Unsupported(f"node '{stage.name}' stands behind other weights", code="NB202")
            reached += [item] if isinstance(item, Source) else of_stage[item]
        plain = isinstance(stage.node, nir.Flatten)
        of_stage.append(reached if plain else [])
        weighted.append([] if plain else _of_stage(stage, reached))
    found: list[_Term] = []
    for item in drive.inputs:
        if isinstance(item, Source) or not weighted[item]:
            raise Unsupported(f"node '{p.name}' is fed without weights", code="NB202")
        found += weighted[item]
    return found


def _of_stage(stage: Stage, sources: list[Source]) -> list[_Term]:
    node: Any = stage.node
    if not hasattr(node, "weight"):
        raise Unsupported(f"node '{stage.name}' has no weights", code="NB202")
    weight = np.asarray(node.weight)
    q = quantization_of(node, stage.name)
    steps = None
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        weight = _written_out(stage, weight)
        if q is not None:
            if q.scale.size != 1:
                raise Unsupported(f"node '{stage.name}' has a scale a channel", code="NB202")
            integers = _written_out(stage, q.q.astype(np.float64) - q.zero_point) + q.zero_point
            q = Quantization(q=integers.astype(np.int8), scale=q.scale, zero_point=q.zero_point, bits=q.bits)
            weight = q.weight()
    else:
        steps = steps_of(node, stage.name)
    bias = operator(node, stage.name, stage.in_shape).bias
    return [_Term(s, node, weight, q, steps, bias if k == 0 else None) for k, s in enumerate(sources)]


def _written_out(stage: Stage, kernel: NDArray[np.floating]) -> NDArray[np.float64]:
    """The matrix (n_post, n_pre) of a convolution with this kernel."""
    node: Any = deepcopy(stage.node)
    node.weight = kernel
    sparse = operator(node, stage.name, stage.in_shape).matrix
    if not isinstance(sparse, Sparse) or sparse.n_in * sparse.n_out > CELLS:
        raise Unsupported(f"node '{stage.name}' is too large to be written out as a matrix", code="NB202")
    return np.asarray(sparse, np.float64)


def _matrix(network: Network, at: int, terms: list[_Term]) -> nir.NIRGraph:
    """Input (one block of channels a source) → all weights in one node → the layer → Output."""
    weight = np.concatenate([term.weight for term in terms], axis=1)
    metadata: dict[str, Any] = {}
    for term in terms:
        metadata |= {k: v for k, v in term.node.metadata.items() if k not in (QUANTIZED, DELAYS)}
    if any(term.steps is not None for term in terms):
        blocks = [np.zeros(t.weight.shape, np.int32) if t.steps is None else t.steps for t in terms]
        metadata[DELAYS] = np.concatenate(blocks, axis=1)
    known = [term.q for term in terms if term.q is not None]
    if len(known) == len(terms):
        joined = np.concatenate([one.q for one in known], axis=1)
        q = Quantization(q=joined, scale=known[0].scale, zero_point=known[0].zero_point, bits=known[0].bits)
        metadata[QUANTIZED] = q.as_metadata()
    biases = [term.bias for term in terms if term.bias is not None]
    node: nir.NIRNode = nir.Linear(weight=weight, metadata=metadata)
    if biases:
        node = nir.Affine(weight=weight, bias=np.sum(biases, axis=0), metadata=metadata)
    p = network.populations[at]
    if len(p.shape) == 1:
        return _graph(network, at, {_WEIGHTS: node}, [(_IN, _WEIGHTS), (_WEIGHTS, p.name)], weight.shape[1:])
    raise Unsupported(f"node '{p.name}' has several sources and shape {p.shape}", code="NB202")
