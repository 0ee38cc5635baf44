"""Adam over the padded weight buffer: gradients of all shards summed in a fixed order, then the step."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def total_gradient(shards: Any, factor: Any, total: Any) -> Any:
    """total = factor·Σ shards, summed in shard order; returns Σ total² in float64.

    shards (n_shards, n), factor (n,) = −τ_s·s_post/B per weight, total (n,).
    """
    squares = 0.0
    for i in range(len(total)):
        g = shards[0, i]
        for s in range(1, len(shards)):
            g += shards[s, i]
        g *= factor[i]
        total[i] = g
        squares += float(g) * float(g)
    return squares


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
) -> None:
    """w ← w − rate·m̂/(√v̂ + eps), Kingma & Ba 2015 (arXiv 1412.6980); gradient times ``shrink`` first.

    rate (n,): learning rate of each weight, 0 where it is frozen or padding.
    """
    c1 = 1.0 / (1.0 - beta1**count)
    c2 = 1.0 / math.sqrt(1.0 - beta2**count)
    one = weights.dtype.type
    b1, b2 = one(beta1), one(beta2)
    n1, n2 = one(1.0 - beta1), one(1.0 - beta2)
    f1, f2, small, s = one(c1), one(c2), one(eps), one(shrink)
    for i in range(len(weights)):
        g = gradient[i] * s
        m[i] = b1 * m[i] + n1 * g
        v[i] = b2 * v[i] + n2 * g * g
        weights[i] -= rate[i] * (m[i] * f1) / (math.sqrt(v[i]) * f2 + small)
