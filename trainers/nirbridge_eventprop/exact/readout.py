"""A non-spiking read-out: its arrivals, its membrane at chosen moments, and the adjoint of these.

Nothing feeds back from it, so it is solved after the spiking neurons, from their tape. Interval n runs from
arrival n − 1 (interval 0: from 0) to arrival n, or to the end. A *node* is a moment (interval, x [s] after
its start) at which the loss looks at V; the loss turns V there into impulses G = ∂L/∂V, and these act
on λV as −G/τm.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import extremum, factors, tau_factors

use_cache(__name__)

ALL = -1  # target of an arrival that reaches every read-out neuron


class Arrivals(NamedTuple):
    """By time: time [s], index of the (first) weight, target or ALL, source: a spike or −1−e."""

    time: NDArray[np.float64]
    weight: NDArray[np.int64]
    unit: NDArray[np.int64]
    source: NDArray[np.int64]


@njit(cache=True, nogil=True)
def arrivals_of(times: Any, units: Any, end: Any, wires: Any, cells: Any, tape: Any) -> Any:
    """What reaches the read-out before ``end``; wires: its connections, cells: the spiking neurons."""
    n_in, n = len(times), len(times) + len(tape.spikes)
    time, weight = np.empty(0), np.empty(0, np.int64)
    unit, source_of = np.empty(0, np.int64), np.empty(0, np.int64)
    for turn in range(2):
        used = 0
        for event in range(n):
            if event < n_in:
                layer, row, t, source = 0, units[event], times[event], -1 - event
            else:
                source = event - n_in
                who = tape.spikes[source].unit
                layer, row, t = cells[who].layer, cells[who].row, tape.spikes[source].time
            for c in range(wires.start[layer], wires.start[layer + 1]):
                width = wires.width[c]
                first = wires.weight[c] + row * width
                for to in range(width if wires.delayed[c] else 1):
                    late = t + (wires.delays[first + to] if wires.delayed[c] else 0.0)
                    if late >= end:
                        continue
                    if turn == 1:
                        time[used], weight[used], source_of[used] = late, first + to, source
                        unit[used] = to if wires.delayed[c] else ALL
                    used += 1
        if turn == 0:
            time, weight = np.empty(used), np.empty(used, np.int64)
            unit, source_of = np.empty(used, np.int64), np.empty(used, np.int64)
    order = np.argsort(time, kind="mergesort")
    return Arrivals(time[order], weight[order], unit[order], source_of[order])


@njit(cache=True, nogil=True)
def _targets(arrivals: Any, n: Any, width: Any) -> Any:
    """First and last + 1 target of arrival n."""
    if arrivals.unit[n] == ALL:
        return 0, width
    return arrivals.unit[n], arrivals.unit[n] + 1


@njit(cache=True, nogil=True)
def starts_of(arrivals: Any, weights: Any, cells: Any, end: Any) -> Any:
    """(starts, v, i): times of the intervals' edges (intervals+1,), V and I at each start (intervals, n)."""
    n, width = len(arrivals.time), len(cells)
    starts = np.zeros(n + 2)
    starts[1 : n + 1] = arrivals.time
    starts[n + 1] = end
    v, i = np.zeros((n + 1, width)), np.zeros((n + 1, width))
    for k in range(n):
        x = starts[k + 1] - starts[k]
        for j in range(width):
            em, es, kappa = factors(x, cells[j].tau_m, cells[j].tau_s)
            v[k + 1, j] = cells[j].leak + (v[k, j] - cells[j].leak) * em + kappa * i[k, j]
            i[k + 1, j] = i[k, j] * es
        first, last = _targets(arrivals, k, width)
        for j in range(first, last):
            i[k + 1, j] += weights[arrivals.weight[k] + j - first]
    return starts, v, i


@njit(cache=True, nogil=True)
def quadrature(starts: Any, edges: Any, longest: Any, points: Any, shares: Any) -> Any:
    """Gauss–Legendre nodes of every piece: (interval, x, t, weight [s]) with Σ weight·f(t) ≈ ∫f dt.

    Pieces end at arrivals and at ``edges`` (ascending) and are at most ``longest`` [s]. points, shares:
    abscissae and weights on [−1, 1].
    """
    interval, x = np.empty(0, np.int64), np.empty(0)
    time, weight = np.empty(0), np.empty(0)
    for turn in range(2):
        used, edge = 0, 0
        for k in range(len(starts) - 1):
            a = starts[k]
            while a < starts[k + 1]:
                while edge < len(edges) and edges[edge] <= a:
                    edge += 1
                b = starts[k + 1]
                if edge < len(edges):
                    b = min(b, edges[edge])
                pieces = max(1, int(np.ceil((b - a) / longest - 1e-9)))
                if turn == 1:
                    half = 0.5 * (b - a) / pieces
                    for p in range(pieces):
                        for m in range(len(points)):
                            at = used + p * len(points) + m
                            t = a + half * (2 * p + 1 + points[m])
                            interval[at], x[at], time[at], weight[at] = k, t - starts[k], t, half * shares[m]
                used += pieces * len(points)
                a = b
        if turn == 0:
            interval, x = np.empty(used, np.int64), np.empty(used)
            time, weight = np.empty(used), np.empty(used)
    return interval, x, time, weight


