"""Weights before and after quantisation, on one axis."""

from __future__ import annotations

import nir
import numpy as np

from nirbridge.analysis.types import WeightHistogram
from nirbridge.graph.quantization import quantization_of

BINS = 64


def histogram(node: str, target: str, before: nir.NIRNode, after: nir.NIRNode) -> WeightHistogram:
    """Counts of a weight node's values before and after a pass, in equal bins over both.

    clipped_share: share of weights that the integer range cut off, |w| above the largest integer's
    value by more than half a scale.
    """
    old = np.asarray(getattr(before, "weight"), dtype=np.float64).reshape(-1)  # noqa: B009
    new = np.asarray(getattr(after, "weight"), dtype=np.float64).reshape(-1)  # noqa: B009
    low, high = min(old.min(), new.min()), max(old.max(), new.max())
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    quantization = quantization_of(after, node)
    scale = None
    clipped = 0.0
    if quantization is not None and quantization.axis == -1:
        scale = float(quantization.scale[0])
        top = (2 ** (quantization.bits - 1) - 1) * scale
        clipped = float(np.mean(np.abs(old) > top + 0.5 * scale))
    return WeightHistogram(
        node=node,
        target=target,
        edges=[float(x) for x in edges],
        before=[int(n) for n in np.histogram(old, edges)[0]],
        after=[int(n) for n in np.histogram(new, edges)[0]],
        scale=scale,
        clipped_share=clipped,
    )
