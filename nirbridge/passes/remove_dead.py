"""Nodes that can never change an output, taken out."""

from __future__ import annotations

from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import nir
import numpy as np

from nirbridge.graph import inline, make, read_metadata
from nirbridge.passes.wiring import Wiring
from nirbridge.semantics import semantics_of


@dataclass(frozen=True)
class RemoveDead:
    """Removes every node that reaches no Output, and every node that nothing drives.

    Driven is what an Input reaches, and what a node reaches that is active by itself: a bias other than
    0, v_leak other than 0, a threshold that V = 0 passes. So a neuron that no Input reaches stays if its
    leak makes it fire. Input and Output nodes stay: they are what the graph looks like from outside.

    What stays equal: every spike and every V of the nodes that remain.
    """

    name: ClassVar[str] = "remove-dead"
    law: ClassVar[str] = "spike times unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        wiring, nodes = Wiring.of(flat), flat.nodes
        equals = read_metadata(flat) is not None and semantics_of(flat).compare == ">="
        ports = {n for n, node in nodes.items() if isinstance(node, nir.Input | nir.Output)}
        active = {
            n
            for n, node in nodes.items()
            if isinstance(node, nir.Input) or (_drives(node, equals) and (wiring.before[n] or _own(node)))
        }
        outputs = {n for n in ports if isinstance(nodes[n], nir.Output)}
        live = _reached(active, wiring.after) & _reached(outputs, wiring.before) | ports
        live = _with_a_source(live, nodes, wiring)
        edges = [(a, b) for a, b in wiring.edges() if a in live and b in live]
        return make({n: node for n, node in nodes.items() if n in live}, edges, flat.metadata)


def _own(node: nir.NIRNode) -> bool:
    """Whether the node has a state, so that it runs without a source."""
    return isinstance(node, nir.I | nir.IF | nir.LI | nir.LIF | nir.CubaLI | nir.CubaLIF)


def _drives(node: Any, equals: bool) -> bool:
    """Whether the node gives something other than 0 when nothing arrives."""
    for field in ("bias", "v_leak"):
        value = getattr(node, field, None)
        if value is not None and np.any(np.asarray(value) != 0):
            return True
    if isinstance(node, nir.Threshold):
        return bool(np.any(np.asarray(node.threshold) < 0))
    if hasattr(node, "v_threshold"):
        theta = np.asarray(node.v_threshold)
        return bool(np.any(theta <= 0 if equals else theta < 0))
    return False


def _reached(starts: Iterable[str], neighbours: Mapping[str, set[str]]) -> set[str]:
    found = set(starts)
    queue = deque(found)
    while queue:
        for name in neighbours[queue.popleft()] - found:
            found.add(name)
            queue.append(name)
    return found


def _with_a_source(live: set[str], nodes: Mapping[str, nir.NIRNode], wiring: Wiring) -> set[str]:
    """Add silent sources to pass-through nodes that would have none: without one they have no value."""
    live = set(live)
    queue = deque(sorted(live))
    while queue:
        name = queue.popleft()
        passing = not _own(nodes[name]) and not isinstance(nodes[name], nir.Input | nir.Output | nir.Delay)
        if passing and wiring.before[name] and not wiring.before[name] & live:
            source = min(wiring.before[name])
            live.add(source)
            queue.append(source)
    return live
