"""From a sample's tape on the grid to its loss, and what the loss tells step means and spike times."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.exact.losses import FirstSpikeLoss, MaximumLoss, MembraneLoss
from nirbridge_eventprop.grid.arrays import Tape
from nirbridge_eventprop.grid.network import GridNetwork

Floats = NDArray[np.float64]


def membrane_score(
    loss: MembraneLoss | MaximumLoss, tape: Tape, dt: float, label: int
) -> tuple[float, Floats, Floats]:
    """(loss, read-out (n,), ∂loss/∂(step mean) (steps, n)).

    The step means stand for V at the middles of the steps; the maximum is that of the step means.
    """
    steps = len(tape.mean)
    if isinstance(loss, MaximumLoss):
        at = tape.mean.argmax(axis=0)
        outputs = np.arange(len(at))
        value, readout, pull = loss.at_maximum(tape.mean[at, outputs], label)
        impulse = np.zeros_like(tape.mean)
        impulse[at, outputs] = pull
        return value, readout, impulse
    later = 1 + 1e-12  # a middle on the edge of two bins counts to the later one
    t = np.asarray((np.arange(steps) + 0.5) * (dt * later), np.float64)
    value, readout, impulse = loss.at_nodes(t, np.full(steps, dt), tape.mean, label, steps * dt)
    return value, readout, np.ascontiguousarray(impulse)


def spike_times(tape: Tape, dt: float, inside: bool) -> Floats:
    """Time [s] of each spike: the crossing where spikes fall ``inside`` their step, else the step's end."""
    steps = np.repeat(np.arange(len(tape.start) - 1), np.diff(tape.start))
    ends = (steps + 1) * dt
    return np.asarray(ends - tape.x[: len(ends)] if inside else ends)


def spike_score(
    network: GridNetwork,
    loss: FirstSpikeLoss,
    tape: Tape,
    times: Floats,
    end: float,
    label: int,
    drive: Floats,
) -> tuple[float, Floats]:
    """(loss, first spike times (n,) [s], ``end`` where silent); adds ∂loss/∂t to ``drive`` (spikes,)."""
    first = network.slices[-1].start
    unit = tape.unit[: len(times)]
    out = np.flatnonzero(unit >= first)[::-1]  # backwards: the earliest spike is written last
    index = np.full(network.n_outputs, -1)
    index[unit[out] - first] = out
    spiked = index >= 0
    t = np.full(network.n_outputs, end)
    t[spiked] = times[index[spiked]]
    value, slope = loss.at_first_spike(t, label, end)
    drive[index[spiked]] += slope[spiked]
    return value, t
