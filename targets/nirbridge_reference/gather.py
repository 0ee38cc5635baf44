"""Sums over synapses: what a population sent, or what a buffer holds, through a matrix into a buffer.

Inside the loop arrays are passed whole, with offsets: a view costs two atomic counts of references.
Indices are unsigned where a loop has to vectorise. Every function adds in the order of ascending source,
each product in turn, so that all of them round alike.
"""

from __future__ import annotations

from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge.kernels.vectors import NARROW, WIDE, load, plus_rows, prefetch, store

use_cache(__name__)

DENSE_FROM = 0.5  # share of sources with a value from which a matrix is read as a whole
AHEAD = 4  # steps of an input that are summed at once where they are that dense


@njit(cache=True, nogil=True, forceinline=True)
def add_rows(
    x: Any, to: Any, weights: Any, at: Any, size: Any, unit: Any, first: Any, last: Any, apart: Any
) -> None:
    """x[to:to+size] += Σ row of the listed units first … last−1 ≥ first, held in registers.

    ``apart``: the sum is made for itself and then added to x.
    """
    c = 0
    while c + WIDE <= size:
        here = load(x, to + c, WIDE)
        if apart:
            row = load(weights, at + c + unit[first] * size, WIDE)
            here = here + plus_rows(row, weights, at + c, size, unit, first + 1, last)
        else:
            here = plus_rows(here, weights, at + c, size, unit, first, last)
        store(x, to + c, here)
        c += WIDE
    while c + NARROW <= size:
        near = load(x, to + c, NARROW)
        if apart:
            part = load(weights, at + c + unit[first] * size, NARROW)
            near = near + plus_rows(part, weights, at + c, size, unit, first + 1, last)
        else:
            near = plus_rows(near, weights, at + c, size, unit, first, last)
        store(x, to + c, near)
        c += NARROW
    width = np.uint64(size)
    for i in range(np.uint64(c), width):
        x0, w = np.uint64(to) + i, np.uint64(at) + i
        one = x.dtype.type(0) if apart else x[x0]
        for e in range(np.uint64(first), np.uint64(last)):
            one += weights[w + np.uint64(unit[e]) * width]
        x[x0] = x[x0] + one if apart else one


@njit(cache=True, nogil=True)
def add_scaled_rows(
    x: Any, to: Any, weights: Any, at: Any, size: Any, unit: Any, value: Any, first: Any, last: Any
) -> None:
    """x[to:to+size] += Σ value·row of the listed units first … last−1, four to a pass."""
    x0, w0, width = np.uint64(to), np.uint64(at), np.uint64(size)
    k = first
    while k + 4 <= last:
        a, b = w0 + np.uint64(unit[k]) * width, w0 + np.uint64(unit[k + 1]) * width
        c, d = w0 + np.uint64(unit[k + 2]) * width, w0 + np.uint64(unit[k + 3]) * width
        p, q, r, s = value[k], value[k + 1], value[k + 2], value[k + 3]
        for i in range(width):
            y = (x[x0 + i] + p * weights[a + i]) + q * weights[b + i]
            x[x0 + i] = (y + r * weights[c + i]) + s * weights[d + i]
        k += 4
    while k < last:
        a, p = w0 + np.uint64(unit[k]) * width, value[k]
        for i in range(width):
            x[x0 + i] += p * weights[a + i]
        k += 1


@njit(cache=True, nogil=True)
def add_matrix(x: Any, to: Any, weights: Any, at: Any, size: Any, held: Any, source: Any, width: Any) -> None:
    """x[to:to+size] += Σ held[source+j]·row j of all ``width`` rows, four to a pass."""
    x0, w0, n = np.uint64(to), np.uint64(at), np.uint64(size)
    j = 0
    while j + 4 <= width:
        p, q, r, s = held[source + j], held[source + j + 1], held[source + j + 2], held[source + j + 3]
        a = w0 + np.uint64(j) * n
        b = a + n
        c = b + n
        d = c + n
        for i in range(n):
            y = (x[x0 + i] + p * weights[a + i]) + q * weights[b + i]
            x[x0 + i] = (y + r * weights[c + i]) + s * weights[d + i]
        j += 4
    while j < width:
        a, p = w0 + np.uint64(j) * n, held[source + j]
        for i in range(n):
            x[x0 + i] += p * weights[a + i]
        j += 1


