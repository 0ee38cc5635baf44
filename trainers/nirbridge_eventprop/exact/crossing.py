"""The first time at which a membrane reaches its threshold, if no further event arrives.

Without adaptation V has one extremum, in closed form. With it, f = V − θ − B·e^(−x/τB) has up to three
zeros: those of (d/dx + 1/τB)f', in closed form, separate those of f', and these separate those of f
(EVENTPROP.md §2).
"""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import extremum, factors

use_cache(__name__)

AT = -1e-15  # V − θ from which a rising membrane counts as at its threshold
RESOLUTION = 1e-16  # [s]


@njit(cache=True, nogil=True)
def first_crossing(
    v: Any, i: Any, b: Any, span: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any, top: Any
) -> Any:
    """Seconds from now to the first upward crossing of θ + B within ``span``, else infinity.

    v, i, b: V, I, B now. top: the largest κ. e, theta: E and θ.
    """
    if max(v, e) + max(i, 0.0) * top < theta + min(b, 0.0):
        return math.inf
    if v - theta - b >= AT and (i + e - v) / tau_m + b / tau_b > 0.0:
        return 0.0
    if b != 0.0:
        return _adapted(v, i, b, span, e, theta, tau_m, tau_s, tau_b)
    if i > 0.0:
        if i + e - v <= 0.0:
            return math.inf
        end = min(extremum(v, i, e, tau_m, tau_s), span)
        if _height(end, v, i, 0.0, e, theta, tau_m, tau_s, tau_b) < 0.0:
            return math.inf
        return _root(0.0, end, v, i, 0.0, e, theta, tau_m, tau_s, tau_b)
    if e <= theta:
        return math.inf
    start = extremum(v, i, e, tau_m, tau_s) if i + e - v < 0.0 else 0.0
    if start >= span or _height(start, v, i, 0.0, e, theta, tau_m, tau_s, tau_b) >= 0.0:
        return math.inf
    if _height(span, v, i, 0.0, e, theta, tau_m, tau_s, tau_b) < 0.0:
        return math.inf
    return _root(start, span, v, i, 0.0, e, theta, tau_m, tau_s, tau_b)


@njit(cache=True, nogil=True)
def _height(x: Any, v: Any, i: Any, b: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any) -> Any:
    """f(x) = V(x) − θ − B(x)."""
    em, _, kappa = factors(x, tau_m, tau_s)
    f = e + (v - e) * em + kappa * i - theta
    return f - b * math.exp(-x / tau_b) if b != 0.0 else f


@njit(cache=True, nogil=True)
def _rise(x: Any, v: Any, i: Any, b: Any, e: Any, tau_m: Any, tau_s: Any, tau_b: Any) -> Any:
    """f'(x)."""
    em, es, kappa = factors(x, tau_m, tau_s)
    return (i * es - (v - e) * em - kappa * i) / tau_m + b / tau_b * math.exp(-x / tau_b)


@njit(cache=True, nogil=True)
def _root(
    low: Any, high: Any, v: Any, i: Any, b: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any
) -> Any:
    """Zero of a rising f in [low, high]: Newton from the left, guarded by bisection.

    Where f is concave (I > 0, no adaptation) Newton approaches from below and the guard never acts.
    """
    x = low
    for _ in range(200):
        em, es, kappa = factors(x, tau_m, tau_s)
        there = e + (v - e) * em + kappa * i
        threshold = b * math.exp(-x / tau_b) if b != 0.0 else 0.0
        f = there - theta - threshold
        if f >= 0.0:
            high = x
        else:
            low = x
        slope = (i * es + e - there) / tau_m + threshold / tau_b
        new = x - f / slope if slope > 0.0 else -1.0
        if not low <= new <= high:
            new = 0.5 * (low + high)
        if abs(new - x) <= RESOLUTION or high - low <= RESOLUTION:
            return new
        x = new
    return x


@njit(cache=True, nogil=True)
def _turn(low: Any, high: Any, v: Any, i: Any, b: Any, e: Any, tau_m: Any, tau_s: Any, tau_b: Any) -> Any:
    """The zero of f' in (low, high), or ``high`` where f' keeps its sign: bisection."""
    sign = _rise(low, v, i, b, e, tau_m, tau_s, tau_b) > 0.0
    if (_rise(high, v, i, b, e, tau_m, tau_s, tau_b) > 0.0) == sign:
        return high
    for _ in range(60):
        middle = 0.5 * (low + high)
        if (_rise(middle, v, i, b, e, tau_m, tau_s, tau_b) > 0.0) == sign:
            low = middle
        else:
            high = middle
    return 0.5 * (low + high)


@njit(cache=True, nogil=True)
def _adapted(
    v: Any, i: Any, b: Any, span: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, tau_b: Any
) -> Any:
    """`first_crossing` with adaptation.

    With k = 1/τB − 1/τm and m = (1 − e^(−hx))/h, τm·e^(x/τm)·(f'' + f'/τB) is
    I(k − 1/τs) − k(V − E) − m·I·(h(k − 1/τs) + k/τm): linear in m.
    """
    h = 1.0 / tau_s - 1.0 / tau_m
    k = 1.0 / tau_b - 1.0 / tau_m
    middle = span
    down = i * (h * (k - 1.0 / tau_s) + k / tau_m)
    if down != 0.0:
        m = (i * (k - 1.0 / tau_s) - k * (v - e)) / down
        if h * m < 1.0:
            x = m if abs(h * m) < 1e-14 else -math.log1p(-h * m) / h
            if 0.0 < x < span:
                middle = x
    left = 0.0
    for start, edge in ((0.0, middle), (middle, span)):
        if edge <= start:
            continue
        turn = _turn(start, edge, v, i, b, e, tau_m, tau_s, tau_b)
        for right in (turn, edge):
            if right <= left:
                continue
            below = _height(left, v, i, b, e, theta, tau_m, tau_s, tau_b) < 0.0
            if below and _height(right, v, i, b, e, theta, tau_m, tau_s, tau_b) >= 0.0:
                return _root(left, right, v, i, b, e, theta, tau_m, tau_s, tau_b)
            left = right
    return math.inf
