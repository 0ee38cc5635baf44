"""From a sample's tape to its loss, and from the loss to what each spike's time is worth."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.exact.arrays import Tape
from nirbridge_eventprop.exact.losses import FirstSpikeLoss, MaximumLoss, MembraneLoss
from nirbridge_eventprop.exact.network import EventNetwork
from nirbridge_eventprop.exact.readout import (
    add_sensitivities,
    arrivals_of,
    maxima,
    quadrature,
    starts_of,
    undo,
    values_at,
)
from nirbridge_eventprop.exact.sums import Sums

Floats = NDArray[np.float64]
POINTS, SHARES = np.polynomial.legendre.leggauss(10)
LONGEST = 1e-3  # [s] of a quadrature piece


def spike_score(
    network: EventNetwork,
    loss: FirstSpikeLoss,
    tape: Tape,
    end: float,
    label: int,
    drive: Floats,
) -> tuple[float, Floats]:
    """(loss, first spike times (n,) [s]); adds ∂loss/∂t to ``drive`` (spikes,), none for silent outputs."""
    first = network.slices[-1].start
    out = np.flatnonzero(tape.spikes["unit"] >= first)[::-1]  # backwards: the earliest spike is written last
    index = np.full(network.n_outputs, -1)
    index[tape.spikes["unit"][out] - first] = out
    spiked = index >= 0
    t = np.full(network.n_outputs, end)
    t[spiked] = tape.spikes["time"][index[spiked]]
    value, slope = loss.at_first_spike(t, label, end)
    drive[index[spiked]] += slope[spiked]
    return value, t


def membrane_score(
    network: EventNetwork,
    loss: MembraneLoss | MaximumLoss,
    tape: Tape,
    times: Floats,
    units: NDArray[np.int64],
    end: float,
    label: int,
    drive: Floats,
    sums: Sums | None,
    sensitive: bool,
) -> tuple[float, Floats]:
    """(loss, read-out (n,)); with ``sums`` adds the read-out's gradients there and ∂loss/∂t_s to drive."""
    cells, wires = network.read_cells, network.read_wires
    arrivals = arrivals_of(times, units, end, wires, network.cells, tape)
    starts, v, i = starts_of(arrivals, wires.weights, cells, end)
    kink = np.zeros_like(v)
    if isinstance(loss, MaximumLoss):
        interval, x, top, slope = maxima(starts, v, i, arrivals, cells)
        value, readout, pull = loss.at_maximum(top, label)
        order = np.lexsort((x, interval))
        impulse = np.diag(pull)[order]
        kink[interval, np.arange(len(top))] = pull * slope
        interval, x = interval[order], x[order]
    else:
        interval, x, t, share = quadrature(starts, loss.edges(end), LONGEST, POINTS, SHARES)
        values = values_at(interval, x, v, i, cells)
        value, readout, impulse = loss.at_nodes(t, share, values, label, end)
    if sums is not None:
        undo(
            starts, interval, x, impulse, kink, arrivals, wires, cells, drive, sums.read_weight,
            sums.read_delay,
        )  # fmt: skip
        if sensitive:
            add_sensitivities(starts, interval, x, impulse, v, i, cells, sums.read_cell)
    return value, readout
