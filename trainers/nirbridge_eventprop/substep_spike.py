"""When inside a step a neuron reached threshold (mode `substep` of EVENTPROP.md §3), and where it is then.

A neuron above threshold at a step's end is followed backwards, V(−x) = E + (V−E)·e^(x/τm) + κ(−x)·I. In
float32 and steps that are short against the time constants e^z and φ are short series and sixteen spikes are
solved at once; in all other cases one after the other, to float64's last digits where the network is in it.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import (
    NARROW,
    at_least,
    fma,
    like,
    load,
    magnitude,
    root,
    splat,
    store,
    where_least,
)
from nirbridge_eventprop.kernels import OFFSET, PADDED, TAU_M, TAU_S, THETA, V_LEAK, V_RESET

use_cache(__name__)

FAST = {"reassoc", "contract", "nsz", "arcp"}
SHORT = 0.5  # dt/τm and dt·(1/τs − 1/τm) up to which the series hold to 2e-7
RESOLVED = 3e-8  # error of a spike time, in dt, below what float32 resolves
WORK = 8 * NARROW  # entries of the work space of `spikes_together`
FEW = 8  # lanes that are enough where no more spike; NARROW otherwise


@njit(cache=True, nogil=True)
def kappa_of(x: Any, tau_m: Any, tau_s: Any) -> Any:
    """κ(x) = (x/τm)·e^(−x/τm)·φ(h·x), φ(z) = (1−e^(−z))/z (EVENTPROP.md §1); x may be negative."""
    z = x * (1.0 / tau_s - 1.0 / tau_m)
    phi = 1.0 - z / 2 + z * z / 6 if abs(z) < 1e-5 else -math.expm1(-z) / z
    return x / tau_m * math.exp(-x / tau_m) * phi


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def exp_of(z: Any, single: Any) -> Any:
    """e^z; to 1e-7 by a polynomial where ``single`` and abs(z) ≤ 1/2, which is most of a step."""
    if single and abs(z) <= 0.5:
        tail = 1 / 24 + z * (1 / 120 + z * (1 / 720 + z / 5040))
        return 1.0 + z * (1.0 + z * (0.5 + z * (1 / 6 + z * tail)))
    return math.exp(z)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def spike_factors(x: Any, tau_m: Any, tau_s: Any, single: Any) -> Any:
    """e^(−x/τm), e^(−x/τs) and κ(x)."""
    em, es = exp_of(-x / tau_m, single), exp_of(-x / tau_s, single)
    if single:
        z = x * (1.0 / tau_s - 1.0 / tau_m)
        if abs(z) > 0.01:
            return em, es, tau_s / (tau_m - tau_s) * (em - es)
        return em, es, x / tau_m * em * (1.0 - z / 2 + z * z / 6)
    return em, es, kappa_of(x, tau_m, tau_s)


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def crossing_before_end(
    v: Any, current: Any, v0: Any, far: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, dt: Any,
    single: Any,
) -> Any:  # fmt: skip
    """x in [0, dt] with V(−x) = θ, flowing the end state (v, current) backwards; v0: V at the step's start.

    far: V(−dt); where even that is at or above θ, x = dt(V−θ)/(V−V0), and x = dt if V0 ≥ θ. Newton with
    bisection as guard, from the root of the parabola at the end: to 1e-15·dt; where ``single``, until a
    step is below 3e-4·dt, which leaves less than float32 resolves.
    """
    if far >= theta:
        return dt if v0 >= theta else dt * (v - theta) / (v - v0)
    tolerance = 3e-4 * dt if single else 1e-15 * dt
    low, high = 0.0, dt
    slope = (current + e - v) / tau_m
    bend = -(slope + current / tau_s) / tau_m
    under = slope * slope - 2.0 * bend * (v - theta)
    x = 2.0 * (v - theta) / (slope + math.sqrt(under)) if slope > 0 and under > 0 else 0.5 * dt
    if not low <= x <= high:
        x = 0.5 * dt
    h = 1.0 / tau_s - 1.0 / tau_m
    for _ in range(60):
        grow = exp_of(x / tau_m, single)
        more = exp_of(h * x, single)  # e^(x/τs) = e^(x/τm)·e^(h·x)
        z = -h * x
        small = abs(z) < (1e-3 if single else 1e-5)
        phi = 1.0 - z / 2 + z * z / 6 if small else (1.0 - more) / z
        back = e + (v - e) * grow - x / tau_m * grow * phi * current
        f = back - theta
        if f > 0:
            low = x
        else:
            high = x
        slope = (current * grow * more + e - back) / tau_m
        new = x + f / slope if slope > 0 else 0.5 * (low + high)
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - x) <= tolerance:
            return new
        x = new
    return x


@njit(cache=True, nogil=True, fastmath=FAST, error_model="numpy")
def spike_alone(
    i: Any, at: Any, v: Any, current: Any, v0: Any, par: Any, dt: Any, single: Any, tape_current: Any,
    tape_x: Any, tape_factors: Any,
) -> None:  # fmt: skip
    """Time and current of neuron i at its crossing; reset there and flow on to the step's end.

    Writes entry ``at`` of the tape: see `substep.forward`.
    """
    tau_m, tau_s, e = float(par[TAU_M, i]), float(par[TAU_S, i]), float(par[V_LEAK, i])
    theta, end, start, drive = float(par[THETA, i]), float(v[i]), float(v0[i]), float(current[i])
    em, es, kappa = spike_factors(-dt, tau_m, tau_s, single)
    far = e + (end - e) * em + kappa * drive
    x = crossing_before_end(end, drive, start, far, e, theta, tau_m, tau_s, dt, single)
    em, es, kappa = spike_factors(x, tau_m, tau_s, single)
    at_spike = drive / es
    tape_x[at] = x
    tape_current[at] = at_spike
    tape_factors[0, at] = em
    tape_factors[1, at] = es
    tape_factors[2, at] = kappa
    v[i] = e + (float(par[V_RESET, i]) - e) * em + kappa * at_spike


@njit(cache=True, nogil=True, forceinline=True)
def _phi(z: Any) -> Any:
    """(e^z − 1)/z = Σ z^n/(n+1)!, |z| ≤ 1/2, to 2e-7; summed in pairs, which wait less for each other."""
    square = z * z
    low = fma(z, like(z, 1 / 2), like(z, 1.0))
    middle = fma(z, like(z, 1 / 24), like(z, 1 / 6))
    high = fma(z, like(z, 1 / 720), like(z, 1 / 120))
    high = fma(square, like(z, 1 / 5040), high)
    return fma(square, fma(square, high, middle), low)


@njit(cache=True, nogil=True, forceinline=True)
def _factors(x: Any, m: Any, h: Any) -> Any:
    """e^(−x/τm), e^(−x/τs) and κ(x), with m = 1/τm and h = 1/τs − 1/τm."""
    none = like(x, 0.0)
    u, y = none - x * m, none - x * h
    em = fma(u, _phi(u), like(x, 1.0))
    phi = _phi(y)
    return em, em * fma(y, phi, like(x, 1.0)), (none - u) * em * phi


@njit(cache=True, nogil=True, forceinline=True)
def _excess(x: Any, v: Any, over: Any, current: Any, e: Any, m: Any, h: Any) -> Any:
    """V(−x) − θ, τm·V'(−x) and I(−x); over = V − θ at the end. Only small terms are added to it."""
    u, y = x * m, x * h
    phi_u, phi_y = _phi(u), _phi(y)
    pull = current * fma(u, phi_u, like(x, 1.0))  # I·e^(x/τm)
    change = u * ((v - e) * phi_u - pull * phi_y)
    drive = pull * fma(y, phi_y, like(x, 1.0))
    return over + change, drive - (v - e) - change, drive


