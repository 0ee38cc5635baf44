"""Adjoint of one sample, from the last event to the first (EVENTPROP.md §4, exact time).

Between events  λI ← λI·e^(−x/τs) + (τm/τs)·κ(x)·λV,  λV ← λV·e^(−x/τm), backwards over x.
"""

from __future__ import annotations

import math
from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.arrays import INPUT, SPIKE
from nirbridge_eventprop.exact.flow import factors

use_cache(__name__)

TAU_M, TAU_S, THETA, RESET, LEAK, T_REF, B, TAU_B = range(8)  # rows of the neurons' gradients

Floats = NDArray[np.float64]


class Adjoint(NamedTuple):
    """λV, λI at time ``at`` (neurons,); λB at b_at.

    spike: last spike not yet undone, freed: its release is, kept: λV at that release. peak: impulse at the
    largest V that is still to act. shared: as in `State`.
    """

    v: Floats
    i: Floats
    at: Floats
    b: Floats
    b_at: Floats
    spike: NDArray[np.int64]
    freed: NDArray[np.bool_]
    kept: Floats
    peak: Floats
    shared: Floats


@njit(cache=True, nogil=True)
def _flow(j: Any, t: Any, cells: Any, back: Any) -> None:
    x = back.at[j] - t
    back.at[j] = t
    if x <= 0.0:
        return
    tau_m, tau_s = cells.tau_m[j], cells.tau_s[j]
    known = back.shared
    if not (known[0] == x and known[1] == tau_m and known[2] == tau_s):
        known[0], known[1], known[2] = x, tau_m, tau_s
        known[3], known[4], known[5] = factors(x, tau_m, tau_s)
    back.i[j] = back.i[j] * known[4] + tau_m / tau_s * known[5] * back.v[j]
    back.v[j] *= known[3]


@njit(cache=True, nogil=True)
def _retreat(j: Any, t: Any, cells: Any, tape: Any, back: Any) -> None:
    """Neuron j back to time t, over a release or the impulse at its largest V."""
    s = back.spike[j]
    if s >= 0 and cells.t_ref[j] > 0.0 and not back.freed[j]:
        release = tape.time[s] + cells.t_ref[j]
        if t < release <= back.at[j]:
            _flow(j, release, cells, back)
            back.kept[j], back.v[j] = back.v[j], 0.0
            back.freed[j] = True
    if back.peak[j] != 0.0 and tape.peak_at[j, 0] < 0 and t < tape.peak[j, 1] <= back.at[j]:
        _flow(j, tape.peak[j, 1], cells, back)
        back.v[j] -= back.peak[j] / cells.tau_m[j]
        back.peak[j] = 0.0
    _flow(j, t, cells, back)


@njit(cache=True, nogil=True)
def _arrival(
    j: Any, t: Any, weight: Any, event: Any, wires: Any, cells: Any, tape: Any, back: Any, g_weight: Any
) -> Any:
    """Undo an arrival at neuron j: its weight's gradient; returns ∂L/∂(its time)."""
    _retreat(j, t, cells, tape, back)
    change = wires.weights[weight] * (back.v[j] - back.i[j])
    g_weight[weight] -= cells.tau_s[j] * back.i[j]
    if back.peak[j] != 0.0 and tape.peak_at[j, 0] == event and tape.peak_at[j, 1] == weight:
        change += back.peak[j] * tape.peak[j, 2]
        back.v[j] -= back.peak[j] / cells.tau_m[j]
        back.peak[j] = 0.0
    return change


