"""int8 weights with one scale for all arrays that enter a population (SPINNAKER2.md §2)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.quantization import Quantization

Rounding = Literal["truncate", "nearest"]
LIMIT = 127


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Incoming:
    """One weight array that enters a population, with the integers that the graph keeps of it.

    weight: float array of any shape. gain: what pools before it multiply each weight with (1/k² for
    an AvgPool2d of k×k, else 1). stored: the graph's ``nirbridge_q``, or None.
    """

    weight: NDArray[np.floating]
    gain: float = 1.0
    stored: Quantization | None = None

    def stored_scale(self) -> float | None:
        """The one scale of usable stored integers, gain included; None where there is none."""
        q = self.stored
        if q is None or q.zero_point != 0 or len(set(q.scale.tolist())) != 1:
            return None
        return float(q.scale[0]) * self.gain


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Quantised:
    """q: one int64 array per incoming array, in its shape, not yet checked against ±127.

    w_scale: integer steps per unit of weight. kept: the graph's own integers were used.
    """

    q: tuple[NDArray[np.int64], ...]
    w_scale: float
    kept: bool


def quantise(incoming: Sequence[Incoming], *, rounding: Rounding, scale_weights: bool) -> Quantised:
    """Joint int8 weights of one population.

    ``w_scale = 127/max|w|`` over *all* arrays (1 where ``scale_weights`` is off or all weights are
    0), ``q = trunc(float64(w)·w_scale)``, or rounded half to even with ``rounding="nearest"``. Where
    every array carries integers of one common scale they are used as they are, w_scale = 1/scale:
    truncating them again would move about half of them by one step.
    """
    scales = [item.stored_scale() for item in incoming]
    if incoming and None not in scales and len(set(scales)) == 1:
        kept = tuple(item.stored.q.astype(np.int64) for item in incoming if item.stored is not None)
        return Quantised(q=kept, w_scale=1.0 / float(scales[0] or 1.0), kept=True)
    weights = [np.asarray(item.weight, dtype=np.float64) * item.gain for item in incoming]
    largest = max((float(np.abs(w).max(initial=0.0)) for w in weights), default=0.0)
    w_scale = 127.0 / largest if scale_weights and largest > 0 else 1.0
    cut = np.trunc if rounding == "truncate" else np.rint
    return Quantised(q=tuple(cut(w * w_scale).astype(np.int64) for w in weights), w_scale=w_scale, kept=False)
