"""A pass: small weights become 0."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.errors import UsageError
from nirbridge.graph import inline, replace_nodes


@dataclass(frozen=True)
class PruneWeights:
    """Set every weight below ``share`` of its array's largest magnitude to 0.

    What stays equal: the weights that are left, and every shape.
    """

    share: float = 0.05
    name: ClassVar[str] = "prune-weights"
    law: ClassVar[str] = "a weight errs by share·max|w| at most"

    def __post_init__(self) -> None:
        if not 0 <= self.share <= 1:
            raise UsageError(f"prune-weights: share is {self.share:g}, expected 0 to 1", code="NB701")

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        changed: dict[str, nir.NIRNode] = {}
        for name, node in flat.nodes.items():
            if isinstance(node, nir.Linear | nir.Affine):
                pruned: Any = deepcopy(node)
                magnitude = np.abs(node.weight)
                pruned.weight[magnitude < self.share * magnitude.max(initial=0.0)] = 0.0
                changed[name] = pruned
        return replace_nodes(flat, changed)
