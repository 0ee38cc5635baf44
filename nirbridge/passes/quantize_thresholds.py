"""Thresholds in whole steps of the weights, as chips compare them."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge.graph import inline, replace_nodes
from nirbridge.network import build
from nirbridge.passes.population_scale import population_scale
from nirbridge.passes.row_scaling import ROUNDING, float_like, refused


@dataclass(frozen=True)
class QuantizeThresholds:
    """θ becomes m·Δ with m = round(θ/Δ), where Δ = scale·b_s·b_m is what a weight of one integer step
    adds to V (LOIHI2.md §3), neuron by neuron.

    All quantised weights into a population must share one scale (`quantize-weights`). m must lie in
    1 … 2^bits − 1.

    What stays equal: everything but θ, which errs by half a step at most. Where V moves in whole Δ
    (IF), V = θ is then possible, and a float sum may fall on either side of it.
    """

    bits: int = 17
    name: ClassVar[str] = "quantize-thresholds"
    law: ClassVar[str] = "threshold errs by half a weight step at most"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 24:
            raise UsageError(f"quantize-thresholds: bits is {self.bits}, expected 2 to 24", code="NB701")

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        network = build(flat)
        changed: dict[str, nir.NIRNode] = {}
        for at in network.neurons:
            p = network.populations[at]
            if not p.spiking:
                continue
            scale = population_scale(network, at, "the threshold")
            if scale is None:
                what = f"node '{p.name}': no weights arrive in whose steps its threshold could be counted"
                raise refused("NB212", p.name, what, "leave its threshold as it is")
            quantum = scale * p.b_m * p.b_s
            with np.errstate(divide="ignore"):
                whole = np.rint(p.threshold / quantum)
            self._check(p.name, whole, quantum)
            wanted = whole * quantum
            if np.all(np.abs(wanted - p.threshold) <= ROUNDING * np.abs(wanted)):
                continue
            node: Any = deepcopy(flat.nodes[p.name])
            old = np.asarray(node.v_threshold)
            node.v_threshold = float_like(old, wanted.reshape(old.shape if old.size == p.size else p.shape))
            changed[p.name] = node
        return replace_nodes(flat, changed)

    def _check(self, name: str, whole: NDArray[np.float64], quantum: NDArray[np.float64]) -> None:
        top = 2**self.bits - 1
        off = np.flatnonzero(~((whole >= 1) & (whole <= top)))
        if off.size:
            first = off[0]
            fix = "give the weights finer steps: quantize-weights with more bits or scheme=percentile"
            if whole[first] > top:
                over = np.ceil(np.log2(np.max(whole[off]) / top))
                fix = (
                    f"quantise the weights to {over:g} bits less: each halves the count"
                    if over <= 6
                    else "scale the node so that weights and threshold are of one order: bits cannot mend it"
                )
            raise refused(
                "NB212",
                name,
                f"node '{name}': the threshold becomes {whole[first]:g} steps of {quantum[first]:g} at "
                f"{off.size} of {whole.size} neurons, expected 1 to {top}",
                fix,
            )