@njit(cache=True, nogil=True)
def _spike(
    s: Any, drive: Any, regular: Any, floor: Any, cells: Any, tape: Any, back: Any, g_cell: Any
) -> Any:
    """Undo spike s, whose time the loss feels with ``drive``; returns 1 where V' had to be clamped."""
    j, t = tape.unit[s], tape.time[s]
    tau_m, tau_b, e = cells.tau_m[j], cells.tau_b[j], cells.leak[j]
    _retreat(j, t, cells, tape, back)
    i, b = tape.current[s], tape.adaptation[s]
    lam, lam_i = back.v[j], i
    if cells.t_ref[j] > 0.0:
        lam, lam_i = (back.kept[j], tape.release[s]) if back.freed[j] else (0.0, 0.0)
    d = back.b_at[j] - t
    decay = math.exp(-d / tau_b)
    g_cell[TAU_B, j] -= back.b[j] * (b + cells.b[j]) * decay * d / tau_b
    lam_b = back.b[j] * decay
    slope = (i + e - cells.theta[j] - b) / tau_m + b / tau_b
    clamped = slope < floor * cells.theta[j] / tau_m
    if clamped:
        slope = floor * cells.theta[j] / tau_m
    a0 = lam * (lam_i + e - cells.reset[j])
    a = (a0 + drive - cells.b[j] * lam_b) / slope
    g_cell[THETA, j] += a
    g_cell[RESET, j] -= tau_m * lam
    g_cell[T_REF, j] += a0
    g_cell[B, j] -= tau_b * lam_b
    back.b[j], back.b_at[j] = lam_b - a / tau_b, t
    a -= regular[j]
    g_cell[TAU_M, j] -= a * tape.sense[s, 0]
    g_cell[TAU_S, j] -= a * tape.sense[s, 1]
    g_cell[LEAK, j] -= a * tape.sense[s, 2]
    back.v[j] = a / tau_m
    back.spike[j], back.freed[j] = tape.previous[s], False
    return int(clamped)


@njit(cache=True, nogil=True)
def adjoint(
    times: Any, units: Any, end: Any, wires: Any, cells: Any, tape: Any, drive: Any, regular: Any,
    last_impulse: Any, rescue: Any, floor: Any, g_weight: Any, g_delay: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Add one sample's gradients; returns how often V' at a spike was clamped.

    times, units, end, wires, cells: as in `forward`, tape: what it left. drive (spikes,): ∂loss/∂t_s of
    each spike through read-out and loss [1/s], changed in place to ∂L/∂t_s through everything later.
    regular (neurons,): r_j/θ_j of the rate term. last_impulse, rescue (neurons,): impulses ∂l/∂V at T
    and at the largest V. floor: V' counts as at least floor·θ/τm.
    g_weight like wires.weights, g_delay like wires.delays, g_cell (8, neurons): rows above.
    """
    neurons = len(cells.theta)
    back = Adjoint(
        -last_impulse / cells.tau_m,
        np.zeros(neurons),
        np.full(neurons, end),
        np.zeros(neurons),
        np.full(neurons, end),
        tape.last.copy(),
        np.zeros(neurons, np.bool_),
        np.zeros(neurons),
        rescue.copy(),
        np.zeros(6),
    )
    back.shared[0] = -1.0
    given, spikes, arrivals, clamped = len(times), len(tape.time), len(tape.arrival_time), 0
    for event in range(len(tape.kind) - 1, -1, -1):
        kind = tape.kind[event]
        if kind == INPUT or kind == SPIKE:
            if kind == INPUT:
                given -= 1
                layer, row, t = 0, units[given], times[given]
            else:
                spikes -= 1
                who = tape.unit[spikes]
                layer, row, t = cells.layer[who], cells.row[who], tape.time[spikes]
            total = 0.0
            for c in range(wires.start[layer + 1] - 1, wires.start[layer] - 1, -1):
                if wires.delayed[c]:
                    continue
                first = wires.weight[c] + row * wires.width[c]
                for to in range(wires.width[c] - 1, -1, -1):
                    total += _arrival(
                        wires.post[c] + to, t, first + to, event, wires, cells, tape, back, g_weight
                    )
            if kind == SPIKE:
                drive[spikes] += total
                clamped += _spike(spikes, drive[spikes], regular, floor, cells, tape, back, g_cell)
        else:
            arrivals -= 1
            weight, t = tape.arrival_weight[arrivals], tape.arrival_time[arrivals]
            change = _arrival(
                tape.arrival_unit[arrivals], t, weight, event, wires, cells, tape, back, g_weight
            )
            source = tape.arrival_source[arrivals]
            if source >= 0:
                drive[source] += change
            g_delay[weight] += change
    return clamped