@njit(cache=True, nogil=True, forceinline=True)
def _constant(par: Any, row: Any, same: Any, work: Any, at: Any, one: Any) -> Any:
    """A row of par for the spikes at hand: neuron 0's where all have the same, else row ``at`` of work."""
    return splat(work, par[row, 0], one) if same else load(work, at * NARROW, one)


@njit(cache=True, nogil=True, forceinline=True)
def spikes_together(
    first: Any, last: Any, v: Any, current: Any, v0: Any, par: Any, same: Any, dt: Any, work: Any,
    tape_unit: Any, tape_current: Any, tape_x: Any, tape_factors: Any,
) -> Any:  # fmt: skip
    """`spike_alone` for the neurons tape_unit[first:last] by series, up to sixteen at once.

    same: all hidden neurons have the same constants. work (`WORK`,): work space. Tapes need 16 entries to
    spare. Returns whether one of them may be at threshold again at the step's end.
    """
    again = False
    for at in range(first, last, NARROW):
        n = min(NARROW, last - at)
        for s in range(n):
            i = tape_unit[at + s]
            work[s] = v[i]
            work[NARROW + s] = current[i]
            work[2 * NARROW + s] = v0[i]
            if not same:
                work[3 * NARROW + s] = par[V_LEAK, i]
                work[4 * NARROW + s] = par[THETA, i]
                work[5 * NARROW + s] = par[TAU_M, i]
                work[6 * NARROW + s] = par[TAU_S, i]
                work[7 * NARROW + s] = par[V_RESET, i]
        if n > FEW:
            one = splat(work, 1.0, NARROW)
            lost, above = _solve(at, n, one, par, same, dt, work, tape_current, tape_x, tape_factors)
        else:
            one = splat(work, 1.0, FEW)
            lost, above = _solve(at, n, one, par, same, dt, work, tape_current, tape_x, tape_factors)
        again = again or (lost | above) != 0
        for s in range(n):
            i = tape_unit[at + s]
            if (lost >> np.uint64(s)) & np.uint64(1):
                spike_alone(i, at + s, v, current, v0, par, dt, True, tape_current, tape_x, tape_factors)
            else:
                v[i] = work[s]
    return again


