"""Cross-entropy of the summed read-out: ω(t) = 1/t_unit with t_unit = 1 ms."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

T_UNIT = 1e-3


def omega(n_steps: int, dt: float) -> NDArray[np.float64]:
    """Weight of each step's mean read-out, (n_steps,): dt/t_unit."""
    return np.full(n_steps, dt / T_UNIT)
