"""One neuron's step as a named reader computes it, where fields cannot say it (SEMANTICS.md §4).

Every function updates neuron i of the flat state arrays from its summed input x and returns what it
sends: the number of spikes, 0 for neurons that do not spike. They are scalar on purpose: the same
source is compiled for the CPU's time loop and for the GPU's.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_reference.neuron import (
    A_M,
    A_S,
    AT_OR_ABOVE,
    AUX,
    B_M,
    B_S,
    CUBALI,
    CUBALIF,
    LEAK,
    NEXT_STEP,
    SUBTRACT,
    THETA,
    V_RESET,
    product,
)

use_cache(__name__)

SNNTORCH, NORSE, SPYX, ODE, SLAYER, LOIHI = range(1, 7)  # `profiles.OWN_RULE`
WRAP = 2.0**23


@njit(cache=True, nogil=True)
def snntorch(kind: Any, i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> Any:
    """Leaky and Synaptic: whoever is above threshold resets; ``next-step`` does it before the next test."""
    theta, old, zero = par[THETA, i], v[i], v.dtype.type(0)  # a literal 0 would make float64 of float32
    above = old > theta
    if kind == CUBALIF:
        current[i] = product(par[A_S, i], current[i]) + product(par[B_S, i], x)
        new = product(par[A_M, i], old) + par[LEAK, i] + product(par[B_M, i], current[i])
    else:
        new = product(par[A_M, i], old) + par[LEAK, i] + product(par[B_M, i], x)
    removed = theta if above else zero
    if flags[NEXT_STEP]:
        if flags[SUBTRACT]:
            new = new - removed
        elif above:
            new = zero if kind == CUBALIF else par[B_M, i] * x
        v[i] = new
        return 1 if new > theta else 0
    if flags[SUBTRACT]:
        spike = new - removed > theta
        v[i] = new - theta if spike else new
        return 1 if spike else 0
    spike = new > theta
    v[i] = zero if spike else new
    return 1 if spike else 0


@njit(cache=True, nogil=True)
def norse(kind: Any, i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> Any:
    """The current leaks towards v_leak too; LIF and IF always reset to 0."""
    if kind >= CUBALI:
        current[i] = product(par[A_S, i], current[i]) + (product(par[B_S, i], x) + par[AUX, i])
        v[i] = product(par[A_M, i], v[i]) + par[LEAK, i] + product(par[B_M, i], current[i])
    else:
        v[i] = product(par[A_M, i], v[i]) + par[LEAK, i] + product(par[B_M, i], x)
    if v[i] > par[THETA, i]:
        subtract = flags[SUBTRACT] and kind == CUBALIF
        v[i] = v[i] - par[THETA, i] if subtract else v.dtype.type(0)
        return 1
    return 0


@njit(cache=True, nogil=True)
def spyx(kind: Any, i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> Any:
    """The spike test is on the stored V; what it removes from a LIF does not decay."""
    spike = v[i] > par[THETA, i]
    removed = par[THETA, i] if spike else v.dtype.type(0)
    if kind >= CUBALI:
        current[i] = product(par[A_S, i], current[i]) + product(par[B_S, i], x)
        v[i] = product(par[A_M, i], v[i] - removed) + product(par[B_M, i], current[i])
    else:
        v[i] = product(par[A_M, i], v[i]) + product(par[B_M, i], x) - removed
    return 1 if spike else 0


@njit(cache=True, nogil=True)
def ode(i: Any, x: Any, v: Any, par: Any, dt: Any) -> Any:
    """Events in continuous time under an input that is constant in the step; counts the spikes in it."""
    left, tau, theta = dt, par[AUX, i], par[THETA, i]
    target = par[LEAK, i] + product(par[B_M, i], x)
    n = 0
    while target > theta:
        until = product(tau, math.log((target - v[i]) / (target - theta)))
        if until > left:
            break
        v[i] = par[V_RESET, i]
        left -= until
        n += 1
    v[i] = target + product(v[i] - target, math.exp(-left / tau))
    return n


@njit(cache=True, nogil=True)
def _toward_zero(value: Any) -> Any:
    """value/4096 without its fraction; exact for integers in float64."""
    scaled = value / 4096.0
    return math.floor(scaled) if scaled >= 0 else math.ceil(scaled)


@njit(cache=True, nogil=True)
def slayer(i: Any, x: Any, v: Any, current: Any, par: Any) -> Any:
    """lava-dl's fixed point: currents and voltages are integers in units of 2^−12."""
    drive = 4096.0 * par[B_S, i] * x
    current[i] = _toward_zero(current[i] * (4096.0 - par[A_S, i])) + (
        math.floor(drive) if drive >= 0 else math.ceil(drive)
    )
    v[i] = _toward_zero(v[i] * (4096.0 - par[A_M, i])) + current[i]
    if v[i] > par[THETA, i]:
        v[i] = 0
        return 1
    return 0


@njit(cache=True, nogil=True)
def loihi(i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> Any:
    """Lava's fixed point (LOIHI2.md §1): x is a sum of integer weights, u wraps once, v saturates."""
    u = _toward_zero(current[i] * (4096.0 - par[A_S, i])) + product(64.0, x)
    if u > WRAP:
        u -= 2 * WRAP
    elif u <= -WRAP:
        u += 2 * WRAP
    current[i] = u
    new = _toward_zero(v[i] * (4096.0 - par[A_M, i])) + u + par[LEAK, i]
    if new < 1.0 - WRAP:  # numba's own CUDA target compiles no max()
        new = 1.0 - WRAP
    elif new > WRAP - 1.0:
        new = WRAP - 1.0
    v[i] = new
    if new > par[THETA, i] or (flags[AT_OR_ABOVE] and new == par[THETA, i]):
        v[i] = 0
        return 1
    return 0


@njit(cache=True, nogil=True)
def read(rule: Any, kind: Any, i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any, dt: Any) -> Any:
    """One neuron's step under a profile with its own rule; returns its spikes."""
    if rule == SNNTORCH:
        return snntorch(kind, i, x, v, current, par, flags)
    if rule == NORSE:
        return norse(kind, i, x, v, current, par, flags)
    if rule == SPYX:
        return spyx(kind, i, x, v, current, par, flags)
    if rule == ODE:
        return ode(i, x, v, par, dt)
    if rule == SLAYER:
        return slayer(i, x, v, current, par)
    return loihi(i, x, v, current, par, flags)
