"""Gradient descent with momentum over the padded weight buffer."""

from __future__ import annotations

from typing import Any

from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def sgd_step(weights: Any, gradient: Any, velocity: Any, rate: Any, momentum: Any, shrink: Any) -> None:
    """u ← momentum·u + shrink·g, w ← w − rate·u (Polyak 1964).

    rate (n,): learning rate of each weight, 0 where it is frozen or padding.
    """
    one = weights.dtype.type
    keep, s = one(momentum), one(shrink)
    for i in range(len(weights)):
        velocity[i] = keep * velocity[i] + s * gradient[i]
        weights[i] -= rate[i] * velocity[i]
