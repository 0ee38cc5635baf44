"""Fold the input weight of Cuba neurons into the weights in front of them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np

from nirbridge.graph import inline, read_metadata, replace_nodes
from nirbridge.passes.row_scaling import scale_rows
from nirbridge.semantics import semantics_of


@dataclass(frozen=True)
class FoldInputWeight:
    """W, b ← w_in·W, w_in·b, row by row, then w_in ← 1 (SEMANTICS.md R1).

    What stays equal: I and V, so every spike time, up to float rounding of the products; for
    readers that ignore w_in the network becomes right. Under the gain ``unit``, which ignores it
    already, nothing changes.
    """

    name: ClassVar[str] = "fold-input-weight"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        if read_metadata(flat) is not None and semantics_of(flat).gain == "unit":
            return flat
        factors = {}
        changed: dict[str, nir.NIRNode] = {}
        for name, node in flat.nodes.items():
            if not isinstance(node, nir.CubaLIF | nir.CubaLI):
                continue
            w_in = np.asarray(node.w_in, dtype=np.float64)
            if np.all(w_in == 1.0):
                continue
            size = int(np.prod(node.input_type["input"]))
            factors[name] = np.broadcast_to(w_in.reshape(-1), (size,)).copy()
            folded = deepcopy(node)
            folded.w_in = np.ones_like(np.asarray(node.w_in))
            changed[name] = folded
        if not factors:
            return flat
        return replace_nodes(flat, {**scale_rows(flat, factors, self.name), **changed})
