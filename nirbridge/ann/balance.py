"""How large each layer's activations get on calibration samples: the thresholds of the spiking graph."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass, field

import numpy as np

from nirbridge.ann.forward import batches, forward
from nirbridge.ann.types import Ann, Floats, Relu
from nirbridge.errors import UsageError


@dataclass(frozen=True, slots=True, kw_only=True)
class Activation:
    """One Relu layer on the calibration samples.

    scale: the percentile of its positive values (1 where it has none); largest: their maximum;
    active: share of positive values; clipped: share of the positive values above ``scale``.
    """

    scale: float
    largest: float
    active: float
    clipped: float


@dataclass(slots=True)
class _Top:
    """The largest values of a stream: as many as its percentile can reach."""

    keep: int
    values: Floats = field(default_factory=lambda: np.zeros(0, np.float32))
    positive: int = 0
    total: int = 0

    def add(self, activations: Floats) -> None:
        flat = activations.reshape(-1)
        found = flat[flat > 0]
        self.positive += len(found)
        self.total += len(flat)
        joined = np.concatenate([self.values, found])
        self.values = np.partition(joined, -self.keep)[-self.keep :] if len(joined) > self.keep else joined


def balance(
    ann: Ann, x: Floats, percentile: float = 99.9, *, progress: Callable[[int], None] | None = None
) -> dict[str, Activation]:
    """The activations of every Relu layer over samples x (n, *shape).

    The scale of a layer is the ⌈p/100·m⌉-th smallest of its m positive values: a percentile that is
    exact, that does not depend on batches, and that a few outliers do not move. Data-based
    normalisation by a percentile is due to Rueckauer et al. 2017 (doi 10.3389/fnins.2017.00682), who
    count zeros too: here a layer that is seldom active keeps its scale. progress: samples done.
    """
    if not 0 < percentile <= 100:
        raise UsageError(
            f"percentile is {percentile:g}, expected above 0 and at most 100", code="NB701", fix="take 99.9"
        )
    tops: dict[str, _Top] = {}
    relus = {layer.name for layer in ann.layers if isinstance(layer.op, Relu)}

    def seen(name: str, out: Floats) -> None:
        if name in relus:
            if name not in tops:
                values = len(x) * (out.size // len(out))
                tops[name] = _Top(values - _rank(percentile, values) + 1)
            tops[name].add(out)

    for part in batches(ann, len(x)):
        forward(ann, x[part], seen)
        if progress is not None:
            progress(part.stop)
    return {name: _summary(top, percentile) for name, top in tops.items()}


def _rank(percentile: float, count: int) -> int:
    return max(1, math.ceil(percentile / 100.0 * count - 1e-9))


def _summary(top: _Top, percentile: float) -> Activation:
    if not top.positive:
        return Activation(scale=1.0, largest=0.0, active=0.0, clipped=0.0)
    ascending = np.sort(top.values)
    from_top = top.positive - _rank(percentile, top.positive) + 1
    scale = float(ascending[-from_top])
    return Activation(
        scale=scale,
        largest=float(ascending[-1]),
        active=top.positive / top.total,
        clipped=float((ascending > scale).sum()) / top.positive,
    )
