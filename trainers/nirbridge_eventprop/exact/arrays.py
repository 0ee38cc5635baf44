"""The arrays that the kernels read and write: neurons, connections, tape.

Spiking neurons of all layers are numbered through, layer after layer; layer 0 is the input. A
non-spiking read-out is not among them: nothing depends on it but the loss (see `readout`). Rows are
records: compiled code passes one pointer for all of a neuron's numbers.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
Rows = NDArray[np.void]

INPUT, SPIKE, ARRIVAL = 0, 1, 2


def record(reals: str, whole: str = "") -> np.dtype[Any]:
    """A row of real and then of whole numbers, by name."""
    return np.dtype([(n, np.float64) for n in reals.split()] + [(n, np.int64) for n in whole.split()])


CELL = record("tau_m tau_s theta reset leak t_ref b tau_b top", "layer row")
"""A neuron: parameters in SI units; top: the largest κ; layer from 1 on, row: its index in that layer."""

SPIKED = record("time current adaptation release s u q", "unit previous")
"""A spike: time [s], I, B before its jump, I at the release; s, u, q: ∂V/∂τm, ∂V/∂τs, ∂V/∂E; the unit's spike
before or −1."""

ARRIVED = record("time", "weight unit source")
"""A delayed arrival: time [s], weight index, target, source: a spike, or −1−e for input event e."""

END = record("v i peak peak_time peak_slope s u q", "last event weight")
"""A neuron at T: V, I, its last spike or −1. Without spikes: the largest V, its time [s], V' just before it,
s, u, q there, and event and weight index of the arrival that it sits on, or −1."""


class Wires(NamedTuple):
    """Connections, those of layer l at start[l] … start[l+1]−1.

    weight: offset of a connection's (pre, post) weights in ``weights`` and, where it is ``delayed``, of its
    ``delays`` [s]; post: its first target; width: its targets.
    """

    start: Ints
    weight: Ints
    delayed: NDArray[np.bool_]
    post: Ints
    width: Ints
    weights: Floats
    delays: Floats


class Tape(NamedTuple):
    """What a sample's forward pass leaves, in order of events: kind (events,) INPUT, SPIKE or ARRIVAL."""

    kind: NDArray[np.int8]
    spikes: Rows
    arrivals: Rows
    ends: Rows


def empty_tape(neurons: int, inputs: int, spikes: int, arrivals: int) -> Tape:
    """A tape with room for so many spikes and delayed arrivals."""
    ends = np.zeros(neurons, END)
    ends["last"] = ends["event"] = ends["weight"] = -1
    kind = np.zeros(inputs + spikes + arrivals, np.int8)
    return Tape(kind, np.zeros(spikes, SPIKED), np.zeros(arrivals, ARRIVED), ends)


def trimmed(tape: Tape, events: int, spikes: int, arrivals: int) -> Tape:
    """A copy that holds what was used, no more."""
    return Tape(
        tape.kind[:events].copy(), tape.spikes[:spikes].copy(), tape.arrivals[:arrivals].copy(), tape.ends
    )
