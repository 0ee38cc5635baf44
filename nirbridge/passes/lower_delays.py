"""Delays kept in metadata become Delay nodes that every reader of NIR understands."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.graph.delays import lower


@dataclass(frozen=True)
class LowerDelays:
    """One weight node ``n`` with steps D becomes, for each distinct k, a Delay ``n_d<k>`` of k·dt in
    front of a weight node ``n_w<k>`` with the weights where D_ij = k (NIR_TOOLKIT.md §5).

    What stays equal: every spike time; sums of floats may differ in order.
    """

    name: ClassVar[str] = "lower-delays"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return lower(graph)
