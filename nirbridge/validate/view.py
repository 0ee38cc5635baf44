"""What every rule may look at: the flat graph, the shapes along it and what its metadata say."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import nir

from nirbridge.errors import NirbridgeError
from nirbridge.graph import GraphMetadata, read_metadata
from nirbridge.semantics import Semantics, semantics_of
from nirbridge.validate.flat import FlatGraph, flatten
from nirbridge.validate.shapes import Shape, input_shape, propagate


@dataclass(frozen=True, slots=True)
class View:
    """One graph as the rules see it.

    out: output shape of each node that can be told. arriving: the shape that reaches each node.
    metadata, semantics: None where the graph has none or they cannot be read.
    """

    flat: FlatGraph
    out: Mapping[str, Shape]
    arriving: Mapping[str, Shape]
    metadata: GraphMetadata | None
    semantics: Semantics | None

    @property
    def graph(self) -> nir.NIRGraph:
        return self.flat.graphs[""]


def view_of(graph: nir.NIRGraph) -> View:
    """Look at a graph once, for all rules: O(nodes + edges)."""
    flat = flatten(graph)
    out = propagate(flat)
    arriving = {}
    for name, node in flat.nodes.items():
        sources = [out[a] for a in flat.before[name] if a in out]
        own = input_shape(node)
        if sources or (own is not None and -1 not in own):
            arriving[name] = sources[0] if sources else own or ()
    metadata: GraphMetadata | None = None
    semantics: Semantics | None = None
    try:
        metadata = read_metadata(graph)
        semantics = semantics_of(graph) if metadata is not None else None
    except (NirbridgeError, TypeError, ValueError):
        pass  # the rules NB401 and NB402 say why
    return View(flat, out, arriving, metadata, semantics)
