"""A graph for exact decay rewritten for readers that make Euler steps."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.passes.decay_kind import with_decay


@dataclass(frozen=True)
class ToEuler:
    """τ ← dt/(1 − e^(−dt/τ)), so that 1 − dt/τ is the factor that e^(−dt/τ) was (SEMANTICS.md R3).

    τ and dt in one unit. With gain ``matched`` nothing else changes; under other gains r and w_in are
    scaled so that a spike adds what it added. The semantics say ``decay: euler``; ``order: exact`` becomes
    ``current-first`` (its I is the exact one before decay). A graph that is Euler already stays.

    What stays equal: the factors, the gains, so every V and every spike time, up to float rounding.
    """

    name: ClassVar[str] = "to-euler"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return with_decay(graph, "euler", self.name)
