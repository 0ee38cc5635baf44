"""Closed form of membrane and synapse between two events, and its derivatives by the time constants.

With h = 1/τs − 1/τm and φ(z) = (1 − e^(−z))/z (EVENTPROP.md §1):

    κ(x) = (x/τm)·e^(−x/τm)·φ(h·x)
    V(x) = E + (V − E)·e^(−x/τm) + κ(x)·I      I(x) = I·e^(−x/τs)
    ∂κ/∂τm = κ·(x/τm − 1)/τm + (x²/τm³)·e^(−x/τm)·φ'(h·x)
    ∂κ/∂τs = −x²/(τm·τs²)·e^(−x/τm)·φ'(h·x)

None of these is a difference of two exponentials, so τm = τs needs no case of its own.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache

use_cache(__name__)

SMALL = 0.1  # below it, φ' is its series: eight terms leave an error under 1e-14


@njit(cache=True, nogil=True)
def factors(x: Any, tau_m: Any, tau_s: Any) -> Any:
    """(e^(−x/τm), e^(−x/τs), κ(x)) of a time x [s]."""
    em = math.exp(-x / tau_m)
    z = x * (1.0 / tau_s - 1.0 / tau_m)
    phi = 1.0 if z == 0.0 else -math.expm1(-z) / z
    return em, math.exp(-x / tau_s), x / tau_m * em * phi


@njit(cache=True, nogil=True)
def slope_of_phi(z: Any) -> Any:
    """φ'(z) = (e^(−z) − φ(z))/z."""
    if abs(z) > SMALL:
        return (math.exp(-z) + math.expm1(-z) / z) / z
    total, term = 0.0, -1.0
    for n in range(1, 10):  # −Σ n·(−z)^(n−1)/(n+1)!
        term /= n + 1
        total += n * term
        term *= -z
    return total


@njit(cache=True, nogil=True)
def tau_factors(x: Any, tau_m: Any, tau_s: Any) -> Any:
    """(∂κ/∂τm, ∂κ/∂τs) at x [s], in 1/s."""
    em, _, kappa = factors(x, tau_m, tau_s)
    slope = slope_of_phi(x * (1.0 / tau_s - 1.0 / tau_m)) * em * x * x / tau_m
    return kappa * (x / tau_m - 1.0) / tau_m + slope / (tau_m * tau_m), -slope / (tau_s * tau_s)


@njit(cache=True, nogil=True)
def extremum(v: Any, i: Any, e: Any, tau_m: Any, tau_s: Any) -> Any:
    """Time [s] at which V' = 0 from here on (negative: before now), infinite where there is none.

    x = [ln(1+τm·h) − ln(1+τm·h·(V−E)/I)]/h: a maximum for I > 0, a minimum for I < 0.
    """
    if i == 0.0:
        return math.inf
    h = 1.0 / tau_s - 1.0 / tau_m
    ratio = (v - e) / i
    if abs(tau_m * h) < 1e-12:
        return tau_m * (1.0 - ratio)
    if 1.0 + tau_m * h * ratio <= 0.0:
        return math.inf
    return (math.log1p(tau_m * h) - math.log1p(tau_m * h * ratio)) / h
