"""The flat arrays of the general grid engine: neurons, connections, tape.

Neurons of all layers are numbered through, layer after layer, a non-spiking read-out last; layer 0 is
the input and has none.
"""

from __future__ import annotations

from typing import Any, NamedTuple

import numpy as np
from numba import njit
from numpy.typing import NDArray

from nirbridge.kernels import use_cache

use_cache(__name__)

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]

# rows of the neurons' gradients
TAU_M, TAU_S, THETA, RESET, LEAK, T_REF, B, TAU_B, BIAS = range(9)
START, CROSSING = range(2)  # where V' at a spike is taken in mode `step`


class Cells(NamedTuple):
    """Parameters of neurons, (n,) each, in SI units, and what they make of a step dt (EVENTPROP.md §3).

    n_ref: steps that V is held after a spike. bias: jump of I at the start of every step. alpha, beta, rho:
    decays of V, I, B; gamma = κ(dt), with its derivatives by τm, τs; whole = τm(1−α), charge = K(dt).
    layer: of each neuron, from 1; first (layers+1,): first neuron of each. reads: the last layer does not
    spike.
    """

    tau_m: Floats
    tau_s: Floats
    theta: Floats
    reset: Floats
    leak: Floats
    n_ref: Ints
    b: Floats
    tau_b: Floats
    bias: Floats
    alpha: Floats
    beta: Floats
    rho: Floats
    gamma: Floats
    gamma_m: Floats
    gamma_s: Floats
    whole: Floats
    charge: Floats
    layer: Ints
    first: Ints
    reads: bool
    refractory: bool


class Wires(NamedTuple):
    """Connections, those of source layer l at start[l] … start[l+1]−1.

    place: offset of a connection's (pre, post) weights in ``weights``; post: first target; width: targets;
    late: steps that all its spikes take; mixed: each synapse takes its ``delays`` [steps] besides. even: all
    targets share τm and τs. moves: the gradient by delays is wanted. depth: more than the most steps that a
    spike takes.
    """

    start: Ints
    place: Ints
    post: Ints
    width: Ints
    late: Ints
    mixed: NDArray[np.bool_]
    even: NDArray[np.bool_]
    moves: NDArray[np.bool_]
    weights: Floats
    delays: Ints
    depth: int


class Tape(NamedTuple):
    """What one sample's forward pass leaves.

    Spikes in order of step, then round, layer and unit: start (steps+1,); turn: round; x [s] from the spike
    to its step's end; current, adapted: I and B there (B before its jump); end: V at the step's end before
    the reset; previous: last spike of the same neuron or −1; release: I where the neuron is free again;
    sense (spikes, 3): ∂V/∂τm, ∂V/∂τs, ∂V/∂E at the spike.
    By step (steps, n) and only where asked for: v, i, b at its start after arrivals; sense_read
    (steps, outputs, 4): ∂V/∂τm, ∂V/∂τs, ∂V/∂E, ∂I/∂τs of the read-out there.
    mean, read (steps, outputs): the read-out's step means, and its V at the steps' ends. peak (n,): largest V
    at a step's end, peak_at its step, −1 where it is not above 0, peak_sense (n, 3) as ``sense``. last (n,):
    last spike or −1.
    """

    start: Ints
    unit: Ints
    turn: Ints
    x: Floats
    current: Floats
    adapted: Floats
    end: Floats
    previous: Ints
    release: Floats
    sense: Floats
    v: Floats
    i: Floats
    b: Floats
    sense_read: Floats
    mean: Floats
    read: Floats
    peak: Floats
    peak_at: Ints
    peak_sense: Floats
    last: Ints


def empty_tape(n_steps: int, neurons: int, outputs: int, spikes: int, sensitive: bool) -> Tape:
    """A tape with room for so many spikes; outputs: neurons of a non-spiking read-out."""
    steps = n_steps if sensitive else 0
    return Tape(
        start=np.zeros(n_steps + 1, np.int64),
        unit=np.zeros(spikes, np.int64),
        turn=np.zeros(spikes, np.int64),
        x=np.zeros(spikes),
        current=np.zeros(spikes),
        adapted=np.zeros(spikes),
        end=np.zeros(spikes),
        previous=np.zeros(spikes, np.int64),
        release=np.zeros(spikes),
        sense=np.zeros((spikes if sensitive else 0, 3)),
        v=np.zeros((steps, neurons)),
        i=np.zeros((steps, neurons)),
        b=np.zeros((steps, neurons)),
        sense_read=np.zeros((steps, outputs, 4)),
        mean=np.zeros((n_steps, outputs)),
        read=np.zeros((n_steps, outputs)),
        peak=np.zeros(neurons),
        peak_at=np.full(neurons, -1, np.int64),
        peak_sense=np.zeros((neurons, 3)),
        last=np.full(neurons, -1, np.int64),
    )


@njit(cache=True, nogil=True)
def note_peaks(k: Any, v: Any, sense: Any, tape: Any) -> None:
    """Keep the largest V at a step's end of every neuron, and its row of sense (n, …)."""
    for j in range(len(v)):
        if v[j] > tape.peak[j]:
            tape.peak[j] = v[j]
            tape.peak_at[j] = k
            tape.peak_sense[j] = sense[j, :3]
