"""Adjoint of one sample, from the last event to the first (EVENTPROP.md §4, exact time).

Between events  λI ← λI·e^(−x/τs) + (τm/τs)·κ(x)·λV,  λV ← λV·e^(−x/τm), backwards over x.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.arrays import ARRIVAL, SPIKE, record
from nirbridge_eventprop.exact.flow import factors

use_cache(__name__)

TAU_M, TAU_S, THETA, RESET, LEAK, T_REF, B, TAU_B = range(8)  # rows of the neurons' gradients

BACK = record("v i at b b_at kept peak", "spike freed")
"""λV, λI at time ``at``; λB at b_at. spike: last one not yet undone, freed: its release is, kept: λV at that
release. peak: impulse at the largest V that is still to act."""


@njit(cache=True, nogil=True)
def _flow(j: Any, t: Any, cells: Any, back: Any, known: Any) -> None:
    """Neuron j back to time t; known (6,): the last x, τm, τs and their factors."""
    x = back[j].at - t
    back[j].at = t
    if x <= 0.0:
        return
    tau_m, tau_s = cells[j].tau_m, cells[j].tau_s
    if not (known[0] == x and known[1] == tau_m and known[2] == tau_s):
        known[0], known[1], known[2] = x, tau_m, tau_s
        known[3], known[4], known[5] = factors(x, tau_m, tau_s)
    back[j].i = back[j].i * known[4] + tau_m / tau_s * known[5] * back[j].v
    back[j].v *= known[3]


@njit(cache=True, nogil=True)
def _retreat(j: Any, t: Any, cells: Any, ends: Any, spikes: Any, back: Any, known: Any) -> None:
    """Neuron j back to time t, over a release or the impulse at its largest V."""
    s = back[j].spike
    if s >= 0 and cells[j].t_ref > 0.0 and not back[j].freed:
        release = spikes[s].time + cells[j].t_ref
        if t < release <= back[j].at:
            _flow(j, release, cells, back, known)
            back[j].kept, back[j].v = back[j].v, 0.0
            back[j].freed = 1
    if back[j].peak != 0.0 and ends[j].event < 0 and t < ends[j].peak_time <= back[j].at:
        _flow(j, ends[j].peak_time, cells, back, known)
        back[j].v -= back[j].peak / cells[j].tau_m
        back[j].peak = 0.0
    _flow(j, t, cells, back, known)


@njit(cache=True, nogil=True)
def _arrival(
    j: Any,
    t: Any,
    weight: Any,
    event: Any,
    weights: Any,
    cells: Any,
    ends: Any,
    spikes: Any,
    back: Any,
    known: Any,
    g_weight: Any,
) -> Any:
    """Undo an arrival at neuron j: its weight's gradient; returns ∂L/∂(its time)."""
    _retreat(j, t, cells, ends, spikes, back, known)
    change = weights[weight] * (back[j].v - back[j].i)
    g_weight[weight] -= cells[j].tau_s * back[j].i
    if back[j].peak != 0.0 and ends[j].event == event and ends[j].weight == weight:
        change += back[j].peak * ends[j].peak_slope
        back[j].v -= back[j].peak / cells[j].tau_m
        back[j].peak = 0.0
    return change


