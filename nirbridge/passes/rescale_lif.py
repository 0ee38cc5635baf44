"""Move every gain of a neuron into the weights: GeNN's form to Lava's."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import inline, replace_nodes
from nirbridge.network import build
from nirbridge.passes.gains import refuse_other_gains
from nirbridge.passes.row_scaling import float_like, is_one, refused, scale_rows


@dataclass(frozen=True)
class RescaleLif:
    """Rewrite neurons so that a weight of 1 adds exactly 1 to I, and I adds exactly 1 to V, per step.

    With b_s = g_s·w_in and b_m = g_m·r (SEMANTICS.md §3): row j of every W and bias into neuron j is
    multiplied by b_s·b_m, then w_in ← w_in/b_s and r ← r/b_m. That is Lava's
    ``u ← a_s·u + W·s, v ← a_m·v + u`` in NIR's terms (SEMANTICS.md R4, R5). Thresholds, decays and
    the membrane V stay; I is multiplied by b_m. Integer weights keep their integers, where one scale can
    take the factor; else they are refused (NB212).

    What stays equal: every V, so every spike time, up to float rounding of the products.
    """

    name: ClassVar[str] = "rescale-lif"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        network = build(flat)
        factors: dict[str, NDArray[np.float64]] = {}
        changed: dict[str, nir.NIRNode] = {}
        for at in network.neurons:
            p = network.populations[at]
            factor = p.b_m * p.b_s if p.cuba else p.b_m
            if is_one(factor) and is_one(p.b_m):
                continue
            if np.any(factor == 0.0):
                raise refused(
                    "NB124",
                    p.name,
                    f"node '{p.name}' takes no input: r or w_in is 0 at "
                    f"{np.count_nonzero(factor == 0.0)} of {p.size} neurons",
                    "set them to 1 and the weights of these neurons to 0",
                )
            factors[p.name] = factor
            changed[p.name] = _rescaled(flat.nodes[p.name], p.b_m, p.b_s if p.cuba else None)
            refuse_other_gains(changed[p.name], p, network.semantics, ones=True)
        if not factors:
            return flat
        return replace_nodes(flat, {**scale_rows(flat, factors, self.name), **changed})


def _rescaled(node: Any, b_m: NDArray[np.float64], b_s: NDArray[np.float64] | None) -> nir.NIRNode:
    result: Any = deepcopy(node)
    result.r = _divided(node.r, b_m)
    if b_s is not None:
        result.w_in = _divided(node.w_in, b_s)
    rescaled: nir.NIRNode = result
    return rescaled


def _divided(value: NDArray[np.floating], divisor: NDArray[np.float64]) -> NDArray[Any]:
    array = np.asarray(value)
    shape = array.shape if array.size == divisor.size else divisor.shape
    full = np.broadcast_to(array, shape).astype(np.float64)
    return float_like(array, full / divisor.reshape(shape))
