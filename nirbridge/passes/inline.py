"""A nested graph made flat."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.graph import inline


@dataclass(frozen=True)
class Inline:
    """Node ``n`` of subgraph ``s`` becomes ``s.n``, at every depth; the ports of subgraphs disappear
    (SEMANTICS.md §1, rule 1). The name that a node had stands in ``node.metadata["nirbridge_from"]``.

    What stays equal: the network, so every spike: a run inlines first anyway.
    """

    name: ClassVar[str] = "inline"
    law: ClassVar[str] = "spikes unchanged bit for bit"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return inline(graph)
