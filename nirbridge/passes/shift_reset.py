"""The membrane measured from its reset, for readers that reset to 0."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.errors import Finding, FindingWarning
from nirbridge.graph import inline, read_metadata, replace_nodes
from nirbridge.passes.row_scaling import float_like, refused
from nirbridge.semantics import Semantics, semantics_of


@dataclass(frozen=True)
class ShiftReset:
    """(θ, v_reset, v_leak) ← (θ, v_reset, v_leak) − v_reset, neuron by neuron (SEMANTICS.md R8).

    V' = V − v_reset obeys the same equation, under a reset to v_reset and under one that subtracts
    θ − v_reset (profile ``genn``). Both start at 0 though, so V' has an extra −v_reset·a_m^t until its
    first reset (under I and IF it does not decay): exact from the start only where V starts at v_leak
    (``v_init="leak"``); elsewhere a `FindingWarning` (NB204) says so. Where the reset subtracts θ, v_reset
    plays no part and becomes 0.

    What stays equal: spike times of a neuron from the first step at which it resets with and without the
    shift; all of them where V starts at v_leak or v_reset plays no part.
    """

    name: ClassVar[str] = "shift-reset"
    law: ClassVar[str] = "spike times unchanged if V starts at v_reset"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        semantics = Semantics(dt=1.0) if read_metadata(flat) is None else semantics_of(flat)
        unused = semantics.reset == "subtract" and semantics.profile != "genn"
        changed: dict[str, nir.NIRNode] = {}
        for name, node in sorted(flat.nodes.items()):
            if isinstance(node, nir.IF | nir.LIF | nir.CubaLIF) and _resets_elsewhere(node):
                if not unused:
                    _refuse_other_rules(name, semantics)
                changed[name] = _shifted(node, unused)
        if changed and not unused and semantics.v_init == "zero":
            _warn(sorted(changed))
        return replace_nodes(flat, changed)


def _resets_elsewhere(node: nir.IF | nir.LIF | nir.CubaLIF) -> bool:
    return node.v_reset is not None and bool(np.any(np.asarray(node.v_reset) != 0))


def _shifted(node: Any, unused: bool) -> nir.NIRNode:
    result: Any = deepcopy(node)
    reset = np.asarray(node.v_reset, np.float64)
    result.v_reset = np.zeros_like(np.asarray(node.v_reset))
    for field in () if unused else ("v_threshold", "v_leak"):
        if hasattr(node, field):
            old = np.asarray(getattr(node, field))
            setattr(result, field, float_like(old, old.astype(np.float64) - reset))
    shifted: nir.NIRNode = result
    return shifted


def _refuse_other_rules(name: str, semantics: Semantics) -> None:
    """Rules under which a shifted V means something else."""
    for field, moved in (("multi_spike", semantics.multi_spike), ("floor", semantics.floor)):
        if moved:
            raise refused(
                "NB210",
                name,
                f"node '{name}': under {field}={moved!r} a membrane shifted by v_reset spikes otherwise",
                f"set v_reset to 0 by training, or state semantics without {field}",
            )


def _warn(names: list[str]) -> None:
    listed = ", ".join(f"'{name}'" for name in names[:4]) + (", …" if len(names) > 4 else "")
    finding = Finding(
        code="NB204",
        level="warning",
        node=names[0],
        message=f"shift-reset: V of {listed} starts at 0, which was v_reset before the shift: "
        "spikes may differ until the first reset",
        fix="compare the two graphs on data: nirbridge compare",
    )
    warnings.warn(FindingWarning(finding), stacklevel=3)
