"""Gradients of a batch: flat sums that shards add to, and the same by connection and layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.exact.adjoint import LEAK, TAU_M, TAU_S, THETA
from nirbridge_eventprop.exact.arrays import Rows
from nirbridge_eventprop.exact.network import EventNetwork

Floats = NDArray[np.float64]
ROWS = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "t_ref", "alif_b", "alif_tau")


@dataclass(frozen=True, eq=False)
class Sums:
    """weight, delay like the wires' weights, cell (8, neurons) as in `adjoint`; read_…: of the read-out."""

    weight: Floats
    delay: Floats
    cell: Floats
    read_weight: Floats
    read_delay: Floats
    read_cell: Floats

    def __iadd__(self, other: Sums) -> Sums:
        for name in self.__dataclass_fields__:
            getattr(self, name)[...] += getattr(other, name)
        return self

    def clear(self) -> None:
        """Back to zero."""
        for name in self.__dataclass_fields__:
            getattr(self, name)[...] = 0.0


@dataclass(frozen=True, eq=False)
class Gradients:
    """By connection: weight and delay (n_pre, n_post) or None; by layer: {parameter: (n,)}."""

    weight: tuple[Floats, ...]
    delay: tuple[Floats | None, ...]
    layer: tuple[dict[str, Floats], ...]


def new_sums(network: EventNetwork) -> Sums:
    """Zeros of the network's shape."""
    return Sums(
        np.zeros_like(network.wires.weights),
        np.zeros_like(network.wires.weights),
        np.zeros((len(ROWS), len(network.cells))),
        np.zeros_like(network.read_wires.weights),
        np.zeros_like(network.read_wires.weights),
        np.zeros((3, len(network.read_cells))),
    )


def by_parameter(network: EventNetwork, sums: Sums, samples: int) -> Gradients:
    """The sums over the number of samples, by connection and layer."""
    weights, delays = [], []
    for c, (read, place) in zip(network.connections, network.places, strict=True):
        weight, delay = (sums.read_weight, sums.read_delay) if read else (sums.weight, sums.delay)
        weights.append(weight[place].reshape(c.weight.shape) / samples)
        delays.append(None if c.delay is None else delay[place].reshape(c.weight.shape) / samples)
    layers = [
        {name: sums.cell[row, where] / samples for row, name in enumerate(ROWS)} for where in network.slices
    ]
    if not network.spiking_output:
        rows = (TAU_M, TAU_S, LEAK)
        layers.append({ROWS[row]: sums.read_cell[at] / samples for at, row in enumerate(rows)})
    return Gradients(tuple(weights), tuple(delays), tuple(layers))


def add_peaks(sums: Sums, rescue: Floats, ends: Rows) -> None:
    """Direct share of Σ rescue·(θ − max V), rescue (neurons,), ``ends``: the tape's."""
    sums.cell[THETA] += rescue
    for row, name in ((TAU_M, "s"), (TAU_S, "u"), (LEAK, "q")):
        sums.cell[row] -= rescue * ends[name]
