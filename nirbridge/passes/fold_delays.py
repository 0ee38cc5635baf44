"""Delay nodes in front of weights become one weight node with a matrix of steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.graph import inline
from nirbridge.graph.delays import fold


@dataclass(frozen=True)
class FoldDelays:
    """W_k behind a Delay of k steps, for each k, become one W with D_ij = k where W_k,ij ≠ 0.

    The result lives in memory: written to a file it is lowered again (NIR_TOOLKIT.md §5), and its
    digest is that of its lowered form.

    What stays equal: every spike time; sums of floats may differ in order.
    """

    name: ClassVar[str] = "fold-delays"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return fold(inline(graph))
