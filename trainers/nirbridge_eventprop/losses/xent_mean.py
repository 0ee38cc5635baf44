"""Cross-entropy of the time-averaged read-out: ω(t) = 1/T."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray


def omega(n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weight of each step's mean read-out, (n_steps,): dt/T = 1/K."""
    return np.full(n_steps, 1.0 / max(n_steps, 1))