@njit(cache=True, nogil=True)
def add_targets(
    x: Any, to: Any, weights: Any, at: Any, starts: Any, begin: Any, target: Any, unit: Any, value: Any,
    first: Any, last: Any, ones: Any,
) -> Any:  # fmt: skip
    """x[to + target] += value·weight over the synapses of the listed units; returns how many they are.

    While a row is added, the next one's is asked for: rows lie anywhere in memory.
    """
    done = 0
    x0, w0, eight = np.uint64(to), np.uint64(at), np.uint64(8)
    for k in range(first, last):
        u = begin + unit[k]
        here, there = starts[u], starts[u + 1]
        onward = starts[begin + unit[k + 1]] - here if k + 1 < last else 0
        factor = value[k]
        e, end = np.uint64(here), np.uint64(there)
        while e + eight <= end:  # loads first: a store to x could be to what is loaded next
            prefetch(target, np.int64(e) + onward)
            prefetch(weights, np.int64(w0 + e) + onward)
            a, b = np.uint64(target[e]), np.uint64(target[e + np.uint64(1)])
            c, d = np.uint64(target[e + np.uint64(2)]), np.uint64(target[e + np.uint64(3)])
            f, g = np.uint64(target[e + np.uint64(4)]), np.uint64(target[e + np.uint64(5)])
            h, m = np.uint64(target[e + np.uint64(6)]), np.uint64(target[e + np.uint64(7)])
            w = w0 + e
            p, q = weights[w], weights[w + np.uint64(1)]
            r, s = weights[w + np.uint64(2)], weights[w + np.uint64(3)]
            p2, q2 = weights[w + np.uint64(4)], weights[w + np.uint64(5)]
            r2, s2 = weights[w + np.uint64(6)], weights[w + np.uint64(7)]
            if not ones:
                p, q, r, s = factor * p, factor * q, factor * r, factor * s
                p2, q2, r2, s2 = factor * p2, factor * q2, factor * r2, factor * s2
            x[x0 + a] += p
            x[x0 + b] += q
            x[x0 + c] += r
            x[x0 + d] += s
            x[x0 + f] += p2
            x[x0 + g] += q2
            x[x0 + h] += r2
            x[x0 + m] += s2
            e += eight
        while e < end:
            x[x0 + np.uint64(target[e])] += factor * weights[w0 + e]
            e += np.uint64(1)
        done += there - here
    return done


@njit(cache=True, nogil=True)
def compress(held: Any, source: Any, width: Any, unit: Any, value: Any) -> Any:
    """Lists the values that are not zero: (index, value); returns how many there are."""
    n = 0
    for j in range(width):
        y = held[source + j]
        unit[n] = j
        value[n] = y
        n += 1 if y != 0 else 0
    return n


@njit(cache=True, nogil=True)
def clear(x: Any, to: Any, size: Any) -> None:
    """x[to:to+size] = 0; an assignment to a slice would not vectorise."""
    x0 = np.uint64(to)
    for i in range(np.uint64(size)):
        x[x0 + i] = 0


@njit(cache=True, nogil=True, forceinline=True)
def add(x: Any, to: Any, held: Any, source: Any, size: Any) -> None:
    """x[to:to+size] += held[source:source+size]."""
    x0, y0 = np.uint64(to), np.uint64(source)
    for i in range(np.uint64(size)):
        x[x0 + i] += held[y0 + i]


@njit(cache=True, nogil=True)
def add_ahead(ahead: Any, to: Any, weights: Any, at: Any, size: Any, held: Any, width: Any) -> None:
    """Four steps of a dense input at once: ahead[to + s·size + i] += Σ_j held[s·width + j]·W[j, i].

    Each weight is read once for the four steps; every step adds its products in the order of j.
    """
    n, w0 = np.uint64(size), np.uint64(at)
    x0 = np.uint64(to)
    x1 = x0 + n
    x2 = x1 + n
    x3 = x2 + n
    for j in range(0, width - 1, 2):
        a = w0 + np.uint64(j) * n
        b = a + n
        p0, p1, p2, p3 = held[j], held[width + j], held[2 * width + j], held[3 * width + j]
        q0, q1, q2, q3 = held[j + 1], held[width + j + 1], held[2 * width + j + 1], held[3 * width + j + 1]
        for i in range(n):
            u, v = weights[a + i], weights[b + i]
            ahead[x0 + i] = (ahead[x0 + i] + p0 * u) + q0 * v
            ahead[x1 + i] = (ahead[x1 + i] + p1 * u) + q1 * v
            ahead[x2 + i] = (ahead[x2 + i] + p2 * u) + q2 * v
            ahead[x3 + i] = (ahead[x3 + i] + p3 * u) + q3 * v
    if width % 2:
        j = width - 1
        a = w0 + np.uint64(j) * n
        p0, p1, p2, p3 = held[j], held[width + j], held[2 * width + j], held[3 * width + j]
        for i in range(n):
            u = weights[a + i]
            ahead[x0 + i] += p0 * u
            ahead[x1 + i] += p1 * u
            ahead[x2 + i] += p2 * u
            ahead[x3 + i] += p3 * u
