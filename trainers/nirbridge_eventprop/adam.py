"""Adam over the padded weight buffer: gradients of all shards summed in a fixed order, then the step."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, double, fma, load, splat, store
from nirbridge.kernels.vectors import total as sum_of

use_cache(__name__)

EXACT = np.zeros(0)  # says float64


@njit(cache=True, nogil=True)
def total_gradient(shards: Any, factor: Any, total: Any, samples: Any = 1) -> Any:
    """total = factor/samples·Σ shards, summed in shard order; returns Σ total² in float64.

    shards (n_shards, n), factor (n,) = −τ_s·s_post per weight, total (n,).
    """
    n = len(total)
    number = total.dtype.type(samples)
    squares = splat(EXACT, 0.0, NARROW)
    vectors = n - n % NARROW
    for i in range(0, vectors, NARROW):
        g = load(shards, i, NARROW)
        for s in range(1, len(shards)):
            g = g + load(shards, s * n + i, NARROW)
        g = g * (load(factor, i, NARROW) / splat(total, number, NARROW))
        store(total, i, g)
        squares = fma(double(g), double(g), squares)
    rest = sum_of(squares)
    for i in range(vectors, n):
        one = shards[0, i]
        for s in range(1, len(shards)):
            one += shards[s, i]
        one *= factor[i] / number
        total[i] = one
        rest += float(one) * float(one)
    return rest


@njit(cache=True, nogil=True, error_model="numpy")
def adam_step(
    weights: Any,
    gradient: Any,
    m: Any,
    v: Any,
    rate: Any,
    beta1: Any,
    beta2: Any,
    eps: Any,
    count: Any,
    shrink: Any,
    lr: Any,
) -> None:
    """w ← w − lr·rate·m̂/(√v̂ + eps), Kingma & Ba 2015 (arXiv 1412.6980); gradient times ``shrink`` first.

    rate (n,): factor of each weight's learning rate, 0 where it is frozen or padding.
    """
    c1 = 1.0 / (1.0 - beta1**count)
    c2 = 1.0 / math.sqrt(1.0 - beta2**count)
    one = weights.dtype.type
    b1, b2 = one(beta1), one(beta2)
    n1, n2 = one(1.0 - beta1), one(1.0 - beta2)
    f1, f2, small, s, size = one(c1), one(c2), one(eps), one(shrink), one(lr)
    for i in range(len(weights)):
        g = gradient[i] * s
        m[i] = b1 * m[i] + n1 * g
        v[i] = b2 * v[i] + n2 * g * g
        weights[i] -= (rate[i] * size) * (m[i] * f1) / (math.sqrt(v[i]) * f2 + small)


@njit(cache=True, nogil=True)
def all_finite(weights: Any) -> Any:
    """False where a weight is infinite or not a number."""
    most = weights.dtype.type(np.inf)
    good = True
    for i in range(len(weights)):
        good &= abs(weights[i]) < most
    return good


@njit(cache=True, nogil=True)
def follow(average: Any, weights: Any, share: Any) -> None:
    """average ← average + share·(weights − average)."""
    s = weights.dtype.type(share)
    for i in range(len(weights)):
        average[i] += s * (weights[i] - average[i])
