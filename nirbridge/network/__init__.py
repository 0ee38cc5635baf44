"""A graph and its semantics as ordered arrays: where every trainer and every target starts.

Inlined names, populations in execution order, arcs with their delay, coefficients per neuron, the
pass-through nodes between them (SEMANTICS.md §1-3). Nobody else walks the graph.
"""

from nirbridge.network.build import build
from nirbridge.network.operators import Operator, operator
from nirbridge.network.queue import queued
from nirbridge.network.sparse import Sparse
from nirbridge.network.sparse_weight import SparseWeight
from nirbridge.network.synapses import Synapses, dense, synapses
from nirbridge.network.types import Drive, Network, Population, Source, Stage
from nirbridge.network.windows import Window, window_of

__all__ = [
    "Drive",
    "Network",
    "Operator",
    "Population",
    "Source",
    "Sparse",
    "SparseWeight",
    "Stage",
    "Synapses",
    "Window",
    "build",
    "dense",
    "operator",
    "queued",
    "synapses",
    "window_of",
]
