"""The optimiser PE: gradients of the samples summed in their order, then Adam."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_spinnaker2.training.arithmetic import splitmix

use_cache(__name__)

MASTER_BITS = 23
MASTER_LIMIT = 2.0**8 - 2.0**-23


@njit(cache=True, nogil=True)
def gather(gradients: Any, unit: Any, total: Any) -> Any:
    """total (n,) ← unit·Σ over the samples' gradients (batch, n), in their order; returns Σ total²."""
    squares = 0.0
    total_of = gradients[0].copy()
    for b in range(1, len(gradients)):
        row = gradients[b]
        for i in range(len(total)):
            total_of[i] += row[i]
    for i in range(len(total)):
        total[i] = total_of[i] * unit
        squares += float(total[i]) * float(total[i])
    return squares


@njit(cache=True, nogil=True, error_model="numpy")
def adam_step(
    weights: Any,
    gradient: Any,
    m: Any,
    v: Any,
    count: Any,
    lr: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    decay: Any,
    grid: Any,
    stochastic: Any,
    key: Any,
) -> Any:
    """Adam with weight decay inside it (SPINNAKER2.md §6); returns Σ of the new weights.

    ``g ← g + wd·w``; ``m ← β1·m + (1−β1)·g``; ``v ← β2·v + (1−β2)·g²``;
    ``w ← w − lr/(1−β1^k)·m/(√v/√(1−β2^k) + eps)``, all in the type of m. All arrays (n,); count: k ≥ 1. grid:
    keep weights on multiples of 2^−23 within ±256, rounded to nearest or stochastically.
    """
    one = m.dtype.type
    b1, b2, n1, n2 = one(beta1), one(beta2), one(1.0 - beta1), one(1.0 - beta2)
    rate, small, wd = one(lr / (1.0 - beta1**count)), one(eps), one(decay)
    root = one(1.0 / math.sqrt(1.0 - beta2**count))
    total = 0.0
    for i in range(len(weights)):
        g = gradient[i] + wd * one(weights[i])
        m[i] = b1 * m[i] + n1 * g
        v[i] = b2 * v[i] + n2 * g * g
        weights[i] -= rate * (m[i] / (math.sqrt(v[i]) * root + small))
    if grid:
        for i in range(len(weights)):
            exact = float(weights[i]) * 2.0**MASTER_BITS
            if stochastic:
                draw = splitmix(key + np.uint64(i))
                low = math.floor(exact)
                exact = low + (float(draw >> np.uint64(11)) * 2.0**-53 < exact - low)
            else:
                exact = np.rint(exact)
            weights[i] = min(max(exact * 2.0**-MASTER_BITS, -256.0), MASTER_LIMIT)
    for i in range(len(weights)):
        total += float(weights[i])
    return total
