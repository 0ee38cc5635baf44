"""Forward pass of one sample in mode `step`, the network that chips run (EVENTPROP.md §3)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.grid.arrays import CROSSING, note_peaks
from nirbridge_eventprop.grid.crossing import crossing
from nirbridge_eventprop.grid.sensitivity import carry, sense_at
from nirbridge_eventprop.grid.wiring import spread

use_cache(__name__)


@njit(cache=True, nogil=True)
def forward(
    n_steps: Any, dt: Any, event_start: Any, event_unit: Any, cells: Any, wires: Any, tape: Any, slope: Any,
    sensitive: Any, peaks: Any,
) -> Any:  # fmt: skip
    """Fill ``tape``; returns the number of spikes, and stops early where they exceed its room.

    event_start (n_steps+1,) into event_unit: input spikes by step. slope: START or CROSSING, where the tape
    keeps a spike's I and B. sensitive: keep what gradients by time constants and leak need. peaks: keep
    the largest V of every neuron.
    """
    layers = len(cells.first) - 1
    n = len(cells.theta)
    hidden = cells.first[layers - 1] if cells.reads else n
    v, i, b = np.zeros(n), np.zeros(n), np.zeros(n)
    v0, i0, b0 = np.zeros(n), np.zeros(n), np.zeros(n)
    sense = np.zeros((n, 4))
    free = np.zeros(n, np.int64)  # first step in which the neuron is not held
    ring = np.zeros((wires.depth, n))
    room, used = len(tape.unit), 0
    for k in range(n_steps):
        tape.start[k] = used
        slot = k % wires.depth
        for event in range(event_start[k], event_start[k + 1]):
            spread(event_unit[event], 0, k, n_steps, wires, ring)
        for layer in range(1, layers + 1):
            begin, end = cells.first[layer - 1], cells.first[layer]
            for j in range(begin, end):
                i[j] += ring[slot, j] + cells.bias[j]
                ring[slot, j] = 0.0
                v0[j], i0[j], b0[j] = v[j], i[j], b[j]
            if cells.reads and layer == layers:
                for j in range(begin, end):
                    e = cells.leak[j]
                    tape.mean[k, j - begin] = e + (cells.whole[j] * (v[j] - e) + cells.charge[j] * i[j]) / dt
                    if sensitive:
                        tape.sense_read[k, j - begin] = sense[j]
            if sensitive:
                for j in range(begin, end):
                    tape.v[k, j], tape.i[k, j], tape.b[k, j] = v[j], i[j], b[j]
            for j in range(begin, end):
                e = cells.leak[j]
                v[j] = e + (v[j] - e) * cells.alpha[j] + cells.gamma[j] * i[j]
                i[j] *= cells.beta[j]
                b[j] *= cells.rho[j]
            if cells.refractory:
                for j in range(begin, end):
                    if free[j] > k:
                        v[j] = v0[j]
                    elif free[j] == k and tape.last[j] >= 0:
                        tape.release[tape.last[j]] = i0[j]
            if cells.reads and layer == layers:
                tape.read[k] = v[begin:end]
            for j in range(begin, min(end, hidden)):
                if v[j] < cells.theta[j] + b[j] or free[j] > k:
                    continue
                if used == room:
                    return room + (n_steps - k) * hidden
                _note(j, used, k, dt, v, i, b, v0, i0, b0, slope, sensitive, cells, sense, tape)
                used += 1
            if sensitive:
                carry(begin, end, k, v0, i0, dt, free, cells, sense)
            for s in range(used - 1, tape.start[k] - 1, -1):
                j = tape.unit[s]
                if cells.layer[j] != layer:
                    break
                sense[j, :3] = 0.0
                v[j] = cells.reset[j]
                b[j] += cells.b[j]
                free[j] = k + 1 + cells.n_ref[j]
                spread(j - begin, layer, k, n_steps, wires, ring)
        if peaks:
            note_peaks(k, v, sense, tape)
    tape.start[n_steps] = used
    return used


@njit(cache=True, nogil=True)
def _note(
    j: Any, s: Any, k: Any, dt: Any, v: Any, i: Any, b: Any, v0: Any, i0: Any, b0: Any, slope: Any,
    sensitive: Any, cells: Any, sense: Any, tape: Any,
) -> None:  # fmt: skip
    """Write spike s of neuron j: I and B at the analytic crossing, or at the start of the step."""
    tau_m, tau_s, tau_b = cells.tau_m[j], cells.tau_s[j], cells.tau_b[j]
    x, since = 0.0, dt
    if slope == CROSSING:
        x = crossing(v[j], i[j], b[j], v0[j], b0[j], dt, cells.leak[j], cells.theta[j], tau_m, tau_s, tau_b)
        since = dt - x
        tape.current[s] = i[j] * math.exp(x / tau_s)
        tape.adapted[s] = b[j] * math.exp(x / tau_b)
    else:
        tape.current[s] = i0[j]
        tape.adapted[s] = b0[j]
    tape.unit[s], tape.x[s], tape.turn[s], tape.end[s] = j, x, 0, v[j]
    tape.previous[s] = tape.last[j]
    tape.release[s] = 0.0
    tape.last[j] = s
    if sensitive:
        tape.sense[s, 0], tape.sense[s, 1], tape.sense[s, 2] = sense_at(j, v0[j], i0[j], since, cells, sense)
