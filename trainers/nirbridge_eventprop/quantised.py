"""Training for integer weights: forward and adjoint run on rounded weights, the step moves exact ones.

The straight-through estimator of Bengio, Léonard & Courville 2013 (arXiv 1308.3432): rounding counts as the
identity in the gradient. The rounding is that of the pass `quantize-weights`, one scale a population, found
anew for every batch; a compiled loop applies it to the trainer's flat weights.
"""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.kernels import use_cache
from nirbridge.passes.quantize_weights import QuantizeWeights
from nirbridge.passes.weight_targets import weight_groups
from nirbridge_eventprop.options import WeightScheme
from nirbridge_eventprop.stack import Placed, Stack

use_cache(__name__)


class Rounding:
    """Rounds the flat weights of a stack as the pass rounds those of its graph."""

    def __init__(self, stack: Stack, graph: nir.NIRGraph, bits: int, scheme: WeightScheme) -> None:
        self.rounding = QuantizeWeights(bits=bits, scheme=scheme)
        self.top = 2 ** (bits - 1) - 1
        places = {place.name: place for place in stack.nodes}
        self.groups = [[places[name] for name in names] for names in weight_groups(graph)]
        nodes: Any = graph.nodes
        self.types = {name: np.asarray(nodes[name].weight).dtype for name in places}
        self.rounded = np.zeros_like(stack.weights)

    def weights(self, flat: NDArray[np.floating]) -> NDArray[np.floating]:
        """The rounded weights, (weights,); the array is used again by the next call.

        Raises `Unsupported` (NB212) where a scale would be infinite.
        """
        np.copyto(self.rounded, flat)  # what is no weight stays as it is
        for group in self.groups:
            # in the float type of the graph, as the pass will see them
            exact = [_block(flat, place).astype(self.types[place.name], copy=False) for place in group]
            scale = self.rounding.scale_of([block.astype(np.float64) for block in exact])
            if not np.isfinite(scale):
                raise Unsupported(
                    f"the weights of {', '.join(place.name for place in group)} are beyond float32",
                    code="NB212",
                    fix="lower lr",
                )
            for place, block in zip(group, exact, strict=True):
                _round(block, float(scale), float(self.top), _block(self.rounded, place))
        return self.rounded

    def graph(self, graph: nir.NIRGraph) -> nir.NIRGraph:
        """The graph with the same rounding, and with the integers in its metadata."""
        return self.rounding(graph)


@njit(cache=True, nogil=True)
def _round(exact: Any, scale: Any, top: Any, into: Any) -> None:
    """into = float32(scale·clip(rint(exact/scale), −top, top)), products in float64; both (n_pre, n_post)."""
    for i in range(exact.shape[0]):
        for j in range(exact.shape[1]):
            q = min(max(np.rint(exact[i, j] / scale), -top), top)
            into[i, j] = np.float32((q + 0.0) * scale)  # an integer 0 has no sign


def _block(flat: NDArray[np.floating], place: Placed) -> NDArray[np.floating]:
    """A node's weights as a view (n_pre, n_post)."""
    block = flat[place.offset : place.offset + place.rows * place.width]
    return block.reshape(place.rows, place.width)[:, : place.columns]
