"""Exact and Euler decay of one network: other time constants, the same factor a step (SEMANTICS.md R3)."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.graph import inline, replace_nodes
from nirbridge.network import Population, build
from nirbridge.passes.gains import keep_gains, replaced
from nirbridge.passes.row_scaling import refused
from nirbridge.semantics import Decay, Semantics, semantics_of, with_semantics

Floats = NDArray[np.float64]


def with_decay(graph: nir.NIRGraph, decay: Decay, pass_: str) -> nir.NIRGraph:
    """The flat graph under the other decay, with time constants that give the same factors.

    Where the gains of the semantics then differ, w_in and r are scaled against it. Raises `BadInput`
    (NB301) without dt and `Unsupported`: NB201 where the profile has its own decay, NB303 where no time
    constant gives the factor.
    """
    flat = inline(graph)
    old = semantics_of(flat)
    if old.decay == decay and old.decay_syn in (None, decay):
        return flat
    try:
        new = replace(old, decay=decay, decay_syn=None)
        if old.order == "exact":  # J = I + b_s·x is what current-first calls I, and V reads J in both
            new = replace(new, order="current-first", syn_input="after")
    except ValueError as cause:
        raise Unsupported(f"{pass_}: {cause}", code="NB201", fix=f"leave {pass_} out") from cause
    network = build(flat, old)
    changed: dict[str, nir.NIRNode] = {}
    for at in network.neurons:
        p = network.populations[at]
        node: Any = deepcopy(flat.nodes[p.name])
        for field in ("tau", "tau_mem", "tau_syn"):
            if hasattr(node, field) and _kind(old, field) != decay:
                setattr(node, field, _tau(getattr(node, field), p, field, decay, old, pass_))
        keep_gains(node, p, new)
        changed[p.name] = node
    return with_semantics(replace_nodes(flat, changed), new)


def _kind(semantics: Semantics, field: str) -> Decay:
    return semantics.decay_syn or semantics.decay if field == "tau_syn" else semantics.decay


def _tau(
    value: Any, p: Population, field: str, decay: Decay, semantics: Semantics, pass_: str
) -> NDArray[Any]:
    """Time constants in the file's unit; float64 where float32 cannot keep τ above dt."""
    step = semantics.dt / semantics.time_unit
    tau = np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (p.size,))
    with np.errstate(divide="ignore", invalid="ignore"):
        new = step / -np.expm1(-step / tau) if decay == "euler" else -step / np.log1p(-step / tau)
    stored = replaced(value, new, p)
    if decay == "euler" and np.any(stored.astype(np.float64) * semantics.time_unit <= semantics.dt):
        stored = replaced(np.asarray(value, np.float64), new, p)
    least = semantics.dt if decay == "euler" else 0.0
    wrong = ~(np.isfinite(new) & (stored.astype(np.float64).reshape(-1) * semantics.time_unit > least))
    if np.any(wrong):
        first = int(np.argmax(wrong))
        raise refused(
            "NB303",
            p.name,
            f"node '{p.name}': no time constant gives the decay of {field}[{first}] = {tau[first]:g} at "
            f"dt = {semantics.dt:g} s under {decay} steps ({int(wrong.sum())} of {p.size})",
            f"use a smaller dt, or leave {pass_} out",
        )
    return stored
