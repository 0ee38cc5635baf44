"""The state of every spiking neuron in the forward pass, brought up to date only where an event needs it."""

from __future__ import annotations

import math
from typing import Any

from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.arrays import record
from nirbridge_eventprop.exact.crossing import first_crossing
from nirbridge_eventprop.exact.flow import extremum, factors, tau_factors

use_cache(__name__)

STATE = record("v i at b b_at free next s u q r", "open")
"""V, I at time ``at``; b and b_at: B after the last spike and its time. free: when V is released, 0 for none
to come. next: when it would cross next, infinite if never before the end; where ``open``, it does not cross
before that time, and nobody has looked further. s, u, q, r: ∂V/∂τm, ∂V/∂τs, ∂V/∂E since the last reset,
∂I/∂τs."""


@njit(cache=True, nogil=True)
def _flow(j: Any, x: Any, cells: Any, state: Any, known: Any, sensitive: Any) -> None:
    """Neuron j, free to move, by x; known (6,): the last x, τm, τs and their factors."""
    tau_m, tau_s, e = cells[j].tau_m, cells[j].tau_s, cells[j].leak
    if not (known[0] == x and known[1] == tau_m and known[2] == tau_s):  # neighbours mostly share them
        known[0], known[1], known[2] = x, tau_m, tau_s
        known[3], known[4], known[5] = factors(x, tau_m, tau_s)
    em, es, kappa = known[3], known[4], known[5]
    v, i = state[j].v, state[j].i
    if sensitive:
        by_m, by_s = tau_factors(x, tau_m, tau_s)
        s, u, q, r = state[j].s, state[j].u, state[j].q, state[j].r
        state[j].s = s * em + (v - e) * em * x / (tau_m * tau_m) + i * by_m
        state[j].u = u * em + kappa * r + i * by_s
        state[j].q = q * em + 1.0 - em
        state[j].r = r * es + i * es * x / (tau_s * tau_s)
    state[j].v = e + (v - e) * em + kappa * i
    state[j].i = i * es


@njit(cache=True, nogil=True)
def _hold(j: Any, x: Any, cells: Any, state: Any, sensitive: Any) -> None:
    """Neuron j, held at its reset, by x: only I decays."""
    tau_s = cells[j].tau_s
    es = math.exp(-x / tau_s)
    if sensitive:
        state[j].r = state[j].r * es + state[j].i * es * x / (tau_s * tau_s)
    state[j].i *= es


@njit(cache=True, nogil=True)
def advance(
    j: Any, t: Any, cells: Any, state: Any, ends: Any, spikes: Any, known: Any, sensitive: Any
) -> None:
    """Neuron j up to time t; a release on the way is noted on the tape."""
    if state[j].free > 0.0:
        if t < state[j].free:
            _hold(j, t - state[j].at, cells, state, sensitive)
            state[j].at = t
            return
        _hold(j, state[j].free - state[j].at, cells, state, sensitive)
        spikes[ends[j].last].release = state[j].i
        state[j].at = state[j].free
        state[j].free = 0.0
    x = t - state[j].at
    if x > 0.0:
        _flow(j, x, cells, state, known, sensitive)
    state[j].at = t


@njit(cache=True, nogil=True)
def adaptation(j: Any, t: Any, cells: Any, state: Any) -> Any:
    """B of neuron j at time t."""
    if state[j].b == 0.0:
        return 0.0
    return state[j].b * math.exp(-(t - state[j].b_at) / cells[j].tau_b)


@njit(cache=True, nogil=True)
def predict(j: Any, until: Any, end: Any, cells: Any, state: Any, ahead: Any) -> None:
    """Set when neuron j, if nothing more reaches it, crosses its threshold before ``end``.

    until: when something may reach it, so that looking further would be in vain: a neuron that has not
    crossed by then stays ``open``. ahead (6,): the last time looked ahead, τm, τs and their factors.
    """
    t, v, i = state[j].at, state[j].v, state[j].i
    e, theta, tau_m, tau_s = cells[j].leak, cells[j].theta, cells[j].tau_m, cells[j].tau_s
    state[j].open = 0
    if state[j].free > 0.0:
        i *= math.exp(-(state[j].free - t) / tau_s)
        t = state[j].free
    b = adaptation(j, t, cells, state)
    state[j].next = math.inf
    if t >= end or max(v, e) + max(i, 0.0) * cells[j].top < theta + min(b, 0.0):
        return
    span = end - t
    if t < until < end:
        span = until - t
        state[j].open = 1
    if b == 0.0 and i > 0.0 and not _may_cross(span, v, i, e, theta, tau_m, tau_s, ahead):
        x = math.inf
    else:
        x = first_crossing(v, i, b, span, e, theta, tau_m, tau_s, cells[j].tau_b, cells[j].top)
    if x < math.inf:
        state[j].open = 0
        state[j].next = t + x if t + x < end else math.inf
    elif state[j].open:
        state[j].next = until


@njit(cache=True, nogil=True)
def _may_cross(span: Any, v: Any, i: Any, e: Any, theta: Any, tau_m: Any, tau_s: Any, ahead: Any) -> Any:
    """False where V, with I > 0, still rises after ``span`` and is below θ: it has not crossed by then."""
    if not (ahead[0] == span and ahead[1] == tau_m and ahead[2] == tau_s):
        ahead[0], ahead[1], ahead[2] = span, tau_m, tau_s
        ahead[3], ahead[4], ahead[5] = factors(span, tau_m, tau_s)
    there = e + (v - e) * ahead[3] + ahead[5] * i
    return there >= theta or i * ahead[4] + e - there < 0.0


@njit(cache=True, nogil=True)
def note_peak(
    j: Any, t: Any, event: Any, weight: Any, cells: Any, state: Any, ends: Any, sensitive: Any
) -> None:
    """Largest V of a neuron that has not spiked, on the way from its present time to t.

    Call before `advance`. event, weight: what arrives at t, −1 at the end of the sample.
    """
    v, i, at, e = state[j].v, state[j].i, state[j].at, cells[j].leak
    x = extremum(v, i, e, cells[j].tau_m, cells[j].tau_s) if i > 0.0 else math.inf
    inside = 0.0 < x < t - at
    if not inside:
        x = t - at
    if x <= 0.0:
        return
    em, es, kappa = factors(x, cells[j].tau_m, cells[j].tau_s)
    top = e + (v - e) * em + kappa * i
    if top <= ends[j].peak:
        return
    ends[j].peak, ends[j].peak_time = top, at + x
    ends[j].peak_slope = 0.0 if inside else (i * es + e - top) / cells[j].tau_m
    ends[j].event = -1 if inside else event
    ends[j].weight = weight
    if sensitive:
        by_m, by_s = tau_factors(x, cells[j].tau_m, cells[j].tau_s)
        s, u, q, r = state[j].s, state[j].u, state[j].q, state[j].r
        ends[j].s = s * em + (v - e) * em * x / (cells[j].tau_m * cells[j].tau_m) + i * by_m
        ends[j].u = u * em + kappa * r + i * by_s
        ends[j].q = q * em + 1.0 - em
