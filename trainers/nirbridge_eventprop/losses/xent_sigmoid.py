"""Cross-entropy of the read-out weighted by a falling sigmoid: ω(t) = 1/(T·(1 + e^((t/T − 0.5)/0.2)))."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def omega(n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weight of each step's mean read-out, (n_steps,): 1/(K·(1 + e^(((k+½)/K − 0.5)/0.2)))."""
    steps = max(n_steps, 1)
    share = (np.arange(n_steps) + 0.5) / steps
    return 1.0 / (steps * (1.0 + np.exp((share - 0.5) / 0.2)))
