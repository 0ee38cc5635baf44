"""Delays in whole steps."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.graph import inline, replace_nodes
from nirbridge.graph.delays import step_of, whole_steps


@dataclass(frozen=True)
class RoundDelays:
    """Every delay becomes k·dt with k = ⌊delay/dt + ½⌋, as any run under the graph's dt reads it.

    What stays equal: every spike time under this dt (SEMANTICS.md §3 rounds alike).
    """

    name: ClassVar[str] = "round-delays"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        found = {name: node for name, node in flat.nodes.items() if isinstance(node, nir.Delay)}
        if not found:
            return flat
        step = step_of(flat)
        changed: dict[str, nir.NIRNode] = {}
        for name, node in found.items():
            rounded: Any = deepcopy(node)
            rounded.delay = (whole_steps(node.delay, step) * step).astype(np.float32)
            changed[name] = rounded
        return replace_nodes(flat, changed)
