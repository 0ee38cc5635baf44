"""One step of a population: membrane, spike test, reset, delay lines, and who sent what.

Equations: SEMANTICS.md §3. Lists of (unit, value) are written from ``to`` on.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import WIDE, at_least, load, lowest
from nirbridge_reference.readings import SPYX, read

use_cache(__name__)

INPUT, OUTPUT, I, LI, IF, LIF, CUBALI, CUBALIF, DELAY = range(9)


@njit(cache=True, nogil=True, inline="always")
def update(kind: Any, start: Any, size: Any, x: Any, v: Any, current: Any, par: Any, flags: Any) -> None:
    """Membrane and current of one population for one step, before the spike test."""
    start, end = np.uint64(start), np.uint64(start + size)
    if kind in (I, IF):
        for i in range(start, end):
            v[i] = v[i] + par[1, i] * x[i]
    elif kind in (LI, LIF):
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * x[i]
    elif flags[0] == 0:
        if flags[1]:
            for i in range(start, end):
                current[i] = par[3, i] * (current[i] + par[4, i] * x[i])
        else:
            for i in range(start, end):
                current[i] = par[3, i] * current[i] + par[4, i] * x[i]
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
    elif flags[0] == 1:
        for i in range(start, end):
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
            added = current[i] + par[4, i] * x[i]
            current[i] = par[3, i] * added if flags[1] else par[3, i] * current[i] + par[4, i] * x[i]
    else:
        for i in range(start, end):
            current[i] = current[i] + par[4, i] * x[i]
            v[i] = par[0, i] * v[i] + par[2, i] + par[1, i] * current[i]
            current[i] = par[3, i] * current[i]


@njit(cache=True, nogil=True, forceinline=True)
def update_alike(kind: Any, start: Any, size: Any, x: Any, v: Any, current: Any, par: Any) -> None:
    """`update`, current-first, of a population whose neurons are all alike: half the memory traffic."""
    s = np.uint64(start)
    end = s + np.uint64(size)
    a_m, b_m, leak, a_s, b_s = par[0, s], par[1, s], par[2, s], par[3, s], par[4, s]
    if kind in (I, IF):
        for i in range(s, end):
            v[i] = v[i] + b_m * x[i]
    elif kind in (LI, LIF):
        for i in range(s, end):
            v[i] = a_m * v[i] + leak + b_m * x[i]
    else:
        for i in range(s, end):
            now = a_s * current[i] + b_s * x[i]
            current[i] = now
            v[i] = a_m * v[i] + leak + b_m * now


@njit(cache=True, nogil=True, inline="always")
def fire(
    kind: Any, start: Any, size: Any, v: Any, par: Any, flags: Any, unit: Any, value: Any, to: Any
) -> Any:
    """Spike test, reset and floor; lists who spiked from ``to`` on. Returns how many did."""
    found = 0
    at_or_over, subtract, multi, relative = flags[2], flags[3], flags[4], flags[6]
    floor = flags[5] if flags[5] < 3 else 2 if kind == IF else 0
    end = start + size
    thetas = 5 * par.shape[1]
    full = start + size // WIDE * WIDE
    for wide in range(start, full, WIDE):
        bits = at_least(load(v, wide, WIDE), load(par, thetas + wide, WIDE))
        while bits != 0:
            unit[to + found] = wide - start + lowest(bits)
            found += 1
            bits &= bits - np.uint64(1)
    for i in range(np.uint64(full), np.uint64(end)):  # without a branch: who spikes is unforeseeable
        unit[to + found] = np.int64(i) - start
        found += 1 if v[i] >= par[5, i] else 0
    n = 0
    for k in range(found):
        i = start + unit[to + k]
        theta = par[5, i]
        if at_or_over or v[i] != theta:
            z = np.floor(v[i] / theta) if multi else v.dtype.type(1)
            if subtract:
                v[i] = v[i] - z * (theta - par[6, i] if relative else theta)
            else:
                v[i] = par[6, i]
            if z != 0:
                unit[to + n] = i - start
                value[to + n] = z
                n += 1
    if floor == 1:
        for i in range(start, start + size):
            v[i] = max(v[i], v.dtype.type(0))
    elif floor == 2:
        for i in range(start, start + size):
            v[i] = max(v[i], -par[5, i])
    return n


@njit(cache=True, nogil=True)
def update_by_rule(
    rule: Any, kind: Any, start: Any, size: Any, x: Any, v: Any, current: Any, par: Any, flags: Any, dt: Any,
    unit: Any, value: Any, to: Any,
) -> Any:  # fmt: skip
    """Update a population by its profile's own rule; lists who spiked from ``to`` on, returns how many."""
    n = 0
    for i in range(start, start + size):
        z = read(rule, kind, i, x[i], v, current, par, flags, dt)
        if z > 0 and rule != SPYX:
            unit[to + n] = i - start
            value[to + n] = z
            n += 1
    return n


@njit(cache=True, nogil=True)
def emit(start: Any, size: Any, v: Any, par: Any, unit: Any, value: Any, to: Any) -> Any:
    """Lists who is above threshold before the update (profile spyx). Returns how many are."""
    n = 0
    for i in range(start, start + size):
        if v[i] > par[5, i]:
            unit[to + n] = i - start
            value[to + n] = 1
            n += 1
    return n


@njit(cache=True, nogil=True)
def pass_on(
    t: Any, start: Any, size: Any, base: Any, x: Any, delay: Any, ring: Any, unit: Any, value: Any, to: Any
) -> Any:
    """y[t] = x[t − k], k per element, 0 before; a ring of max(k)+1 steps; lists what leaves."""
    longest = 0
    for i in range(start, start + size):
        longest = max(longest, delay[i])
    length = longest + 1
    row = base + (t % length) * size
    for i in range(size):
        ring[row + i] = x[start + i]
    n = 0
    for i in range(size):
        k = delay[start + i]
        if t >= k:
            y = ring[base + ((t - k) % length) * size + i]
            if y != 0:
                unit[to + n] = i
                value[to + n] = y
                n += 1
    return n
