"""A graph's network as flat trainable parameters for the general grid engine, and back into a graph.

The flat parameters are the weights of all connections as in the graph, (n_pre, n_post) row by row, and after
them those of the `parts` that are trained besides.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Network, Population
from nirbridge_eventprop.exact.network import Layer
from nirbridge_eventprop.grid.arcs import Arc, arcs_of, biases_of, layers_of
from nirbridge_eventprop.grid.network import GridConnection, GridNetwork, grid_network
from nirbridge_eventprop.grid.parts import NEURON, TAUS, Part, Rates, clamp, parts_of
from nirbridge_eventprop.grid.sums import ROWS
from nirbridge_eventprop.stack import NEVER, Placed, Stack, kappa_at
from nirbridge_eventprop.structure import check_semantics

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan(Stack):
    """What the training asks of a stack, without padding, for any layers and connections.

    weights: the flat parameters at the start. nodes: where those of weight nodes lie, parts: the others.
    arcs: the connections. scale (weights of connections,): jump of I for a weight of 1. grids: by mode.
    biases: node, layer and bias of every Affine. Only the rows for θ and scale of ``par`` are filled;
    gradients come ready, so gradient_factor is 1.
    """

    arcs: tuple[Arc, ...]
    parts: tuple[Part, ...]
    scale: Floats
    grids: dict[str, GridNetwork]
    biases: tuple[tuple[str, int, Floats], ...]
    rates: Rates

    @property
    def n_inputs(self) -> int:
        return self.grids["step"].n_inputs

    @property
    def n_outputs(self) -> int:
        return self.grids["step"].n_outputs

    @property
    def hidden_neurons(self) -> int:
        return self.grids["step"].n_hidden

    @property
    def n_weights(self) -> int:
        return len(self.scale)

    @property
    def sensitive(self) -> bool:
        """Whether gradients by time constants or leak are wanted, which ask the engines to keep more."""
        return any(part.kind in (*TAUS, "v_leak") for part in self.parts)

    def grid(self, mode: str, flat: Floats) -> GridNetwork:
        """The network with these parameters."""
        start = self.grids[mode]
        layers, bias = list(start.layers), self._bias(flat)
        wires = start.wires
        delays: NDArray[np.int64] | None = None
        for part in self.parts:
            if part.kind in NEURON:
                layers[part.layer - 1] = _with(layers[part.layer - 1], part.kind, part.values(flat))
            elif part.kind == "delay":
                delays = wires.delays.copy() if delays is None else delays
                place = next(p for p in self.nodes if p.name == part.name)
                arc = next(a for a in self.arcs if a.name == part.name)
                steps = np.rint(flat[part.here]).astype(np.int64).reshape(arc.weight.shape) + arc.lag
                delays[place.offset : place.offset + steps.size] = steps.reshape(-1)
        moved = any(part.kind in NEURON for part in self.parts)
        return start.changed(
            weights=flat[: self.n_weights] * self.scale,
            delays=delays,
            layers=layers if moved else None,
            bias=bias,
        )

    def gradient(self, grid: GridNetwork, weight: Floats, delay: Floats, cell: Floats, to: Floats) -> None:
        """The engine's sums of a batch or shard as ∂/∂(flat parameters), into ``to``."""
        to[:] = 0.0
        for place, c in zip(self.nodes, grid.connections, strict=True):
            here = slice(place.offset, place.offset + place.rows * place.width)
            tau = np.tile(grid.cells.tau_s[grid.slices[c.post - 1]], place.rows)
            to[here] = -tau * self.scale[here] * weight[here]
        for part in self.parts:
            where = grid.slices[part.layer - 1]
            if part.kind == "bias":
                to[part.here] = self.neuron_scale(part.layer) * cell[8, where]
            elif part.kind in NEURON:
                row, values = ROWS.index(part.kind), getattr(grid.layers[part.layer - 1], part.kind)
                to[part.here] = part.slope(values, cell[row, where])
            else:
                place = next(p for p in self.nodes if p.name == part.name)
                to[part.here] = delay[place.offset : place.offset + place.rows * place.width] * grid.dt

    def clamp(self, flat: NDArray[np.floating]) -> None:
        """Parameters back into their range (see `parts.clamp`)."""
        start = self.grids["step"]
        clamp(self.parts, flat, start.layers, start.dt, self.rates.max_delay)

    def neuron_scale(self, layer: int) -> Floats:
        first = int(self.sizes[layer - 1, 0])
        return np.asarray(self.par[11, first : first + int(self.sizes[layer - 1, 2])])

    def _bias(self, flat: Floats) -> Floats:
        """Jump of I at the start of every step, (neurons,)."""
        total = np.zeros(self.par.shape[1])
        trained = {part.name: flat[part.here] for part in self.parts if part.kind == "bias"}
        for name, layer, values in self.biases:
            first = int(self.sizes[layer - 1, 0])
            now = trained.get(name, values)
            total[first : first + len(now)] += self.neuron_scale(layer) * now
        return total


