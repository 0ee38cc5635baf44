"""Batch normalisation, as NIR can write it, folded into the weights in front of it."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import inline, make
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.passes.weight_scaling import scale_outputs
from nirbridge.passes.wiring import Wiring

Floats = NDArray[np.float64]
WEIGHTS = (nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d)


@dataclass(frozen=True)
class FoldBatchnorm:
    """``y = s·(W·x + b) + t`` becomes ``W ← s·W, b ← s·b + t`` in the weight node, output by output.

    NIR has no batch normalisation. In a file γ·(y − μ)/σ + β stands as nodes that act on each output by
    itself, with s = γ/σ and t = β − s·μ: a Scale, a Linear or Affine whose matrices are diagonal, or a
    Conv of kernel, stride and dilation 1 with one channel a group; also several in a row, such as a Scale
    and then a bias. They are folded where they alone read a Linear, Affine or Conv and read nothing else;
    behind a Conv s and t must be constant in each channel. A Linear that gets a bias becomes an Affine.
    Quantised weights and folded delays of the normalising node stay as they are.

    What stays equal: what arrives at every neuron, so every spike time, up to float rounding.
    """

    name: ClassVar[str] = "fold-batchnorm"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        wiring, nodes = Wiring.of(flat), flat.nodes
        for name in sorted(n for n, node in nodes.items() if isinstance(node, WEIGHTS)):
            while name in nodes and len(wiring.after[name]) == 1:
                (reader,) = wiring.after[name]
                if reader == name or not wiring.only_pair(name, reader) or not wiring.can_bypass(reader):
                    break
                map_ = None if {DELAYS, QUANTIZED} & set(nodes[reader].metadata) else _map(nodes[reader])
                folded = None if map_ is None else scale_outputs(nodes[name], *map_)
                if folded is None:
                    break
                wiring.bypass(reader)
                del nodes[reader]
                nodes[name] = folded
        return make(nodes, wiring.edges(), flat.metadata)


@singledispatch
def _map(node: nir.NIRNode) -> tuple[Floats, Floats] | None:
    """s and t of a node that computes ``s·y + t`` output by output, or None."""
    return None


@_map.register
def _(node: nir.Scale) -> tuple[Floats, Floats] | None:
    return np.asarray(node.scale, np.float64), np.zeros(())


@_map.register(nir.Linear)
@_map.register(nir.Affine)
def _(node: nir.Linear | nir.Affine) -> tuple[Floats, Floats] | None:
    weight = np.asarray(node.weight, np.float64)
    if weight.ndim < 2 or weight.shape[-1] != weight.shape[-2]:
        return None
    diagonal = np.diagonal(weight, axis1=-2, axis2=-1)
    if np.count_nonzero(weight) != np.count_nonzero(diagonal):
        return None
    bias = np.asarray(node.bias, np.float64) if isinstance(node, nir.Affine) else np.zeros(())
    return diagonal, np.broadcast_to(bias, diagonal.shape)


@_map.register(nir.Conv1d)
@_map.register(nir.Conv2d)
def _(node: Any) -> tuple[Floats, Floats] | None:
    weight = np.asarray(node.weight, np.float64)
    n = weight.shape[0]
    padded = not isinstance(node.padding, str) and np.any(np.asarray(node.padding) != 0)
    if weight.size != n or int(node.groups) != n or np.any(np.asarray(node.stride) != 1) or padded:
        return None
    shape = (n, *[1] * (weight.ndim - 2))
    bias = np.zeros(n) if node.bias is None else np.broadcast_to(np.asarray(node.bias, np.float64), (n,))
    return weight.reshape(shape), bias.reshape(shape)
