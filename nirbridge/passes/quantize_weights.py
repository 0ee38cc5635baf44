"""Integer weights, kept as the exact float values that the network then uses."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import nir
import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirbridge.errors import UsageError
from nirbridge.graph import inline, replace_nodes
from nirbridge.graph.quantization import KEY, Quantization, quantization_of
from nirbridge.passes.least_error import least_error_scale
from nirbridge.passes.mlgenn_netx import mlgenn_netx
from nirbridge.passes.row_scaling import refused
from nirbridge.passes.weight_targets import weight_groups, weight_targets

Scheme = Literal["max", "percentile", "mse", "power-of-two", "mlgenn-netx"]
PERCENTILES = {"percentile": 99.9, "mlgenn-netx": 99.0}  # where none is given


@dataclass(frozen=True)
class QuantizeWeights:
    """Replace weights by q·scale with q = clip(rint(w/scale), −Q, Q), Q = 2^(bits−1) − 1.

    scheme: ``max`` max|w|/Q; ``percentile`` that percentile of |w| over nonzero w, /Q; ``mse`` the
    best of max|w|/Q·k/64 for k = 16 … 64 by Σ(w−ŵ)²; ``power-of-two`` 2^ceil(log2(max|w|/Q));
    ``mlgenn-netx`` that of ml_genn_netx (see `mlgenn_netx`), which also uses −2^(bits−1); run it after
    ``rescale-lif``. percentile: None takes 99.9, for ``mlgenn-netx`` 99.
    granularity: one scale per ``tensor``, per ``population`` (all arrays that enter a node share it:
    what loihi2 and spinnaker2 need) or per output ``channel``. Biases stay as they are. The integers
    go to ``node.metadata["nirbridge_q"]`` (NIR_TOOLKIT.md §5, §8).

    What stays equal: nothing; a weight errs by half a scale at most where it is not clipped.
    Weights that carry integers of the asked kind already, or of fewer bits, are kept.
    """

    bits: int = 8
    scheme: Scheme = "max"
    percentile: float | None = None
    granularity: Literal["tensor", "population", "channel"] = "population"
    name: ClassVar[str] = "quantize-weights"
    law: ClassVar[str] = "error ≤ half a step where not clipped"

    def __post_init__(self) -> None:
        if not 2 <= self.bits <= 8:
            raise UsageError(f"quantize-weights: bits is {self.bits}, expected 2 to 8", code="NB701")
        if self.percentile is not None and not 0 < self.percentile <= 100:
            raise UsageError(
                f"quantize-weights: percentile is {self.percentile:g}, expected above 0 and at most 100",
                code="NB701",
            )

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        flat = inline(graph)
        if self.granularity == "population":
            groups = weight_groups(flat)
        else:
            groups = [[name] for name in weight_targets(flat)]
        changed: dict[str, nir.NIRNode] = {}
        for names in groups:
            if not self._done(flat, names):
                changed |= self._quantised(flat, names)
        return replace_nodes(flat, changed)

    def _done(self, graph: nir.NIRGraph, names: list[str]) -> bool:
        found = [quantization_of(graph.nodes[name], name) for name in names]
        kept = [q for q in found if q is not None and q.bits <= self.bits]
        if len(kept) < len(names):
            return False
        if self.granularity == "channel":
            return all(q.axis == 0 for q in kept)
        return all(q.axis == -1 and q.scale.tobytes() == kept[0].scale.tobytes() for q in kept)

    def _quantised(self, graph: nir.NIRGraph, names: list[str]) -> dict[str, nir.NIRNode]:
        nodes: dict[str, Any] = {name: deepcopy(graph.nodes[name]) for name in names}
        for name, found in self.integers({name: node.weight for name, node in nodes.items()}).items():
            nodes[name].weight = found.weight()
            nodes[name].metadata[KEY] = found.as_metadata()
        return nodes

    def integers(self, arrays: Mapping[str, ArrayLike]) -> dict[str, Quantization]:
        """The integers of weights that share a scale: what the pass does to the nodes of one group.

        arrays: weights (n_post, …) by node name; granularity ``channel`` takes one at a time. Raises
        `Unsupported` (NB212) by node name where a scale would be infinite.
        """
        weights = {name: np.asarray(array, dtype=np.float64) for name, array in arrays.items()}
        names = list(weights)
        axis = -1
        if self.granularity == "channel":
            axis = 0
            (weight,) = weights.values()
            scale = np.array([self._scale(row.reshape(-1)) for row in weight], dtype=np.float32)
        else:
            scale = np.array([self.scale_of(list(weights.values()))], dtype=np.float32)
        if not np.all(np.isfinite(scale)):
            raise refused(
                "NB212",
                names[0],
                f"the weights of {', '.join(names)} are beyond float32: a scale would be infinite",
                "scale the weights and the threshold down together",
            )
        top = 2 ** (self.bits - 1) - 1
        bottom = -top - 1 if self.scheme == "mlgenn-netx" else -top
        found = {}
        for name, weight in weights.items():
            step = scale.astype(np.float64)
            step = step.reshape(-1, *[1] * (weight.ndim - 1)) if axis == 0 else step
            q = np.clip(np.rint(weight / step), bottom, top).astype(np.int8)
            found[name] = Quantization(q=q, scale=scale, bits=self.bits, axis=axis)
        return found

    def scale_of(self, weights: Sequence[NDArray[np.float64]]) -> np.float32:
        """The one scale of weights that share it; infinite where they are beyond float32."""
        return self._scale(np.concatenate([w.reshape(-1) for w in weights]))

    def _scale(self, w: NDArray[np.float64]) -> np.float32:
        """The scale of a flat array as float32; 1 where all weights are 0 or too small for one."""
        with np.errstate(over="ignore", under="ignore"):
            scale = np.float32(self._exact_scale(w))
        return scale if scale > 0 else np.float32(1.0)

    def _exact_scale(self, w: NDArray[np.float64]) -> float:
        top: int = 2 ** (self.bits - 1) - 1
        magnitude = np.abs(w)
        largest = float(magnitude.max(initial=0.0))
        if largest == 0.0:
            return 1.0
        percentile = self.percentile or PERCENTILES.get(self.scheme, 100.0)
        if self.scheme == "percentile":
            return float(np.percentile(magnitude[magnitude > 0], percentile)) / top
        if self.scheme == "mlgenn-netx":
            return mlgenn_netx([w], bits=self.bits, percentile=percentile).scale
        if self.scheme == "power-of-two":
            return float(2.0 ** np.ceil(np.log2(largest / top)))
        if self.scheme == "mse":
            tried = (largest / top * np.arange(16, 65) / 64).astype(np.float32).astype(np.float64)
            steps = tried[(tried > 0) & (tried < np.inf)]
            return least_error_scale(w, steps, top) if len(steps) else largest / top
        return largest / top
