"""The state of every spiking neuron in the forward pass, brought up to date only where an event needs it."""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.crossing import first_crossing
from nirbridge_eventprop.exact.flow import extremum, factors, tau_factors

use_cache(__name__)

Floats = NDArray[np.float64]


class State(NamedTuple):
    """V, I at time ``at`` (neurons,); b and b_at: B after the last spike and its time.

    free: when V is released, 0 for none to come. next: when it would cross next, infinite if never before the
    end. sense (neurons, 4): ∂V/∂τm, ∂V/∂τs, ∂V/∂E since the last reset, ∂I/∂τs. shared (6,): the
    last x, τm, τs and their factors.
    """

    v: Floats
    i: Floats
    at: Floats
    b: Floats
    b_at: Floats
    free: Floats
    next: Floats
    sense: Floats
    shared: Floats


@njit(cache=True, nogil=True)
def new_state(neurons: Any, sensitive: Any) -> Any:
    """Everything 0, no crossing ahead."""
    return State(
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.zeros(neurons),
        np.full(neurons, np.inf),
        np.zeros((neurons if sensitive else 0, 4)),
        np.zeros(6),
    )


@njit(cache=True, nogil=True)
def flow(j: Any, x: Any, cells: Any, state: Any) -> None:
    """Neuron j, free to move, by x."""
    tau_m, tau_s, e = cells.tau_m[j], cells.tau_s[j], cells.leak[j]
    known = state.shared
    if not (known[0] == x and known[1] == tau_m and known[2] == tau_s):  # neighbours mostly share them
        known[0], known[1], known[2] = x, tau_m, tau_s
        known[3], known[4], known[5] = factors(x, tau_m, tau_s)
    em, es, kappa = known[3], known[4], known[5]
    v, i = state.v[j], state.i[j]
    if len(state.sense):
        by_m, by_s = tau_factors(x, tau_m, tau_s)
        s, u, q, r = state.sense[j]
        state.sense[j, 0] = s * em + (v - e) * em * x / (tau_m * tau_m) + i * by_m
        state.sense[j, 1] = u * em + kappa * r + i * by_s
        state.sense[j, 2] = q * em + 1.0 - em
        state.sense[j, 3] = r * es + i * es * x / (tau_s * tau_s)
    state.v[j] = e + (v - e) * em + kappa * i
    state.i[j] = i * es


@njit(cache=True, nogil=True)
def _hold(j: Any, x: Any, cells: Any, state: Any) -> None:
    """Neuron j, held at its reset, by x: only I decays."""
    tau_s = cells.tau_s[j]
    es = math.exp(-x / tau_s)
    if len(state.sense):
        state.sense[j, 3] = state.sense[j, 3] * es + state.i[j] * es * x / (tau_s * tau_s)
    state.i[j] *= es


@njit(cache=True, nogil=True)
def advance(j: Any, t: Any, cells: Any, state: Any, tape: Any) -> None:
    """Neuron j up to time t; a release on the way is noted on the tape."""
    if state.free[j] > 0.0:
        if t < state.free[j]:
            _hold(j, t - state.at[j], cells, state)
            state.at[j] = t
            return
        _hold(j, state.free[j] - state.at[j], cells, state)
        tape.release[tape.last[j]] = state.i[j]
        state.at[j] = state.free[j]
        state.free[j] = 0.0
    x = t - state.at[j]
    if x > 0.0:
        flow(j, x, cells, state)
    state.at[j] = t


@njit(cache=True, nogil=True)
def adaptation(j: Any, t: Any, cells: Any, state: Any) -> Any:
    """B of neuron j at time t."""
    if state.b[j] == 0.0:
        return 0.0
    return state.b[j] * math.exp(-(t - state.b_at[j]) / cells.tau_b[j])


@njit(cache=True, nogil=True)
def predict(j: Any, end: Any, cells: Any, state: Any) -> None:
    """Set when neuron j, if nothing more reaches it, crosses its threshold before ``end``."""
    t, v, i = state.at[j], state.v[j], state.i[j]
    if state.free[j] > 0.0:
        i *= math.exp(-(state.free[j] - t) / cells.tau_s[j])
        t = state.free[j]
    x = first_crossing(
        v, i, adaptation(j, t, cells, state), end - t, cells.leak[j], cells.theta[j], cells.tau_m[j],
        cells.tau_s[j], cells.tau_b[j], cells.top[j],
    ) if t < end else math.inf  # fmt: skip
    state.next[j] = t + x if t + x < end else math.inf


@njit(cache=True, nogil=True)
def note_peak(j: Any, t: Any, event: Any, weight: Any, cells: Any, state: Any, tape: Any) -> None:
    """Largest V of a neuron that has not spiked, on the way from its present time to t.

    Call before `advance`. event, weight: what arrives at t, −1 at the end of the sample.
    """
    v, i, at, e = state.v[j], state.i[j], state.at[j], cells.leak[j]
    x = extremum(v, i, e, cells.tau_m[j], cells.tau_s[j]) if i > 0.0 else math.inf
    inside = 0.0 < x < t - at
    if not inside:
        x = t - at
    if x <= 0.0:
        return
    em, es, kappa = factors(x, cells.tau_m[j], cells.tau_s[j])
    top = e + (v - e) * em + kappa * i
    if top <= tape.peak[j, 0]:
        return
    tape.peak[j, 0], tape.peak[j, 1] = top, at + x
    tape.peak[j, 2] = 0.0 if inside else (i * es + e - top) / cells.tau_m[j]
    tape.peak_at[j, 0] = -1 if inside else event
    tape.peak_at[j, 1] = weight
    if len(state.sense):
        by_m, by_s = tau_factors(x, cells.tau_m[j], cells.tau_s[j])
        s, u, q, r = state.sense[j]
        tape.peak[j, 3] = s * em + (v - e) * em * x / (cells.tau_m[j] * cells.tau_m[j]) + i * by_m
        tape.peak[j, 4] = u * em + kappa * r + i * by_s
        tape.peak[j, 5] = q * em + 1.0 - em
