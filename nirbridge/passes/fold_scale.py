"""Scale nodes taken into the weights or parameters beside them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.graph import inline, make, read_metadata
from nirbridge.passes.row_scaling import float_like
from nirbridge.passes.weight_scaling import scale_inputs, scale_outputs
from nirbridge.passes.wiring import Wiring
from nirbridge.semantics import Semantics, semantics_of


@dataclass(frozen=True)
class FoldScale:
    """``s·x`` becomes part of a neighbour that nobody else uses, and the Scale node is gone.

    Into the weight node in front (W, b ← s·W, s·b, row by row), else into what follows, if each reader
    hears only this Scale: weights (columns of W), another Scale (product), r of I, IF, LI and LIF and
    w_in of Cuba neurons. A Scale of ones is taken out wherever no edge then stands twice. Left alone
    are a Scale that a Conv would need to vary within a channel, neighbours that are shared, weights that
    are quantised, r where s ≤ 0 and w_in where s is 0, and neurons under a gain of ``unit`` or a bias
    path past the synapse.

    What stays equal: I and V, so every spike time, up to float rounding of the products.
    """

    name: ClassVar[str] = "fold-scale"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        wiring, nodes = Wiring.of(flat), flat.nodes
        semantics = None if read_metadata(flat) is None else semantics_of(flat)
        changed = True
        while changed:
            changed = False
            for name in sorted(n for n, node in nodes.items() if isinstance(node, nir.Scale)):
                taken = _taken(name, nodes, wiring, semantics)
                if taken is not None and wiring.can_bypass(name):
                    wiring.bypass(name)
                    del nodes[name]
                    nodes.update(taken)
                    changed = True
        return make(nodes, wiring.edges(), flat.metadata)


def _taken(
    name: str, nodes: dict[str, nir.NIRNode], wiring: Wiring, semantics: Semantics | None
) -> dict[str, nir.NIRNode] | None:
    """The neighbours that take the Scale over, as they then are; None where there are none."""
    scale = np.asarray(getattr(nodes[name], "scale"), np.float64)  # noqa: B009
    if np.all(scale == 1.0):
        return {}
    before, after = wiring.before[name], wiring.after[name]
    if len(before) == 1:
        (source,) = before
        if wiring.only_pair(source, name):
            folded = scale_outputs(nodes[source], scale)
            if folded is not None:
                return {source: folded}
    if any(wiring.before[b] != {name} for b in after):
        return None
    found = {b: _reading(nodes[b], scale, semantics) for b in after}
    return {b: node for b, node in found.items() if node is not None} if None not in found.values() else None


def _reading(node: Any, scale: Any, semantics: Semantics | None) -> nir.NIRNode | None:
    """The node that reads x as this one reads ``scale·x``."""
    if isinstance(node, nir.Scale):
        return _multiplied(node, "scale", scale, np.shape(node.scale))
    if isinstance(node, nir.CubaLIF | nir.CubaLI):
        field, allowed = "w_in", np.all(scale != 0)
    elif isinstance(node, nir.I | nir.IF | nir.LI | nir.LIF):
        field, allowed = "r", np.all(scale > 0)
    else:
        return scale_inputs(node, scale)
    if not allowed or (semantics and (semantics.gain == "unit" or semantics.bias_path != "synapse")):
        return None
    return _multiplied(node, field, scale, tuple(node.input_type["input"]))


def _multiplied(node: Any, field: str, scale: Any, shape: tuple[int, ...]) -> nir.NIRNode | None:
    old = np.asarray(getattr(node, field))
    try:
        new = np.broadcast_to(old.astype(np.float64) * scale, np.broadcast_shapes(shape, np.shape(scale)))
    except ValueError:
        return None
    result: nir.NIRNode = deepcopy(node)
    value = float_like(old, np.array(new))
    setattr(result, field, value)
    return result if value.shape == shape and np.all(np.isfinite(value)) else None
