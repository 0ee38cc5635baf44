"""A graph for Euler steps rewritten for readers with exact decay."""

from __future__ import annotations

from dataclasses import dataclass
from typing import ClassVar

import nir

from nirbridge.passes.decay_kind import with_decay


@dataclass(frozen=True)
class ToExact:
    """τ ← −dt/ln(1 − dt/τ), so that e^(−dt/τ) is the factor that 1 − dt/τ was: `to-euler` backwards.

    τ and dt in one unit. With gain ``matched`` nothing else changes; under other gains r and w_in are
    scaled so that a spike adds what it added. The semantics say ``decay: exact``. A graph that is exact
    already stays.

    What stays equal: the factors, the gains, so every V and every spike time, up to float rounding.
    """

    name: ClassVar[str] = "to-exact"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        return with_decay(graph, "exact", self.name)