@njit(cache=True, nogil=True)
def values_at(interval: Any, x: Any, v: Any, i: Any, cells: Any) -> Any:
    """V at the nodes, (nodes, n)."""
    width = len(cells)
    found = np.empty((len(x), width))
    for m in range(len(x)):
        k = interval[m]
        em = kappa = 0.0
        for j in range(width):
            if j == 0 or cells[j].tau_m != cells[j - 1].tau_m or cells[j].tau_s != cells[j - 1].tau_s:
                em, _, kappa = factors(x[m], cells[j].tau_m, cells[j].tau_s)
            found[m, j] = cells[j].leak + (v[k, j] - cells[j].leak) * em + kappa * i[k, j]
    return found


@njit(cache=True, nogil=True)
def maxima(starts: Any, v: Any, i: Any, arrivals: Any, cells: Any) -> Any:
    """Largest V of each neuron: (interval, x, V, V' where it sits on the interval's end, else 0).

    V(0) = 0 counts. At an arrival the derivative is that before it.
    """
    width = len(cells)
    interval, where = np.zeros(width, np.int64), np.zeros(width)
    top, slope = np.zeros(width), np.zeros(width)
    for k in range(len(starts) - 1):
        d = starts[k + 1] - starts[k]
        for j in range(width):
            if d == 0.0:  # of arrivals at one time, the neuron's own first one makes the kink
                other = k > 0 and arrivals.unit[k - 1] != ALL and arrivals.unit[k - 1] != j
                if other and interval[j] == k - 1 and slope[j] != 0.0:
                    interval[j], where[j] = k, 0.0
                continue
            e, tau_m, tau_s = cells[j].leak, cells[j].tau_m, cells[j].tau_s
            x = extremum(v[k, j], i[k, j], e, tau_m, tau_s) if i[k, j] > 0.0 else np.inf
            inside = 0.0 < x < d
            if not inside:
                x = d
            em, es, kappa = factors(x, tau_m, tau_s)
            value = e + (v[k, j] - e) * em + kappa * i[k, j]
            if value > top[j]:
                interval[j], where[j], top[j] = k, x, value
                slope[j] = 0.0 if inside else (i[k, j] * es + e - value) / tau_m
    return interval, where, top, slope


@njit(cache=True, nogil=True)
def undo(
    starts: Any, interval: Any, x: Any, impulse: Any, kink: Any, arrivals: Any, wires: Any, cells: Any,
    drive: Any, g_weight: Any, g_delay: Any,
) -> None:  # fmt: skip
    """Adjoint of the read-out: add to drive (spikes,), g_weight, g_delay.

    impulse (nodes, n): G at the nodes, these in order of time. kink (intervals, n): G·V' of nodes that
    sit on the arrival which ends their interval, added to the derivative by that arrival's time.
    """
    width = len(cells)
    lam_v, lam_i = np.zeros(width), np.zeros(width)
    node = len(x) - 1
    for k in range(len(starts) - 2, -1, -1):
        at = starts[k + 1] - starts[k]
        while True:
            more = node >= 0 and interval[node] == k
            to = x[node] if more else 0.0
            em = es = kappa = 0.0
            for j in range(width):
                tau_m, tau_s = cells[j].tau_m, cells[j].tau_s
                if j == 0 or tau_m != cells[j - 1].tau_m or tau_s != cells[j - 1].tau_s:
                    em, es, kappa = factors(at - to, tau_m, tau_s)
                lam_i[j] = lam_i[j] * es + tau_m / tau_s * kappa * lam_v[j]
                lam_v[j] *= em
                if more:
                    lam_v[j] -= impulse[node, j] / tau_m
            at = to
            if not more:
                break
            node -= 1
        if k == 0:
            break
        first, last = _targets(arrivals, k - 1, width)
        source = arrivals.source[k - 1]
        for j in range(first, last):
            w = arrivals.weight[k - 1] + j - first
            g_weight[w] -= cells[j].tau_s * lam_i[j]
            change = wires.weights[w] * (lam_v[j] - lam_i[j]) + kink[k - 1, j]
            if arrivals.unit[k - 1] != ALL:
                g_delay[w] += change
            if source >= 0:
                drive[source] += change


@njit(cache=True, nogil=True)
def add_sensitivities(
    starts: Any, interval: Any, x: Any, impulse: Any, v: Any, i: Any, cells: Any, g_cell: Any
) -> None:
    """g_cell (3, n) += Σ G·(∂V/∂τm, ∂V/∂τs, ∂V/∂E) over the nodes, carried forward with V and I."""
    width = len(cells)
    s, u, q, r = np.zeros(width), np.zeros(width), np.zeros(width), np.zeros(width)
    node = 0
    for k in range(len(starts) - 1):
        while True:
            inside = node < len(x) and interval[node] == k
            d = x[node] if inside else starts[k + 1] - starts[k]
            for j in range(width):
                tau_m, tau_s = cells[j].tau_m, cells[j].tau_s
                em, es, kappa = factors(d, tau_m, tau_s)
                by_m, by_s = tau_factors(d, tau_m, tau_s)
                gap = (v[k, j] - cells[j].leak) * em * d / (tau_m * tau_m)
                by_tau_m = s[j] * em + gap + i[k, j] * by_m
                by_tau_s = u[j] * em + kappa * r[j] + i[k, j] * by_s
                by_leak = q[j] * em + 1.0 - em
                if inside:
                    g_cell[0, j] += impulse[node, j] * by_tau_m
                    g_cell[1, j] += impulse[node, j] * by_tau_s
                    g_cell[2, j] += impulse[node, j] * by_leak
                else:
                    s[j], u[j], q[j] = by_tau_m, by_tau_s, by_leak
                    r[j] = r[j] * es + i[k, j] * es * d / (tau_s * tau_s)
            if not inside:
                break
            node += 1