@njit(cache=True, nogil=True, forceinline=True)
def _solve(
    at: Any, n: Any, one: Any, par: Any, same: Any, dt: Any, work: Any, tape_current: Any, tape_x: Any,
    tape_factors: Any,
) -> Any:  # fmt: skip
    """Crossings of n neurons in ``work``, whose first row takes V at the step's end; one: 1 in all lanes.

    From the root of the end's parabola in steps of third order (Chebyshev), until the error that one leaves,
    |n|³·(q²/2 + |V⁽³⁾/V'|/6) with n Newton's step and q = −V''/V', is below what float32 resolves. Returns
    bits of those that three did not settle, where V is nearly flat, and of those that end at threshold.
    """
    rows = tape_factors.shape[1]
    none, whole = like(one, 0.0), like(one, dt)
    middle, sixth = like(one, 0.5), like(one, 1 / 6)
    end, drive, start = load(work, 0, one), load(work, NARROW, one), load(work, 2 * NARROW, one)
    e, theta = _constant(par, V_LEAK, same, work, 3, one), _constant(par, THETA, same, work, 4, one)
    tau_m = _constant(par, TAU_M, same, work, 5, one)
    m, decline = one / tau_m, one / _constant(par, TAU_S, same, work, 6, one)
    h = decline - m
    over = end - theta
    rise = drive + e - end  # τm·V'
    bend = none - (rise * m + drive * decline)  # τm·V''
    under = rise * rise - (bend + bend) * over * tau_m
    base = rise + root(where_least(under, none, under, none))
    x = (over + over) * tau_m / base
    x = where_least(rise, none, x, middle * whole)
    x = where_least(x, none, where_least(whole, x, x, middle * whole), middle * whole)
    far, _slope, _drive = _excess(whole, end, over, drive, e, m, h)
    resolved = like(one, RESOLVED * dt)
    todo = (np.uint64(1) << np.uint64(n)) - np.uint64(1)
    lost = todo
    for _ in range(3):
        f, slope, then = _excess(x, end, over, drive, e, m, h)
        part = one / slope
        step = f * tau_m * part
        q = fma(then * decline, part, m)
        jerk = (m + decline) * q - m * decline  # V⁽³⁾/V'
        new = x + step * (one - middle * step * q)
        x = where_least(new, none, where_least(whole, new, new, whole), none)
        size = magnitude(step)
        left = size * size * size * (middle * q * q + sixth * magnitude(jerk))
        settled = where_least(none, slope, none, where_least(resolved, left, one, none))
        settled = where_least(far, none, one, settled)
        lost = ~at_least(settled, one) & todo
        if lost == 0:
            break
    line = where_least(start, theta, whole, whole * over / (end - start))
    x = where_least(far, none, line, x)
    em, es, kappa = _factors(x, m, h)
    then = drive / es
    store(tape_x, at, x)
    store(tape_current, at, then)
    store(tape_factors, at, em)
    store(tape_factors, rows + at, es)
    store(tape_factors, 2 * rows + at, kappa)
    reset = e + (_constant(par, V_RESET, same, work, 7, one) - e) * em + kappa * then
    store(work, 0, reset)
    return lost, at_least(reset, theta) & todo


@njit(cache=True, nogil=True)
def factors_of(sizes: Any, layer: Any, par: Any, x: Any, series: Any, em: Any, es: Any, kx: Any) -> None:
    """e^(−x/τm), e^(−x/τs) and κ(x) of every neuron of a layer."""
    at, width, states = sizes[layer, OFFSET], sizes[layer, PADDED], par.shape[1]
    if series:
        for i in range(at, at + width, NARROW):
            m = splat(par, 1.0, NARROW) / load(par, TAU_M * states + i, NARROW)
            h = splat(par, 1.0, NARROW) / load(par, TAU_S * states + i, NARROW) - m
            found_m, found_s, found_k = _factors(splat(par, x, NARROW), m, h)
            store(em, i, found_m)
            store(es, i, found_s)
            store(kx, i, found_k)
        return
    for i in range(at, at + width):
        em[i] = math.exp(-x / par[TAU_M, i])
        es[i] = math.exp(-x / par[TAU_S, i])
        kx[i] = kappa_of(x, float(par[TAU_M, i]), float(par[TAU_S, i]))
