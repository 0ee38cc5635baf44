"""Training for integer weights: forward and adjoint run on rounded weights, the step moves exact ones.

The straight-through estimator of Bengio, Léonard & Courville 2013 (arXiv 1308.3432): rounding counts as the
identity in the gradient. The rounding is that of the pass `quantize-weights`, one scale a population.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.passes.weight_targets import weight_groups
from nirbridge_eventprop.options import WeightScheme
from nirbridge_eventprop.stack import Placed, Stack


class Rounding:
    """Rounds the flat weights of a stack as the pass rounds those of its graph."""

    def __init__(self, stack: Stack, graph: nir.NIRGraph, bits: int, scheme: WeightScheme) -> None:
        self.rounding = QuantizeWeights(bits=bits, scheme=scheme)
        places = {place.name: place for place in stack.nodes}
        self.groups = [[places[name] for name in names] for names in weight_groups(graph)]
        nodes: Any = graph.nodes
        self.types = {name: np.asarray(nodes[name].weight).dtype for name in places}
        self.rounded = np.zeros_like(stack.weights)

    def weights(self, flat: NDArray[np.floating]) -> NDArray[np.floating]:
        """The rounded weights, (weights,); the array is used again by the next call."""
        np.copyto(self.rounded, flat)  # what is no weight stays as it is
        for group in self.groups:
            exact = {place.name: _block(flat, place).T.astype(self.types[place.name]) for place in group}
            found = self.rounding.integers(exact)
            for place in group:
                _block(self.rounded, place)[:] = found[place.name].weight().T
        return self.rounded

    def graph(self, graph: nir.NIRGraph) -> nir.NIRGraph:
        """The graph with the same rounding, and with the integers in its metadata."""
        return self.rounding(graph)


def _block(flat: NDArray[np.floating], place: Placed) -> NDArray[np.floating]:
    """A node's weights as a view (n_pre, n_post)."""
    block = flat[place.offset : place.offset + place.rows * place.width]
    return block.reshape(place.rows, place.width)[:, : place.columns]
