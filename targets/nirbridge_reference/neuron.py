"""One neuron's canonical step as a scalar function, one source for the CPU and the GPU (SEMANTICS.md §3).

The CPU's time loop has the same lines once more as loops over a population, which vectorise; a test
holds the two equal bit by bit.
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit
from numba.extending import overload

from nirbridge.kernels import use_cache

use_cache(__name__)

INPUT, OUTPUT, I, LI, IF, LIF, CUBALI, CUBALIF, DELAY = range(9)  # kinds of `Lowered.pops`
A_M, B_M, LEAK, A_S, B_S, THETA, V_RESET, V_START, I_START, AUX = range(10)  # `lower.PARAMETERS`
WHOLE = 2.0**53  # from here on every floating-point number is a whole one, or infinite
# positions in `Lowered.flags`
ORDER, SYN_BEFORE, AT_OR_ABOVE, SUBTRACT, MULTI, FLOOR, RELATIVE, RULE, NEXT_STEP, BEFORE = range(10)


def product(a: Any, b: Any) -> Any:
    """a·b, rounded before it is added to anything.

    A GPU's compiler makes one fused operation of a·b + c, with one rounding where a CPU has two; spikes
    would differ where V comes close to θ. `cuda_kernel` lowers this function to the multiplication
    that is never fused.
    """
    return a * b


@overload(product)
def _product(a: Any, b: Any) -> Any:
    def plain(a: Any, b: Any) -> Any:
        return a * b

    return plain


@njit(cache=True, nogil=True)
def standard(kind: Any, i: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> Any:
    """Update neuron i of the flat state arrays from its summed input x; returns its spikes, if it has any."""
    none = v.dtype.type(0)
    if kind in (I, IF):
        new = v[i] + product(par[B_M, i], x)
    else:
        kept = product(par[A_M, i], v[i]) + par[LEAK, i]
        if kind in (LI, LIF):
            new = kept + product(par[B_M, i], x)
        elif flags[ORDER] == 0:
            if flags[SYN_BEFORE]:
                current[i] = par[A_S, i] * (current[i] + product(par[B_S, i], x))
            else:
                current[i] = product(par[A_S, i], current[i]) + product(par[B_S, i], x)
            new = kept + product(par[B_M, i], current[i])
        elif flags[ORDER] == 1:
            new = kept + product(par[B_M, i], current[i])
            if flags[SYN_BEFORE]:
                current[i] = par[A_S, i] * (current[i] + product(par[B_S, i], x))
            else:
                current[i] = product(par[A_S, i], current[i]) + product(par[B_S, i], x)
        else:
            added = current[i] + product(par[B_S, i], x)
            new = kept + product(par[B_M, i], added)
            current[i] = product(par[A_S, i], added)
    v[i] = new
    if kind in (I, LI, CUBALI):
        return none
    return fire(kind, i, v, par, flags)


@njit(cache=True, nogil=True)
def fire(kind: Any, i: Any, v: Any, par: Any, flags: Any) -> Any:
    """Spike test, reset and floor of neuron i; returns its spikes."""
    theta = par[THETA, i]
    z = v.dtype.type(0)
    if v[i] > theta or (flags[AT_OR_ABOVE] and v[i] == theta):
        z = v.dtype.type(1)
        if flags[MULTI]:
            z = v[i] / theta
            if z < WHOLE:
                z = v.dtype.type(math.floor(z))
        if flags[SUBTRACT]:
            v[i] = v[i] - product(z, theta - par[V_RESET, i] if flags[RELATIVE] else theta)
        else:
            v[i] = par[V_RESET, i]
    lowest = v[i]  # numba's own CUDA target compiles no max()
    if flags[FLOOR] == 1:
        lowest = v.dtype.type(0)
    elif flags[FLOOR] == 2 or (flags[FLOOR] == 3 and kind == IF):
        lowest = -theta
    if v[i] < lowest:
        v[i] = lowest
    return z
