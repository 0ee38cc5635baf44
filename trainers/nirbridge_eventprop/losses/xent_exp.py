"""Cross-entropy of the exponentially weighted read-out: ω(t) = e^(−t/T)/T.

Loss shaping of Nowotny, Turner & Knight 2022 (arXiv 2212.01232): early evidence counts more, which
keeps the gradient of hidden neurons from cancelling over the trial.
"""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def omega(n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weight of each step's mean read-out, (n_steps,): e^(−(k+½)/K)/K."""
    steps = max(n_steps, 1)
    return np.exp(-(np.arange(n_steps) + 0.5) / steps) / steps