def plan_of(network: Network, rates: Rates) -> Plan:
    """The plan of a network built with its folded delays kept; raises `Unsupported` by node name."""
    check_semantics(network)
    layers = layers_of(network)
    arcs = arcs_of(network, layers)
    biases = biases_of(network, layers)
    populations = [network.populations[at] for at in layers]
    scales = [scale_of(p, network) for p in populations]
    neurons = [_layer(p, network) for p in populations]
    n_inputs = network.populations[network.of_kind("input")[0]].size
    grids = {
        mode: grid_network(
            n_inputs,
            neurons,
            [_connection(arc, scales[arc.post - 1], mode, bool(rates.delay)) for arc in arcs],
            network.semantics.dt,
        )
        for mode in ("step", "substep")
    }
    blocks = [arc.weight.reshape(-1) for arc in arcs]
    scale = np.concatenate([np.tile(scales[arc.post - 1], len(arc.weight)) for arc in arcs])
    places = grids["step"].places
    nodes = tuple(
        Placed(
            name=arc.name,
            offset=place.start,
            rows=arc.weight.shape[0],
            columns=arc.weight.shape[1],
            width=arc.weight.shape[1],
            target=arc.post - 1,
        )
        for arc, place in zip(arcs, places, strict=True)
    )
    parts, starts = parts_of(rates, arcs, biases, populations, neurons, len(scale))
    sizes, line = _sizes(populations, arcs, nodes)
    par = np.zeros((12, int(sizes[:, 2].sum())))
    par[5] = NEVER
    par[11] = np.concatenate(scales)
    hidden = grids["step"].n_hidden
    par[5, :hidden] = grids["step"].cells.theta[:hidden]
    per_part = [np.full(part.here.stop - part.here.start, part.rate) for part in parts]
    ones = [np.ones(len(values)) for values in starts]
    return Plan(
        network=network,
        layers=tuple(layers),
        arcs=tuple(arcs),
        weights=np.concatenate([*blocks, *starts]),
        nodes=nodes,
        parts=parts,
        scale=scale,
        grids=grids,
        biases=tuple(biases),
        sizes=sizes,
        par=par,
        gradient_factor=np.concatenate([np.ones(len(scale)), *ones]),
        rate_factor=np.concatenate([1.0 / scale, *per_part]),
        line=line,
        a_mean=np.zeros(len(scales[-1])),
        c_mean=np.zeros(len(scales[-1])),
        loop_at=0,
        rates=rates,
    )


def _connection(arc: Arc, scale: Floats, mode: str, moves: bool) -> GridConnection:
    delay: Any = arc.lag if arc.own is None else arc.own + arc.lag
    if np.ndim(delay):
        delay = np.broadcast_to(delay, arc.weight.shape)
    return GridConnection(
        pre=arc.pre,
        post=arc.post,
        weight=arc.weight * scale,
        latency=arc.latency if mode == "step" else 0,
        delay=delay,
        moves=moves and arc.own is not None,
    )


def _sizes(
    populations: Sequence[Population], arcs: Sequence[Arc], nodes: Sequence[Placed]
) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
    """`Stack.sizes` and `Stack.line`: a layer's weights from below are those of its lowest source."""
    sizes = np.zeros((len(populations), 7), np.int64)
    offset = 0
    line = np.zeros(1, np.int64)
    for number, p in enumerate(populations, start=1):
        mine = [(arc, place) for arc, place in zip(arcs, nodes, strict=True) if arc.post == number]
        below = [(arc, place) for arc, place in mine if arc.pre == mine[0][0].pre]
        rows = sum(place.rows for _, place in below)
        sizes[number - 1] = [offset, p.size, p.size, below[0][1].offset, rows, -1, 0]
        if number == 1:
            line = np.zeros(len(below), np.int64)
        offset += p.size
    return sizes, line


def scale_of(p: Population, network: Network) -> Floats:
    """Jump of EventProp's I for a weight of 1, (n,): b_s·b_m/κ(dt)."""
    tau_m, tau_s = _taus(p, network)
    return np.asarray(p.b_s * p.b_m / kappa_at(network.semantics.dt, tau_m, tau_s))


def _taus(p: Population, network: Network) -> tuple[Floats, Floats]:
    node: Any = p.node
    unit = network.semantics.time_unit
    return _full(node.tau_mem, p.size) * unit, _full(node.tau_syn, p.size) * unit


def _full(value: Any, n: int) -> Floats:
    return np.array(np.broadcast_to(np.asarray(value, np.float64).reshape(-1), (n,)))


def _layer(p: Population, network: Network) -> Layer:
    node: Any = p.node
    tau_m, tau_s = _taus(p, network)
    theta = p.threshold if p.spiking else np.ones(p.size)
    if p.spiking and network.semantics.compare == ">":
        theta = np.nextafter(theta, np.inf)
    return Layer(
        spiking=p.spiking,
        tau_mem=tau_m,
        tau_syn=tau_s,
        v_th=np.array(theta),
        v_reset=np.array(p.v_reset),
        v_leak=_full(node.v_leak, p.size),
        t_ref=np.zeros(p.size),
        alif_b=np.zeros(p.size),
        alif_tau=np.ones(p.size),
    )


def _with(layer: Layer, name: str, values: Floats) -> Layer:
    changed: dict[str, Any] = {name: np.array(values)}
    return replace(layer, **changed)
