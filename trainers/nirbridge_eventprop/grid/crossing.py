"""Where inside a step a membrane crossed its threshold, looking back from the step's end."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors

use_cache(__name__)


@njit(cache=True, nogil=True)
def _above(x: Any, v: Any, i: Any, b: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any) -> Any:
    """(V − θ − B, its slope in time) x before the end, from V, I, B at the end."""
    em, es, kappa = factors(-x, tau_m, tau_s)
    then = e + (v - e) * em + kappa * i
    adapted = b * math.exp(x / tau_b) if b != 0.0 else 0.0
    return then - theta - adapted, (i * es + e - then) / tau_m + adapted / tau_b


@njit(cache=True, nogil=True)
def crossing(
    v: Any, i: Any, b: Any, v0: Any, b0: Any, dt: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any
) -> Any:
    """x in [0, dt] with V(−x) = θ + B(−x): Newton, guarded by bisection (EVENTPROP.md §3).

    v, i, b: V ≥ θ + B, I, B at the end of the step. v0, b0: V and B at its start, read only where V(−dt) is
    not below θ + B(−dt), that is where an arrival of the same round came after the crossing: then x is
    interpolated, and dt where even v0 is not below.
    """
    if _above(dt, v, i, b, e, theta, tau_m, tau_s, tau_b)[0] >= 0.0:
        before = v0 - theta - b0
        after = v - theta - b
        return dt if before >= 0.0 else dt * after / (after - before)
    low, high = 0.0, dt
    x = 0.0
    for _ in range(100):
        f, slope = _above(x, v, i, b, e, theta, tau_m, tau_s, tau_b)
        if f >= 0.0:
            low = x
        else:
            high = x
        new = x + f / slope if slope > 0.0 else -1.0
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - x) <= 1e-15 * dt:
            return new
        x = new
    return x
