"""Layers and connections of a network in continuous time, and the flat arrays that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import pairwise

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge_eventprop.exact.arrays import CELL, Rows, Wires

Floats = NDArray[np.float64]
FIELDS = {
    "tau_mem": "tau_m",
    "tau_syn": "tau_s",
    "v_th": "theta",
    "v_reset": "reset",
    "v_leak": "leak",
    "t_ref": "t_ref",
    "alif_b": "b",
    "alif_tau": "tau_b",
}


@dataclass(frozen=True, eq=False, kw_only=True)
class Layer:
    """Parameters (n,) of a layer's neurons in SI units (EVENTPROP.md §1); ``spiking`` False: a read-out.

    alif_b, alif_tau: jump and time constant of the adaptation. tau_mem, tau_syn and alif_tau are above 0.
    """

    spiking: bool
    tau_mem: Floats
    tau_syn: Floats
    v_th: Floats
    v_reset: Floats
    v_leak: Floats
    t_ref: Floats
    alif_b: Floats
    alif_tau: Floats


@dataclass(frozen=True, eq=False, kw_only=True)
class Connection:
    """From layer ``pre`` (0: the input) to layer ``post`` ≥ 1; weight (n_pre, n_post): jump of I per spike.

    delay (n_pre, n_post) [s], at least 0, or None.
    """

    pre: int
    post: int
    weight: Floats
    delay: Floats | None = None


@dataclass(frozen=True, eq=False)
class EventNetwork:
    """A network as the kernels take it.

    cells, wires: spiking neurons and the connections into them. read_cells, read_wires: the same of a
    non-spiking last layer, with no neurons where the last layer spikes. slices: each spiking layer's neurons.
    places: for each connection, whether it feeds the read-out, and its weights' slice.
    """

    n_inputs: int
    layers: tuple[Layer, ...]
    connections: tuple[Connection, ...]
    cells: Rows
    wires: Wires
    read_cells: Rows
    read_wires: Wires
    slices: tuple[slice, ...]
    places: tuple[tuple[bool, slice], ...]

    @property
    def spiking_output(self) -> bool:
        return self.layers[-1].spiking

    @property
    def n_outputs(self) -> int:
        return len(self.layers[-1].tau_mem)


def event_network(n_inputs: int, layers: Sequence[Layer], connections: Sequence[Connection]) -> EventNetwork:
    """Raises `Unsupported` (NB202) where a layer but the last does not spike or a read-out sends spikes."""
    spiking = [layer for layer in layers if layer.spiking]
    last = layers[-1]
    if len(spiking) < len(layers) - 1 or any(not layers[c.pre - 1].spiking for c in connections if c.pre > 0):
        raise Unsupported(
            "a layer that does not spike must be the last one and feed nothing",
            code="NB202",
            fix="use LIF neurons in hidden layers",
        )
    sizes = [len(layer.tau_mem) for layer in spiking]
    first = np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64)
    hidden = [at for at, c in enumerate(connections) if layers[c.post - 1].spiking]
    read = [at for at, c in enumerate(connections) if not layers[c.post - 1].spiking]
    wires, hidden_places = _wires(connections, hidden, first, len(layers))
    read_wires, read_places = _wires(connections, read, np.zeros(len(layers), np.int64), len(layers))
    placed = {**{at: (False, s) for at, s in hidden_places}, **{at: (True, s) for at, s in read_places}}
    return EventNetwork(
        n_inputs,
        tuple(layers),
        tuple(connections),
        _cells(spiking),
        wires,
        _cells([] if last.spiking else [last]),
        read_wires,
        tuple(slice(int(a), int(b)) for a, b in pairwise(first)),
        tuple(placed[at] for at in range(len(connections))),
    )


def _cells(layers: Sequence[Layer]) -> Rows:
    def column(name: str) -> Floats:
        values = [np.asarray(getattr(layer, name), np.float64) for layer in layers]
        return np.concatenate([np.zeros(0), *values])

    sizes = [len(layer.tau_mem) for layer in layers]
    cells = np.zeros(sum(sizes), CELL)
    for name, field in FIELDS.items():
        cells[field] = column(name)
    cells["top"] = _largest_kappa(cells["tau_m"], cells["tau_s"])
    cells["layer"] = np.repeat(np.arange(1, len(layers) + 1), sizes)
    cells["row"] = np.concatenate([np.zeros(0), *(np.arange(n) for n in sizes)])
    return cells


def _largest_kappa(tau_m: Floats, tau_s: Floats) -> Floats:
    """κ at its maximum, where it equals e^(−x/τs): x = ln(τm/τs)/h. A little more, as it only rejects."""
    ratio = tau_m / tau_s
    near = np.abs(ratio - 1.0) < 1e-9
    x_over_tau_s = np.where(near, 1.0, np.log(ratio) / np.where(near, 1.0, 1.0 - tau_s / tau_m))
    return np.asarray(np.exp(-x_over_tau_s) * (1.0 + 1e-8))


def _wires(
    connections: Sequence[Connection], mine: Sequence[int], first: NDArray[np.int64], n_layers: int
) -> tuple[Wires, list[tuple[int, slice]]]:
    """The connections ``mine`` in order of their source layer, and where each one's weights lie."""
    order = sorted(mine, key=lambda at: connections[at].pre)
    offset, places = 0, []
    weights, delays = [np.zeros(0)], [np.zeros(0)]
    rows = np.zeros((len(order), 4), np.int64)
    for row, at in enumerate(order):
        c = connections[at]
        size = c.weight.size
        rows[row] = [offset, c.delay is not None, first[c.post - 1], c.weight.shape[1]]
        weights.append(np.asarray(c.weight, np.float64).reshape(-1))
        delays.append(np.zeros(size) if c.delay is None else np.asarray(c.delay, np.float64).reshape(-1))
        places.append((at, slice(offset, offset + size)))
        offset += size
    pre = np.array([connections[at].pre for at in order], np.int64)
    wires = Wires(
        start=np.searchsorted(pre, np.arange(n_layers + 2)).astype(np.int64),
        weight=rows[:, 0].copy(),
        delayed=rows[:, 1].astype(np.bool_),
        post=rows[:, 2].copy(),
        width=rows[:, 3].copy(),
        weights=np.concatenate(weights),
        delays=np.concatenate(delays),
    )
    return wires, places
