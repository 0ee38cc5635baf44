"""The scale with which rounding loses least: all candidates from one sorted copy of the weights."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
_DOUBT = 1e-9  # of Σw²: sums of differences of large numbers are good to about 1e-12


def least_error_scale(w: Floats, scales: Floats, top: int) -> float:
    """The s among ``scales`` with the least Σ(w − s·clip(rint(w/s), −top, top))², the largest of equals.

    w: flat; scales: positive and finite. With |w| sorted, the weights that share an integer q are a slice,
    and their error Σw² − 2·s·q·Σw + s²·q²·n follows from running sums. Scales that these cannot tell apart
    are tried on the weights themselves.
    """
    magnitude = np.sort(np.abs(w))
    sums = np.concatenate([[0.0], np.cumsum(magnitude)])
    total = float(magnitude @ magnitude)
    at = np.searchsorted(magnitude, (np.arange(top) + 0.5) * scales[:, None])  # |w| of q = j + 1 start here
    at = np.hstack([at, np.full((len(scales), 1), len(magnitude))])
    q = np.arange(1, top + 1) * scales[:, None]
    rough = total + np.sum(q * q * np.diff(at) - 2 * q * np.diff(sums[at]), axis=1)
    close = scales[rough <= rough.min() + _DOUBT * total]
    del magnitude, sums  # as large as w
    if len(close) > 1:
        errors = [float(np.sum((w - np.clip(np.rint(w / s), -top, top) * s) ** 2)) for s in close]
        least = min(errors)
        close = close[np.array(errors) == least]
    return float(close.max())