@njit(cache=True, nogil=True)
def _spike(
    s: Any,
    drive: Any,
    regular: Any,
    floor: Any,
    cells: Any,
    ends: Any,
    spikes: Any,
    back: Any,
    known: Any,
    g_cell: Any,
) -> Any:
    """Undo spike s, whose time the loss feels with ``drive``; returns 1 where V' had to be clamped."""
    j, t = spikes[s].unit, spikes[s].time
    tau_m, tau_b, e = cells[j].tau_m, cells[j].tau_b, cells[j].leak
    _retreat(j, t, cells, ends, spikes, back, known)
    i, b = spikes[s].current, spikes[s].adaptation
    lam, lam_i = back[j].v, i
    if cells[j].t_ref > 0.0:
        lam, lam_i = (back[j].kept, spikes[s].release) if back[j].freed else (0.0, 0.0)
    d = back[j].b_at - t
    decay = math.exp(-d / tau_b)
    g_cell[TAU_B, j] -= back[j].b * (b + cells[j].b) * decay * d / tau_b
    lam_b = back[j].b * decay
    slope = (i + e - cells[j].theta - b) / tau_m + b / tau_b
    clamped = slope < floor * cells[j].theta / tau_m
    if clamped:
        slope = floor * cells[j].theta / tau_m
    a0 = lam * (lam_i + e - cells[j].reset)
    a = (a0 + drive - cells[j].b * lam_b) / slope
    g_cell[THETA, j] += a
    g_cell[RESET, j] -= tau_m * lam
    g_cell[T_REF, j] += a0
    g_cell[B, j] -= tau_b * lam_b
    back[j].b, back[j].b_at = lam_b - a / tau_b, t
    a -= regular[j]
    g_cell[TAU_M, j] -= a * spikes[s].s
    g_cell[TAU_S, j] -= a * spikes[s].u
    g_cell[LEAK, j] -= a * spikes[s].q
    back[j].v = a / tau_m
    back[j].spike, back[j].freed = spikes[s].previous, 0
    return int(clamped)


@njit(cache=True, nogil=True)
def adjoint(
    times: Any, units: Any, end: Any, wires: Any, cells: Any, tape: Any, drive: Any, regular: Any,
    rescue: Any, floor: Any, g_weight: Any, g_delay: Any, g_cell: Any,
) -> Any:  # fmt: skip
    """Add one sample's gradients; returns how often V' at a spike was clamped.

    times, units, end, wires, cells: as in `forward`, tape: what it left. drive (spikes,): ∂loss/∂t_s of
    each spike through read-out and loss [1/s], changed in place to ∂L/∂t_s through everything later.
    regular (neurons,): r_j/θ_j of the rate term. rescue (neurons,): weight of −max V in the loss, of
    neurons without spikes. floor: V' counts as at least floor·θ/τm.
    g_weight like wires.weights, g_delay like wires.delays, g_cell (8, neurons): rows above.
    """
    ends, spiked, arrived = tape.ends, tape.spikes, tape.arrivals
    known = np.zeros(6)
    back = np.zeros(len(cells), BACK)
    for j in range(len(cells)):
        back[j].at = back[j].b_at = end
        back[j].spike, back[j].peak = ends[j].last, -rescue[j]
    given, spikes, arrivals, clamped = len(times), len(spiked), len(arrived), 0
    for event in range(len(tape.kind) - 1, -1, -1):
        kind = tape.kind[event]
        if kind != ARRIVAL:
            if kind != SPIKE:
                given -= 1
                layer, row, t = 0, units[given], times[given]
            else:
                spikes -= 1
                who = spiked[spikes].unit
                layer, row, t = cells[who].layer, cells[who].row, spiked[spikes].time
            total = 0.0
            for c in range(wires.start[layer + 1] - 1, wires.start[layer] - 1, -1):
                if wires.delayed[c]:
                    continue
                first = wires.weight[c] + row * wires.width[c]
                for to in range(wires.width[c] - 1, -1, -1):
                    total += _arrival(
                        wires.post[c] + to,
                        t,
                        first + to,
                        event,
                        wires.weights,
                        cells,
                        ends,
                        spiked,
                        back,
                        known,
                        g_weight,
                    )
            if kind == SPIKE:
                drive[spikes] += total
                clamped += _spike(
                    spikes, drive[spikes], regular, floor, cells, ends, spiked, back, known, g_cell
                )
        else:
            arrivals -= 1
            weight, t = arrived[arrivals].weight, arrived[arrivals].time
            change = _arrival(
                arrived[arrivals].unit,
                t,
                weight,
                event,
                wires.weights,
                cells,
                ends,
                spiked,
                back,
                known,
                g_weight,
            )
            source = arrived[arrivals].source
            if source >= 0:
                drive[source] += change
            g_delay[weight] += change
    return clamped
