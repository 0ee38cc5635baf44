"""The quantisation scheme of ml_genn_netx, integer for integer (LOIHI2.md §2 end and §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, UsageError

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Quantised:
    """Integers of all matrices into one population: weight ≈ q·scale/gain, in the order given."""

    scale: float
    q: tuple[Ints, ...]

    def threshold(self, v_threshold: float) -> int:
        """vThMant = round(θ/Δ), halves to even."""
        return int(np.rint(v_threshold / self.scale))


def mlgenn_netx(
    weights: Sequence[NDArray[Any]], *, bits: int = 8, percentile: float = 99.0, gain: float = 1.0
) -> Quantised:
    """One power-of-two scale Δ for all matrices that enter a population, such as (ff, rec).

    With w' = gain·w over all of them: P⁺ and P⁻ are the ``percentile``-th percentiles (linear
    interpolation) of {w' > 0} and of {−w' : w' ≤ 0}, zeros included in the second; an empty side
    counts 0. ``h = ⌊log2 max(P⁺, P⁻)⌋``, ``Δ = 2^(h−bits+2)``,
    ``q = clip(round_half_even(w'/Δ), −2^(bits−1), 2^(bits−1) − 1)``.

    Raises `UsageError` (NB701) for options out of range and `BadInput` (NB212) where every weight is
    zero or one is not finite.
    """
    if not 2 <= bits <= 8 or not 0 < percentile <= 100 or not 0 < gain < np.inf:
        raise UsageError(
            f"mlgenn-netx: bits {bits}, percentile {percentile:g}, gain {gain:g}; expected 2 to 8 bits, a "
            "percentile above 0 and at most 100, a positive gain",
            code="NB701",
        )
    scaled = [gain * np.asarray(w, dtype=np.float64) for w in weights]
    joint = np.concatenate([w.reshape(-1) for w in scaled]) if scaled else np.zeros(0)
    if not np.all(np.isfinite(joint)):
        raise BadInput("mlgenn-netx: a weight is not finite", code="NB120", fix="train or export again")
    sides = (joint[joint > 0], -joint[joint <= 0])
    largest = max((float(np.percentile(side, percentile)) for side in sides if side.size), default=0.0)
    if largest <= 0:
        raise BadInput(
            f"mlgenn-netx: the {percentile:g}th percentile of the weights is 0, so there is no scale",
            code="NB212",
            fix="use a higher percentile, or another scheme of quantize-weights",
        )
    scale = 2.0 ** (int(np.floor(np.log2(largest))) - bits + 2)
    low, high = -(1 << (bits - 1)), (1 << (bits - 1)) - 1
    q = tuple(np.clip(np.rint(w / scale), low, high).astype(np.int64) for w in scaled)
    return Quantised(scale=scale, q=q)


def decay(tau: float, dt: float) -> int:
    """iDecay or vDecay of 4096 for a time constant and a step in one unit: round(4096·(1 − e^(−dt/τ)))."""
    return int(np.rint(4096 * (1.0 - np.exp(-dt / tau))))
