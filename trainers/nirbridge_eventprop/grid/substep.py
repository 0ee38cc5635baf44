"""Forward pass of one sample in mode `substep`: spike times inside the step (EVENTPROP.md §3)."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from numba import njit

from nirbridge.kernels import use_cache
from nirbridge_eventprop.exact.flow import factors
from nirbridge_eventprop.grid.arrays import note_peaks
from nirbridge_eventprop.grid.crossing import crossing
from nirbridge_eventprop.grid.folding import Folded, fold
from nirbridge_eventprop.grid.wiring import spread

use_cache(__name__)

ROUNDS = 8  # a neuron still above threshold after these fires in the next step


@njit(cache=True, nogil=True)
def forward(
    n_steps: Any, dt: Any, event_start: Any, event_unit: Any, event_x: Any, cells: Any, wires: Any, tape: Any,
    sensitive: Any, peaks: Any,
) -> Any:  # fmt: skip
    """Fill ``tape``; arguments as `step.forward`, with event_x [s] from an input spike to its step's end.

    An input spike at the start of its step has x = dt.
    """
    n = len(cells.theta)
    layers = len(cells.first) - 1
    hidden = cells.first[layers - 1] if cells.reads else n
    v, i, b = np.zeros(n), np.zeros(n), np.zeros(n)
    v0, b0 = np.zeros(n), np.zeros(n)
    jump = np.zeros((wires.depth, n))
    ahead = Folded(np.zeros((wires.depth, n)), np.zeros((wires.depth, n)), np.zeros((wires.depth, n)))
    more_v, more_i = np.zeros(n), np.zeros(n)  # what input spikes of this step fold into its end
    more = np.zeros(n - hidden)
    no_sense = np.zeros((n, 3))  # here λ at the steps' ends brings these gradients
    room, used = len(tape.unit), 0
    for k in range(n_steps):
        tape.start[k] = used
        slot = k % wires.depth
        more_v[:], more_i[:], more[:] = 0.0, 0.0, 0.0
        for event in range(event_start[k], event_start[k + 1]):
            if event_x[event] >= dt:
                spread(event_unit[event], 0, k, n_steps, wires, jump)
            else:
                fold(
                    event_unit[event], 0, k, event_x[event], n_steps, dt, wires, cells, ahead, more_v, more_i,
                    more,
                )  # fmt: skip
        for j in range(n):
            i[j] += jump[slot, j] + cells.bias[j]
            v0[j], b0[j] = v[j], b[j]
        for j in range(hidden, n):
            e = cells.leak[j]
            start = e + (cells.whole[j] * (v[j] - e) + cells.charge[j] * i[j]) / dt
            tape.mean[k, j - hidden] = start + ahead.mean[slot, j] + more[j - hidden]
        if sensitive:
            tape.v[k], tape.i[k], tape.b[k] = v, i, b
        for j in range(n):
            e = cells.leak[j]
            v[j] = e + (v[j] - e) * cells.alpha[j] + cells.gamma[j] * i[j] + ahead.v[slot, j] + more_v[j]
            i[j] = i[j] * cells.beta[j] + ahead.i[slot, j] + more_i[j]
            b[j] *= cells.rho[j]
        jump[slot], ahead.v[slot], ahead.i[slot], ahead.mean[slot] = 0.0, 0.0, 0.0, 0.0
        for turn in range(ROUNDS):
            begin = used
            for j in range(hidden):
                if v[j] >= cells.theta[j] + b[j]:
                    if used == room:
                        return room + (n_steps - k) * hidden
                    _spike(j, used, turn, dt, v, i, b, v0, b0, cells, tape)
                    used += 1
            if used == begin:
                break
            for s in range(begin, used):
                layer = cells.layer[tape.unit[s]]
                row = tape.unit[s] - cells.first[layer - 1]
                fold(row, layer, k, tape.x[s], n_steps, dt, wires, cells, ahead, v, i, tape.mean[k])
        tape.read[k] = v[hidden:]
        if peaks:
            note_peaks(k, v, no_sense, tape)
    tape.start[n_steps] = used
    return used


@njit(cache=True, nogil=True)
def _spike(
    j: Any, s: Any, turn: Any, dt: Any, v: Any, i: Any, b: Any, v0: Any, b0: Any, cells: Any, tape: Any
) -> None:
    """Write spike s of neuron j, reset it where it crossed and let it flow on to the end of the step."""
    tau_m, tau_s, tau_b, e = cells.tau_m[j], cells.tau_s[j], cells.tau_b[j], cells.leak[j]
    x = crossing(v[j], i[j], b[j], v0[j], b0[j], dt, e, cells.theta[j], tau_m, tau_s, tau_b)
    em, es, kappa = factors(x, tau_m, tau_s)
    tape.unit[s], tape.turn[s], tape.x[s], tape.end[s] = j, turn, x, v[j]
    tape.current[s] = i[j] / es
    tape.adapted[s] = b[j] * math.exp(x / tau_b)
    tape.previous[s] = tape.last[j]
    tape.last[j] = s
    v[j] = e + (cells.reset[j] - e) * em + kappa * tape.current[s]
    b[j] += cells.b[j] * math.exp(-x / tau_b)
