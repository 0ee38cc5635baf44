"""Gradients of a batch on the grid: flat sums that shards add to, and the same by connection and layer."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge_eventprop.grid.network import GridNetwork

Floats = NDArray[np.float64]
ROWS = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "t_ref", "alif_b", "alif_tau", "bias")


@dataclass(frozen=True, eq=False)
class Sums:
    """weight: Σ λI at arrivals, delay: ∂L/∂delay [1/s], like the wires' weights; cell (9, n): ``ROWS``."""

    weight: Floats
    delay: Floats
    cell: Floats

    def __iadd__(self, other: Sums) -> Sums:
        self.weight[...] += other.weight
        self.delay[...] += other.delay
        self.cell[...] += other.cell
        return self

    def clear(self) -> None:
        """Back to zero."""
        self.weight[...] = 0.0
        self.delay[...] = 0.0
        self.cell[...] = 0.0


@dataclass(frozen=True, eq=False)
class Gradients:
    """By connection: weight, delay [1/s] (n_pre, n_post); by layer: {parameter: (n,)}."""

    weight: tuple[Floats, ...]
    delay: tuple[Floats, ...]
    layer: tuple[dict[str, Floats], ...]


def new_sums(network: GridNetwork) -> Sums:
    """Zeros of the network's shape; no room for delays where none moves."""
    flat = network.wires.weights
    moves = bool(network.wires.moves.any())
    return Sums(
        np.zeros(len(flat)),
        np.zeros(len(flat) if moves else 0),
        np.zeros((len(ROWS), len(network.cells.theta))),
    )


def by_parameter(network: GridNetwork, sums: Sums, samples: int) -> Gradients:
    """The sums over the number of samples, by connection and layer."""
    weights, delays = [], []
    for c, place in zip(network.connections, network.places, strict=True):
        tau_s = network.cells.tau_s[network.slices[c.post - 1]]
        weights.append(-tau_s * sums.weight[place].reshape(c.weight.shape) / samples)
        delays.append(
            sums.delay[place].reshape(c.weight.shape) / samples if c.moves else np.zeros(c.weight.shape)
        )
    layers = [
        {name: sums.cell[row, where] / samples for row, name in enumerate(ROWS)} for where in network.slices
    ]
    return Gradients(tuple(weights), tuple(delays), tuple(layers))
