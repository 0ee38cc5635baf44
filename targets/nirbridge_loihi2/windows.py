"""Graphs with convolutions: a chain of layers whose kernels stay kernels."""

from __future__ import annotations

from dataclasses import replace

import nir
import numpy as np

from nirbridge.errors import Unsupported
from nirbridge.network import Network
from nirbridge_loihi2.late import Injection
from nirbridge_loihi2.layers import INPUT
from nirbridge_loihi2.lowering import Lowered, Scaling, quantum_of
from nirbridge_loihi2.netx_lower import chain_of


def has_windows(graph: nir.NIRGraph) -> bool:
    """Whether a flat graph has a Conv2d, which no matrix of weights should stand for."""
    return any(isinstance(node, nir.Conv2d) for node in graph.nodes.values())


def lower_windows(network: Network) -> Lowered:
    """The integers of a quantised graph with Conv2d nodes; layer k comes k steps late.

    Raises `Unsupported` as `netx_lower.to_network` does, and where neurons are fed by the Input
    directly (NB202): a chip takes spikes there, not biases.
    """
    chain = chain_of(network)
    if not chain.network.into(0):
        name = network.populations[chain.order[0]].name
        raise Unsupported(
            f"node '{name}' is fed by the Input without weights; chips send spikes",
            code="NB202",
            fix="put a Linear or Conv2d between the two",
        )
    connections = tuple(replace(c, graded=c.source == INPUT) for c in chain.network.connections)
    (at,) = network.of_kind("input")
    size = network.populations[at].size
    lag = [0] * len(network.populations)
    for k, place in enumerate(chain.order):
        lag[place] = k + 1
    for end in network.of_kind("output"):
        lag[end] = len(chain.order)
    scaling = []
    for place, scale in zip(chain.order, chain.scales, strict=True):
        p = network.populations[place]
        quantum = quantum_of(scale, p.b_m * p.b_s)
        scaling.append(
            Scaling(scale=scale, quantum=quantum, current=quantum / (64 * p.b_m), input_bias=np.zeros(p.size))
        )
    return Lowered(
        network=replace(chain.network, connections=connections),
        inputs=Injection(channel=np.arange(size), late=np.zeros(size, np.int64)),
        populations=chain.order,
        scaling=tuple(scaling),
        lag=tuple(lag),
    )
