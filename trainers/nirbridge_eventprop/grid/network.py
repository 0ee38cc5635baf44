"""Layers and connections of a network on a grid, and the flat arrays that the kernels read."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge_eventprop.exact.flow import factors, tau_factors
from nirbridge_eventprop.exact.network import Layer
from nirbridge_eventprop.grid.arrays import Cells, Wires

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class GridConnection:
    """From layer ``pre`` (0: the input) to layer ``post`` ≥ 1; weight (n_pre, n_post): jump of I per spike.

    latency: steps that every spike takes; in loops at least 1 in mode `step`. delay: further steps, one for
    all synapses, or (n_pre, n_post). moves: the gradient by the delays is wanted.
    """

    pre: int
    post: int
    weight: Floats
    latency: int = 0
    delay: int | Ints = 0
    moves: bool = False


@dataclass(frozen=True, eq=False)
class GridNetwork:
    """A network as the kernels take it, for steps of ``dt`` [s].

    places: for each connection, its weights' slice in ``wires.weights``. slices: each layer's neurons.
    """

    dt: float
    n_inputs: int
    layers: tuple[Layer, ...]
    connections: tuple[GridConnection, ...]
    cells: Cells
    wires: Wires
    places: tuple[slice, ...]
    slices: tuple[slice, ...]

    @property
    def n_outputs(self) -> int:
        return len(self.layers[-1].tau_mem)

    @property
    def n_hidden(self) -> int:
        """Neurons of all layers but the last."""
        return int(self.cells.first[-2])

    @property
    def spiking_output(self) -> bool:
        return self.layers[-1].spiking

    def changed(
        self,
        *,
        weights: Floats | None = None,
        delays: Ints | None = None,
        layers: Sequence[Layer] | None = None,
        bias: Floats | None = None,
    ) -> GridNetwork:
        """The same network with other flat weights, per-synapse delays [steps], layers or bias (n,)."""
        wires = self.wires
        if weights is not None:
            wires = wires._replace(weights=weights)
        if delays is not None:
            wires = wires._replace(delays=delays, depth=_depth(wires, delays, self.places))
        cells = self.cells
        if layers is not None:
            cells = cells_of(layers, self.dt, cells.bias)
            wires = wires._replace(even=_even(cells, wires))
        if bias is not None:
            cells = cells._replace(bias=bias)
        chosen = self.layers if layers is None else tuple(layers)
        return replace(self, wires=wires, cells=cells, layers=chosen)


def grid_network(
    n_inputs: int,
    layers: Sequence[Layer],
    connections: Sequence[GridConnection],
    dt: float,
    *,
    bias: Floats | None = None,
) -> GridNetwork:
    """A network of steps dt [s]; bias (n,): jump of I at the start of every step, neurons in order of layers.

    Raises `Unsupported` (NB202) where a layer but the last does not spike or a read-out sends spikes.
    """
    if any(not layer.spiking for layer in layers[:-1]) or any(
        c.pre > 0 and not layers[c.pre - 1].spiking for c in connections
    ):
        raise Unsupported(
            "a layer that does not spike must be the last one and feed nothing",
            code="NB202",
            fix="use LIF neurons in hidden layers",
        )
    cells = cells_of(layers, dt, bias)
    wires, places = _wires(connections, layers, cells)
    slices = tuple(slice(int(a), int(b)) for a, b in zip(cells.first[:-1], cells.first[1:], strict=True))
    return GridNetwork(dt, n_inputs, tuple(layers), tuple(connections), cells, wires, tuple(places), slices)


def cells_of(layers: Sequence[Layer], dt: float, bias: Floats | None = None) -> Cells:
    """The neurons of these layers and their coefficients for a step dt [s]."""
    sizes = [len(layer.tau_mem) for layer in layers]

    def column(name: str) -> Floats:
        return np.concatenate([np.asarray(getattr(layer, name), np.float64) for layer in layers])

    tau_m, tau_s, tau_b = column("tau_mem"), column("tau_syn"), column("alif_tau")
    flow = np.array([factors(dt, m, s) for m, s in zip(tau_m, tau_s, strict=True)]).reshape(-1, 3)
    slopes = np.array([tau_factors(dt, m, s) for m, s in zip(tau_m, tau_s, strict=True)]).reshape(-1, 2)
    n_ref = np.rint(column("t_ref") / dt).astype(np.int64)
    return Cells(
        tau_m=tau_m,
        tau_s=tau_s,
        theta=column("v_th"),
        reset=column("v_reset"),
        leak=column("v_leak"),
        n_ref=n_ref,
        b=column("alif_b"),
        tau_b=tau_b,
        bias=np.zeros(len(tau_m)) if bias is None else bias,
        alpha=flow[:, 0].copy(),
        beta=flow[:, 1].copy(),
        rho=np.exp(-dt / tau_b),
        gamma=flow[:, 2].copy(),
        gamma_m=slopes[:, 0].copy(),
        gamma_s=slopes[:, 1].copy(),
        whole=tau_m * -np.expm1(-dt / tau_m),
        charge=tau_s * -np.expm1(-dt / tau_s) - tau_m * flow[:, 2],
        layer=np.repeat(np.arange(1, len(layers) + 1), sizes).astype(np.int64),
        first=np.concatenate([[0], np.cumsum(sizes)]).astype(np.int64),
        reads=not layers[-1].spiking,
        refractory=bool(n_ref.any()),
    )


def _wires(
    connections: Sequence[GridConnection], layers: Sequence[Layer], cells: Cells
) -> tuple[Wires, list[slice]]:
    """The connections in order of their source layer, and where each one's weights lie."""
    order = sorted(range(len(connections)), key=lambda at: connections[at].pre)
    places = [slice(0, 0)] * len(connections)
    weights, delays = [np.zeros(0)], [np.zeros(0, np.int64)]
    offset = 0
    for at in order:
        c = connections[at]
        places[at] = slice(offset, offset + c.weight.size)
        offset += c.weight.size
        weights.append(np.asarray(c.weight, np.float64).reshape(-1))
        delays.append(np.broadcast_to(np.asarray(c.delay, np.int64), c.weight.shape).reshape(-1))
    ordered = [connections[at] for at in order]
    mixed = np.array([np.ndim(c.delay) > 0 for c in ordered], np.bool_)
    pre = np.array([c.pre for c in ordered], np.int64)
    wires = Wires(
        start=np.searchsorted(pre, np.arange(len(layers) + 2)).astype(np.int64),
        place=np.array([places[at].start for at in order], np.int64),
        post=np.array([cells.first[c.post - 1] for c in ordered], np.int64),
        width=np.array([c.weight.shape[1] for c in ordered], np.int64),
        late=np.array([c.latency + (0 if np.ndim(c.delay) else int(c.delay)) for c in ordered], np.int64),
        mixed=mixed,
        even=np.zeros(len(ordered), np.bool_),
        moves=np.array([c.moves for c in ordered], np.bool_),
        weights=np.concatenate(weights),
        delays=np.concatenate(delays),
        depth=0,
    )
    ordered_places = tuple(places[at] for at in order)
    depth = _depth(wires, wires.delays, ordered_places)
    return wires._replace(depth=depth, even=_even(cells, wires)), places


def _even(cells: Cells, wires: Wires) -> NDArray[np.bool_]:
    """(connections,) True where all targets have the same time constants."""
    found = []
    for to, width in zip(wires.post, wires.width, strict=True):
        mine = slice(int(to), int(to + width))
        found.append(bool(np.ptp(cells.tau_m[mine]) == 0 and np.ptp(cells.tau_s[mine]) == 0))
    return np.array(found, np.bool_)


def _depth(wires: Wires, delays: Ints, places: Sequence[slice]) -> int:
    """Rows of a ring: one more than the most steps that a spike takes."""
    most = 0
    for c, place in enumerate(sorted(places, key=lambda p: p.start)):
        own = int(delays[place].max(initial=0)) if wires.mixed[c] else 0
        most = max(most, int(wires.late[c]) + own)
    return most + 1
