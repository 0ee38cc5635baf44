"""The graph that the PEs execute, as plain NIR: what compiling lost can be read off it."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import replace
from typing import Any

import nir
import numpy as np

from nirbridge.graph import replace_nodes
from nirbridge.graph.quantization import KEY, Quantization
from nirbridge.semantics import with_semantics
from nirbridge_spinnaker2.lowering import Lowered


def executed_graph(lowered: Lowered) -> nir.NIRGraph:
    """The inlined graph with weights q/w_scale and the step rules of the PE in its semantics.

    Weights become float32(q·scale) with scale = float32(1/(w_scale·gain)), noted in ``nirbridge_q``, so
    they differ from the exact q/w_scale by 6e-8 at most; weights that the graph held as integers stay.
    v_reset becomes 0; semantics: feedforward_delay 1, compare >, bias_path membrane.
    """
    network = lowered.network
    changed: dict[str, nir.NIRNode] = {}
    for layer in lowered.layers:
        for projection in layer.projections:
            node: Any = network.graph.nodes[projection.name]
            if layer.kept or not hasattr(node, "weight"):
                continue
            scale = np.array([1.0 / (layer.w_scale * projection.gain)], dtype=np.float32)
            integers = Quantization(q=projection.q.astype(np.int8), scale=scale)
            node = deepcopy(node)
            node.weight = integers.weight()
            node.metadata[KEY] = integers.as_metadata()
            changed[projection.name] = node
        if np.any(layer.population.v_reset != 0):
            node = deepcopy(layer.population.node)
            node.v_reset = np.zeros_like(node.v_reset)
            changed[layer.name] = node
    semantics = replace(network.semantics, feedforward_delay=1, compare=">", bias_path="membrane")
    return with_semantics(replace_nodes(network.graph, changed), semantics)
