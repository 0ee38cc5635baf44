"""Two weight nodes in series as one."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.graph import inline, make
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.passes.wiring import Wiring


@dataclass(frozen=True)
class FuseAffine:
    """Linear or Affine a, then Linear or Affine b: ``W = W_b·W_a, bias = W_b·bias_a + bias_b``, called b.

    Only where b alone reads a and reads nothing else, chains of any length included. Quantised weights
    and folded delays stay apart. The product can hold more weights than the pair: a matrix of low rank
    becomes a full one.

    What stays equal: what arrives at every neuron, so every spike time, up to float rounding of the sums.
    """

    name: ClassVar[str] = "fuse-affine"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        wiring, nodes = Wiring.of(flat), flat.nodes
        for name in sorted(nodes):
            while name in nodes and len(wiring.before[name]) == 1:
                (source,) = wiring.before[name]
                if source == name or not wiring.only_pair(source, name) or not wiring.can_bypass(source):
                    break
                fused = _fused(nodes[source], nodes[name])
                if fused is None:
                    break
                wiring.bypass(source)
                del nodes[source]
                nodes[name] = fused
        return make(nodes, wiring.edges(), flat.metadata)


def _fused(a: Any, b: Any) -> nir.NIRNode | None:
    """b after a as one node, or None where that is none."""
    if not all(isinstance(node, nir.Linear | nir.Affine) for node in (a, b)):
        return None
    if any(key in node.metadata for node in (a, b) for key in (DELAYS, QUANTIZED)):
        return None
    first, second = (np.asarray(node.weight, np.float64) for node in (a, b))
    if first.shape[:-1] != (*second.shape[:-2], second.shape[-1]):
        return None
    dtype = np.result_type(a.weight, b.weight, np.float32)
    weight = (second @ first).astype(dtype)
    bias = np.zeros(second.shape[:-1])
    if isinstance(a, nir.Affine):
        given = np.broadcast_to(np.asarray(a.bias, np.float64), first.shape[:-1])
        bias = bias + (second @ given[..., None])[..., 0]
    if isinstance(b, nir.Affine):
        bias = bias + np.asarray(b.bias, np.float64)
    if not (np.all(np.isfinite(weight)) and np.all(np.isfinite(bias.astype(dtype)))):
        return None
    metadata = deepcopy(b.metadata)
    if isinstance(a, nir.Affine) or isinstance(b, nir.Affine):
        return nir.Affine(weight=weight, bias=bias.astype(dtype), metadata=metadata)
    return nir.Linear(weight=weight, metadata=metadata)
