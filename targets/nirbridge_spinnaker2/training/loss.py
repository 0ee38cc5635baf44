"""The time-to-first-spike cross-entropy that the loss PE computes (SPINNAKER2.md §6)."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)


@njit(cache=True, nogil=True)
def first_spikes(n_steps: Any, start: Any, unit: Any, first: Any) -> None:
    """first (n,) ← step of each neuron's first spike, T where it has none."""
    first[:] = n_steps
    for step in range(n_steps):
        for s in range(start[step], start[step + 1]):
            first[unit[s]] = min(first[unit[s]], step)


@njit(cache=True, nogil=True, error_model="numpy")
def first_spike_loss(first: Any, label: Any, xi: Any, alpha_r: Any, beta_r: Any, g: Any) -> Any:
    """Loss of one sample and g_k = ∂L/∂t_k, without the batch's 1/B.

    ``p = softmax(−t/ξ)``; ``L = −ln p_y + α_r·(e^(t_y/β_r) − 1)``;
    ``g_k = −(p_k − 1[k=y])/ξ + 1[k=y]·(α_r/β_r)·e^(t_y/β_r)``. first (n,), ξ and β_r in steps.
    g (n,) float64 is filled. Returns (L, its cross-entropy part).
    """
    n = len(first)
    top = -math.inf
    for k in range(n):
        top = max(top, -first[k] / xi)
    total = 0.0
    for k in range(n):
        total += math.exp(-first[k] / xi - top)
    for k in range(n):
        g[k] = -math.exp(-first[k] / xi - top) / total / xi
    late = math.exp(first[label] / beta_r)
    g[label] += 1.0 / xi + alpha_r / beta_r * late
    entropy = math.log(total) + top + first[label] / xi
    return entropy + alpha_r * (late - 1.0), entropy


@njit(cache=True, nogil=True)
def earliest(first: Any) -> Any:
    """The predicted class: argmin t, the first on a tie, so class 0 where no output spikes."""
    best = 0
    for k in range(1, len(first)):
        if first[k] < first[best]:
            best = k
    return best
