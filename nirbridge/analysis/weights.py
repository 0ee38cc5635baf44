"""Weights before and after quantisation: what each scale clips, loses and where the weights lie."""

from __future__ import annotations

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis.types import QuantizedScale, WeightHistogram
from nirbridge.graph.quantization import Quantization, quantization_of

BINS = 64
ROUNDING = 1e-6
Floats = NDArray[np.float64]


def calibration(before: nir.NIRGraph, after: nir.NIRGraph) -> tuple[QuantizedScale, ...]:
    """Every scale that a pass gave to weights, from the flat graphs before and after it.

    Arrays with one and the same scale that were quantised together stand in one entry; scales a channel
    in one entry each. Weights that were quantised before already are left out.
    """
    joined: dict[tuple[int, bytes], list[str]] = {}
    result: list[QuantizedScale] = []
    for name, node in sorted(after.nodes.items()):
        found = quantization_of(node, name)
        if found is None or name not in before.nodes or _unchanged(before.nodes[name], found, name):
            continue
        if found.axis < 0:
            joined.setdefault((found.bits, found.scale.tobytes()), []).append(name)
            continue
        old, new = (np.moveaxis(_weight(graph, name), found.axis, 0) for graph in (before, after))
        scales = np.broadcast_to(found.scale, (len(new),))
        result += [
            _scale((name,), k, found.bits, float(scales[k]), old[k].reshape(-1), new[k].reshape(-1))
            for k in range(len(new))
        ]
    for (bits, scale), names in joined.items():
        olds, news = ([_weight(g, name).reshape(-1) for name in names] for g in (before, after))
        value = float(np.frombuffer(scale, np.float32)[0])
        result.append(_scale(tuple(names), None, bits, value, np.concatenate(olds), np.concatenate(news)))
    return tuple(sorted(result, key=lambda item: (item.nodes, item.channel or 0)))


def histogram(node: str, target: str, before: nir.NIRNode, after: nir.NIRNode) -> WeightHistogram:
    """Counts of a weight node's values before and after a pass, in equal bins over both.

    clipped_share: share of weights that the integer range cut off, which err by more than half a scale.
    """
    old = np.asarray(getattr(before, "weight"), dtype=np.float64)  # noqa: B009
    new = np.asarray(getattr(after, "weight"), dtype=np.float64)  # noqa: B009
    quantization = quantization_of(after, node)
    edges, counts = _counts(old, new)
    return WeightHistogram(
        node=node,
        target=target,
        edges=[float(x) for x in edges],
        before=[int(n) for n in counts[0]],
        after=[int(n) for n in counts[1]],
        scale=float(quantization.scale[0]) if quantization is not None and quantization.axis == -1 else None,
        clipped_share=0.0 if quantization is None else float(np.mean(clipped(old, quantization))),
    )


def clipped(weight: Floats, found: Quantization) -> NDArray[np.bool_]:
    """Flat: whether a weight errs by more than half its scale, so that the integer range cut it off."""
    scale = found.scale.astype(np.float64)
    if found.axis >= 0:
        scale = scale.reshape([-1 if at == found.axis else 1 for at in range(weight.ndim)])
    return np.asarray(np.abs(weight - found.weight()) > (0.5 + ROUNDING) * scale).reshape(-1)


def _scale(
    nodes: tuple[str, ...], channel: int | None, bits: int, scale: float, old: Floats, new: Floats
) -> QuantizedScale:
    noise = float(np.sum((old - new) ** 2))
    signal = float(np.sum(old**2))
    edges, counts = _counts(old, new)
    return QuantizedScale(
        nodes=nodes,
        channel=channel,
        bits=bits,
        scale=scale,
        count=old.size,
        clipped_share=float(np.mean(np.abs(old - new) > (0.5 + ROUNDING) * scale)),
        zero_share=float(np.mean(new == 0)),
        sqnr_db=10.0 * float(np.log10(signal / noise)) if noise > 0 else None,
        edges=tuple(float(x) for x in edges),
        before=tuple(int(n) for n in counts[0]),
        after=tuple(int(n) for n in counts[1]),
    )


def _counts(old: Floats, new: Floats) -> tuple[Floats, tuple[NDArray[np.int64], NDArray[np.int64]]]:
    """Edges of `BINS` equal bins over both arrays, and how many weights of each lie in them."""
    low, high = float(min(old.min(), new.min())), float(max(old.max(), new.max()))
    if low == high:
        low, high = low - 0.5, high + 0.5
    edges = np.linspace(low, high, BINS + 1)
    return edges, (np.histogram(old, edges)[0], np.histogram(new, edges)[0])


def _unchanged(node: nir.NIRNode, found: Quantization, name: str) -> bool:
    old = quantization_of(node, name)
    return old is not None and old.scale.tobytes() == found.scale.tobytes() and np.array_equal(old.q, found.q)


def _weight(graph: nir.NIRGraph, name: str) -> Floats:
    return np.asarray(getattr(graph.nodes[name], "weight"), np.float64)  # noqa: B009
