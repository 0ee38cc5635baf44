"""A spike at V ≥ θ written for readers that spike at V > θ."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass, replace
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.errors import Unsupported
from nirbridge.graph import inline, replace_nodes
from nirbridge.semantics import Semantics, semantics_of, with_semantics


@dataclass(frozen=True)
class StrictThreshold:
    """θ becomes the next float below it, and the semantics compare with ``>`` (SEMANTICS.md R6).

    No float lies between the two, so V > θ' is V ≥ θ. The float type is that of the arithmetic (float32 or
    float64), in which θ is then stored. Only for a reset to v_reset: one that subtracts must go on removing
    the old θ. A graph that compares with ``>`` already stays.

    What stays equal: every V and every spike, bit for bit, under the arithmetic that the semantics name.
    """

    name: ClassVar[str] = "strict-threshold"
    law: ClassVar[str] = "spikes unchanged bit for bit"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        semantics = semantics_of(flat)
        if semantics.compare == ">":
            return flat
        _refuse_other_rules(semantics)
        dtype = np.float64 if semantics.arithmetic == "float64" else np.float32
        changed: dict[str, nir.NIRNode] = {}
        for name, node in flat.nodes.items():
            if isinstance(node, nir.IF | nir.LIF | nir.CubaLIF):
                lower: Any = deepcopy(node)
                theta = np.asarray(node.v_threshold).astype(dtype)
                lower.v_threshold = np.nextafter(theta, dtype(-np.inf), dtype=dtype)
                changed[name] = lower
        return with_semantics(replace_nodes(flat, changed), replace(semantics, compare=">"))


def _refuse_other_rules(semantics: Semantics) -> None:
    for field, value, takes in (
        ("reset", semantics.reset, "value"),
        ("multi_spike", semantics.multi_spike, False),
        ("floor", semantics.floor, None),
        ("arithmetic", semantics.arithmetic, ("float32", "float64")),
    ):
        if value != takes and not (isinstance(takes, tuple) and value in takes):
            expected = " or ".join(takes) if isinstance(takes, tuple) else takes
            raise Unsupported(
                f"strict-threshold: the semantics have {field}={value!r}, expected {expected!r}: the old "
                "threshold counts there too",
                code="NB210",
                fix="keep compare '>=', or use a target that compares so",
            )
