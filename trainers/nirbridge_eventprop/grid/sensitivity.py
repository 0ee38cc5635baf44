"""∂V/∂τm, ∂V/∂τs, ∂V/∂E and ∂I/∂τs of a neuron since its last reset, carried forward (EVENTPROP.md §4)."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors, tau_factors

use_cache(__name__)


@njit(cache=True, nogil=True)
def carry(begin: Any, end: Any, k: Any, v0: Any, i0: Any, dt: Any, free: Any, cells: Any, sense: Any) -> None:
    """sense[j] = (s, u, q, r) over step k from V and I at its start, of neurons begin … end−1.

    free (n,): first step in which V is not held.
    """
    for j in range(begin, end):
        em, es = cells.alpha[j], cells.beta[j]
        if free[j] > k:
            sense[j, 0] = sense[j, 1] = sense[j, 2] = 0.0
        else:
            drop = (v0[j] - cells.leak[j]) * em * dt / (cells.tau_m[j] * cells.tau_m[j])
            sense[j, 0] = sense[j, 0] * em + drop + i0[j] * cells.gamma_m[j]
            sense[j, 1] = sense[j, 1] * em + cells.gamma[j] * sense[j, 3] + i0[j] * cells.gamma_s[j]
            sense[j, 2] = sense[j, 2] * em + 1.0 - em
        sense[j, 3] = sense[j, 3] * es + i0[j] * es * dt / (cells.tau_s[j] * cells.tau_s[j])


@njit(cache=True, nogil=True)
def sense_at(j: Any, v0: Any, i0: Any, t: Any, cells: Any, sense: Any) -> Any:
    """(s, u, q) at t [s] after the start of the step, from sense[j] there."""
    tau_m, tau_s = cells.tau_m[j], cells.tau_s[j]
    em, _, kappa = factors(t, tau_m, tau_s)
    by_m, by_s = tau_factors(t, tau_m, tau_s)
    s = sense[j, 0] * em + (v0 - cells.leak[j]) * em * t / (tau_m * tau_m) + i0 * by_m
    return s, sense[j, 1] * em + kappa * sense[j, 3] + i0 * by_s, sense[j, 2] * em - math.expm1(-t / tau_m)
