"""Decays in whole parts of 2^bits, as chips keep them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge.graph import inline, replace_nodes
from nirbridge.network import Population, build
from nirbridge.passes.gains import keep_gains, replaced
from nirbridge.passes.row_scaling import ROUNDING
from nirbridge.semantics import Semantics

Floats = NDArray[np.float64]
_VANISHED = 1024.0  # e^(−1024) is 0 in float64: the time constant of a decay that keeps nothing


@dataclass(frozen=True)
class QuantizeDecays:
    """Each τ becomes the one whose decay a is 1 − k/2^bits, k = round(2^bits·(1−a)), neuron by neuron.

    a is the factor a step of the graph's own semantics (SEMANTICS.md §3), so that τ = −dt/ln(1 − k/2^bits)
    under exact decay and τ = 2^bits·dt/k under Euler steps; the gains b_s and b_m are kept by scaling
    w_in and r against it. A τ whose k is 0 (more than 2^(bits+1) steps) is left alone: no τ means "no
    decay". Euler steps need τ > dt, so there k is at most 2^bits − 1.

    What stays equal: what a spike adds to I and to V; a decay errs by 2^−(bits+1) at most.
    """

    bits: int = 12
    name: ClassVar[str] = "quantize-decays"
    law: ClassVar[str] = "decay within half of 2^-bits, gains unchanged"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 16:
            raise UsageError(f"quantize-decays: bits is {self.bits}, expected 2 to 16", code="NB701")

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        network = build(flat)
        changed: dict[str, nir.NIRNode] = {}
        for at in network.neurons:
            p = network.populations[at]
            node = self._changed(flat.nodes[p.name], p, network.semantics)
            if node is not None:
                changed[p.name] = node
        return replace_nodes(flat, changed)

    def _changed(self, node: Any, p: Population, semantics: Semantics) -> nir.NIRNode | None:
        """The neuron node with other time constants and the same gains, or None where all fit already."""
        if p.cuba:
            taus = {"tau_mem": (p.a_m, False), "tau_syn": (p.a_s, True)}
        elif hasattr(node, "tau"):
            taus = {"tau": (p.a_m, False)}
        else:
            return None
        result: Any = deepcopy(node)
        touched = False
        for field, (decay, synapse) in taus.items():
            tau = self._tau(decay, semantics, synapse=synapse)
            if np.any(np.isfinite(tau)):
                setattr(result, field, replaced(getattr(node, field), tau, p))
                touched = True
        if not touched:
            return None
        keep_gains(result, p, semantics)
        changed: nir.NIRNode = result
        return changed

    def _tau(self, decay: Floats, semantics: Semantics, *, synapse: bool) -> Floats:
        """(n,) time constants in the file's unit, NaN where the decay needs no other one."""
        parts = 2.0**self.bits
        euler = (semantics.decay_syn or semantics.decay if synapse else semantics.decay) == "euler"
        exact_parts = parts * (1.0 - decay)
        k = np.minimum(np.rint(exact_parts), parts - 1 if euler else parts)
        wanted = (k > 0) & (np.abs(exact_parts - k) > parts * ROUNDING)
        share = np.where(k > 0, k, 1.0) / parts
        with np.errstate(divide="ignore"):
            steps = 1.0 / share if euler else np.where(share < 1.0, -1.0 / np.log1p(-share), 1.0 / _VANISHED)
        return np.where(wanted, steps * semantics.dt / semantics.time_unit, np.nan)
