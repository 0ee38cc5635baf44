"""Trained parameters of a plan back into its graph."""

from __future__ import annotations

from copy import deepcopy
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import replace_nodes
from nirbridge.graph.delays import KEY as DELAYS
from nirbridge.graph.quantization import KEY as QUANTIZED
from nirbridge.network.coefficients import population
from nirbridge_eventprop.grid.parts import NEURON, TAUS
from nirbridge_eventprop.grid.plan import Plan, scale_of

Floats = NDArray[np.float64]


def with_parameters(plan: Plan, graph: nir.NIRGraph, flat: NDArray[np.floating]) -> nir.NIRGraph:
    """A copy of the graph with these parameters; stale quantisation metadata is removed.

    The jump of I that a weight makes depends on the time constants; where they were trained, weights and
    biases are divided by its change, so that the graph's network is the one that was trained. Delays are
    rounded to whole steps and stay folded in the weight node's metadata.
    """
    flat = np.asarray(flat, np.float64)
    changed: dict[str, Any] = {}

    def node_of(name: str) -> Any:
        if name not in changed:
            changed[name] = deepcopy(graph.nodes[name])
        return changed[name]

    unit = plan.network.semantics.time_unit
    for part in plan.parts:
        if part.kind in NEURON:
            field = "v_threshold" if part.kind == "v_th" else part.kind
            _set(node_of(part.name), field, part.values(flat) / (unit if part.kind in TAUS else 1.0))
    ratio = _ratios(plan, changed)
    for place in plan.nodes:
        node = node_of(place.name)
        block = flat[place.offset : place.offset + place.rows * place.width].reshape(place.rows, place.width)
        node.weight = np.ascontiguousarray(
            (block * ratio[place.target]).T.astype(np.asarray(node.weight).dtype)
        )
        node.metadata.pop(QUANTIZED, None)
    trained = {part.name: part for part in plan.parts if part.kind == "bias"}
    for name, layer, start in plan.biases:
        values = flat[trained[name].here] if name in trained else start
        _set(node_of(name), "bias", values * ratio[layer - 1])
    for part in plan.parts:
        if part.kind == "delay":
            node = node_of(part.name)
            shape = np.asarray(node.weight).T.shape
            node.metadata[DELAYS] = np.rint(flat[part.here]).astype(np.int32).reshape(shape).T.copy()
    return replace_nodes(graph, changed)


def _set(node: Any, name: str, values: NDArray[np.floating]) -> None:
    old = np.asarray(getattr(node, name))
    setattr(node, name, values.astype(old.dtype if old.dtype.kind == "f" else np.float64))


def _ratios(plan: Plan, changed: dict[str, Any]) -> list[Floats]:
    """Old over new jump of I for a weight of 1, by layer (n,)."""
    found = []
    for number, at in enumerate(plan.layers, start=1):
        p = plan.network.populations[at]
        old = plan.neuron_scale(number)
        if p.name not in changed:
            found.append(np.ones(p.size))
            continue
        new = scale_of(population(changed[p.name], p.name, plan.network.semantics), plan.network)
        found.append(old / new)
    return found
