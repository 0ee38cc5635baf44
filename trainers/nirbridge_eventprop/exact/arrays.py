"""The flat arrays that the kernels read and write: neurons, connections, tape.

Spiking neurons of all layers are numbered through, layer after layer; layer 0 is the input. A
non-spiking read-out is not among them: nothing depends on it but the loss (see `readout`).
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


class Cells(NamedTuple):
    """Parameters of neurons, (n,) each, in SI units; ``top`` is the largest κ, ``layer`` starts at 1.

    row: index within its layer.
    """

    tau_m: Floats
    tau_s: Floats
    theta: Floats
    reset: Floats
    leak: Floats
    t_ref: Floats
    b: Floats
    tau_b: Floats
    top: Floats
    layer: Ints
    row: Ints


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
    """What one sample's forward pass leaves, in order of events.

    kind (events,): INPUT, SPIKE or ARRIVAL, the last for single delayed arrivals. Spikes: time [s], unit,
    previous spike of the unit or −1, I and B at the spike (B before its jump), I at the release,
    ``sense`` (spikes, 3) ∂V/∂τm, ∂V/∂τs, ∂V/∂E there. Arrivals: time [s], weight index, target, source:
    a spike, or −1−e for input event e. last (neurons,): last spike of each or −1. end_v, end_i: at T.
    peak (neurons, 6) of neurons without spikes: max V, its time [s], V' just before it, ∂V/∂τm, ∂V/∂τs, ∂V/∂E;
    peak_at (neurons, 2): event and weight index of the arrival that it sits on, or −1.
    """

    kind: NDArray[np.int8]
    time: Floats
    unit: Ints
    previous: Ints
    current: Floats
    adaptation: Floats
    release: Floats
    sense: Floats
    arrival_time: Floats
    arrival_weight: Ints
    arrival_unit: Ints
    arrival_source: Ints
    last: Ints
    end_v: Floats
    end_i: Floats
    peak: Floats
    peak_at: Ints


INPUT, SPIKE, ARRIVAL = 0, 1, 2


def empty_tape(neurons: int, inputs: int, spikes: int, arrivals: int) -> Tape:
    """A tape with room for so many spikes and delayed arrivals."""
    return Tape(
        kind=np.zeros(inputs + spikes + arrivals, np.int8),
        time=np.zeros(spikes),
        unit=np.zeros(spikes, np.int64),
        previous=np.zeros(spikes, np.int64),
        current=np.zeros(spikes),
        adaptation=np.zeros(spikes),
        release=np.zeros(spikes),
        sense=np.zeros((spikes, 3)),
        arrival_time=np.zeros(arrivals),
        arrival_weight=np.zeros(arrivals, np.int64),
        arrival_unit=np.zeros(arrivals, np.int64),
        arrival_source=np.zeros(arrivals, np.int64),
        last=np.full(neurons, -1),
        end_v=np.zeros(neurons),
        end_i=np.zeros(neurons),
        peak=np.zeros((neurons, 6)),
        peak_at=np.full((neurons, 2), -1),
    )


def trimmed(tape: Tape, events: int, spikes: int, arrivals: int) -> Tape:
    """A copy that holds what was used, no more."""
    size = {"kind": events}
    size |= dict.fromkeys(("time", "unit", "previous", "current", "adaptation", "release", "sense"), spikes)
    size |= dict.fromkeys(
        ("arrival_time", "arrival_weight", "arrival_unit", "arrival_source"), arrivals
    )
    return Tape(*(getattr(tape, f)[: size[f]].copy() if f in size else getattr(tape, f) for f in Tape._fields))
