"""Cross-entropy of the linearly weighted read-out: ω(t) = (1 − t/T)/T."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def omega(n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weight of each step's mean read-out, (n_steps,): (1 − (k+½)/K)/K."""
    steps = max(n_steps, 1)
    return (1.0 - (np.arange(n_steps) + 0.5) / steps) / steps
