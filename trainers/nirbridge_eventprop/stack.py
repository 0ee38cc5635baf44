"""A `Network` as a stack of layers in the flat arrays that the kernels read, and back."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph import replace_nodes
from nirbridge.graph.quantization import KEY
from nirbridge.kernels.vectors import LINE, NARROW, WIDE, aligned_empty
from nirbridge.network import Network, Population
from nirbridge_eventprop.structure import check_semantics, incoming, layer_order, refuse

NEVER = 1e30  # threshold of neurons that must not spike; finite, so that comparisons stay ordinary


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placed:
    """Where a weight node's matrix lies in the flat weights: (n_pre, n_post) at ``offset``, padded rows."""

    name: str
    offset: int
    rows: int
    columns: int
    width: int
    target: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stack:
    """sizes, par, weights: see `kernels`. nodes: the weight nodes and where they lie.

    a_mean, c_mean (padded outputs,): the exact step mean of the read-out is
    E + a_mean·(V0 − E) + c_mean·I0 (EVENTPROP.md §3: A/dt and C/dt).
    gradient_factor (weights,): −τ_s·s_post of every weight, 0 for padding. rate_factor: 1/s_post,
    so that a learning rate is in EventProp's own weights.
    line (copies,): steps that each branch of the Input waits, loop_at: how many of them are added before
    what recurs (see `arrivals`).
    """

    network: Network
    layers: tuple[int, ...]
    sizes: NDArray[np.int64]
    par: NDArray[np.floating]
    weights: NDArray[np.floating]
    nodes: tuple[Placed, ...]
    a_mean: NDArray[np.floating]
    c_mean: NDArray[np.floating]
    gradient_factor: NDArray[np.floating]
    rate_factor: NDArray[np.floating]
    line: NDArray[np.int64]
    loop_at: int

    @property
    def n_inputs(self) -> int:
        return int(self.sizes[0, 4]) // len(self.line)

    @property
    def n_outputs(self) -> int:
        return int(self.sizes[-1, 2])

    @property
    def hidden_neurons(self) -> int:
        return int(self.sizes[:-1, 2].sum())


def stack_of(network: Network) -> Stack:
    """The stack that a network is: Input, hidden Linear → CubaLIF layers, a Linear → CubaLI or LI read-out.

    Between the Input and the first layer there may be a delay line: Delay → Linear branches side by side.
    Raises `Unsupported` by node name for everything else, before any training starts.
    """
    check_semantics(network)
    order = layer_order(network)
    dtype = np.dtype(np.float64 if network.semantics.arithmetic == "float64" else np.float32)
    sizes = np.zeros((len(order), 7), np.int64)
    offset = 0
    blocks: list[NDArray[np.float64]] = []
    nodes: list[Placed] = []
    for row, at in enumerate(order):
        p = network.populations[at]
        lanes = NARROW if at == order[-1] else WIDE
        width = -(-p.size // lanes) * lanes
        sizes[row] = [offset, width, p.size, 0, 0, -1, p.kind == "li"]
        offset += width
    states = offset
    used = 0
    line: list[int] = []
    loop_at = 0
    for row, at in enumerate(order):
        forward, recurrent, before = incoming(network, at, None if row == 0 else order[row - 1])
        if row == 0:
            line = [int(network.populations[item.source].delay_steps.max(initial=0)) for item in forward]
            loop_at = before
        for item, column in [*((item, 3) for item in forward), (recurrent, 5)]:
            if item is None or item.weight is None:
                continue
            if any(placed.name == item.name for placed in nodes):
                raise refuse(
                    item.name,
                    f"node '{item.name}' serves two connections, trainer 'eventprop' trains each by itself",
                    "copy it, one node for each connection",
                    "NB202",
                )
            post, pre = item.weight.shape
            width = int(sizes[row, 1])
            block = np.zeros((pre, width))
            block[:, :post] = item.weight.T
            if column == 5 or item is forward[0]:
                sizes[row, column] = used
            if column == 3:
                sizes[row, 4] += pre
            nodes.append(
                Placed(name=str(item.name), offset=used, rows=pre, columns=post, width=width, target=row)
            )
            blocks.append(block.reshape(-1))
            used += block.size
    par = np.zeros((14, states))
    for row, at in enumerate(order):
        _fill(par, int(sizes[row, 0]), int(sizes[row, 1]), network.populations[at], network)
    if network.semantics.compare == ">":
        strict = np.nextafter(par[5].astype(dtype), np.array(np.inf, dtype))
        par[5] = np.where(par[5] < NEVER, strict, par[5])
    par[12] = par[7] / par[8]
    par[13] = par[12] * par[9]
    out, width = int(sizes[-1, 0]), int(sizes[-1, 1])
    dt = network.semantics.dt
    tau_m, tau_s = par[7, out : out + width], par[8, out : out + width]
    direct = bool(sizes[-1, 6])
    mean_v = np.full(width, dt) if direct else tau_m * -np.expm1(-dt / tau_m)
    mean_i = np.zeros(width) if direct else tau_s * -np.expm1(-dt / tau_s) - tau_m * par[9, out : out + width]
    gradient = np.zeros(used)
    rate = np.zeros(used)
    for node in nodes:
        at, width = int(sizes[node.target, 0]), node.width
        scale = par[11, at : at + node.columns]
        view = gradient[node.offset : node.offset + node.rows * width].reshape(node.rows, width)
        tau = par[7 if sizes[node.target, 6] else 8, at : at + node.columns]
        view[:, : node.columns] = -tau * scale
        view = rate[node.offset : node.offset + node.rows * width].reshape(node.rows, width)
        view[:, : node.columns] = 1.0 / scale
    return Stack(
        network=network,
        layers=tuple(order),
        sizes=sizes,
        par=aligned(par.astype(dtype)),
        weights=aligned(np.concatenate(blocks).astype(dtype)),
        nodes=tuple(nodes),
        a_mean=(mean_v / dt).astype(dtype),
        c_mean=(mean_i / dt).astype(dtype),
        gradient_factor=gradient.astype(dtype),
        rate_factor=rate.astype(dtype),
        line=np.array(line, np.int64),
        loop_at=loop_at,
    )


def with_weights(stack: Stack, graph: nir.NIRGraph, weights: NDArray[np.floating]) -> nir.NIRGraph:
    """A copy of the graph with these flat weights; stale quantisation metadata is removed."""
    changed: dict[str, nir.NIRNode] = {}
    for place in stack.nodes:
        node: Any = deepcopy(graph.nodes[place.name])
        block = weights[place.offset : place.offset + place.rows * place.width]
        values = block.reshape(place.rows, place.width)[:, : place.columns].T
        node.weight = np.ascontiguousarray(values.astype(np.asarray(node.weight).dtype))
        node.metadata.pop(KEY, None)
        changed[place.name] = node
    return replace_nodes(graph, changed)


def aligned(values: NDArray[Any]) -> NDArray[Any]:
    """The array, or a copy of it, beginning at a line of the cache: rows are read twice as fast."""
    if values.flags.c_contiguous and values.ctypes.data % LINE == 0:
        return values
    copy: NDArray[Any] = aligned_empty(values.size, values.dtype).reshape(values.shape)
    copy[:] = values
    return copy


def _fill(par: NDArray[np.float64], at: int, width: int, p: Population, network: Network) -> None:
    """Coefficients of one layer; padding decays to nothing and never spikes."""
    n = p.size
    dt, unit = network.semantics.dt, network.semantics.time_unit
    node: Any = p.node

    def array(value: object) -> NDArray[np.float64]:
        full = np.asarray(value, dtype=np.float64).reshape(-1)
        return np.ascontiguousarray(np.broadcast_to(full, (n,)))

    if p.cuba:
        tau_m, tau_s = array(node.tau_mem) * unit, array(node.tau_syn) * unit
        kappa = kappa_at(dt, tau_m, tau_s)
        scale = p.b_s * p.b_m / kappa
    else:  # LI: no current, so nothing of it enters the adjoint
        tau_m = array(node.tau) * unit
        tau_s, kappa, scale = tau_m, np.ones(n), p.b_m
    rows = par[:, at : at + width]
    rows[:] = 0.0
    rows[5] = NEVER
    rows[7] = rows[8] = rows[9] = rows[11] = 1.0
    rows[2] = 0.0
    rows[0, :n], rows[1, :n] = p.a_s, p.b_s
    rows[2, :n], rows[3, :n], rows[4, :n] = p.a_m, p.b_m, p.leak
    if p.spiking:
        rows[5, :n] = p.threshold
    rows[6, :n] = p.v_reset
    rows[7, :n], rows[8, :n], rows[9, :n] = tau_m, tau_s, kappa
    rows[10, :n] = array(node.v_leak)
    rows[11, :n] = scale


def kappa_at(x: float, tau_m: NDArray[np.float64], tau_s: NDArray[np.float64]) -> NDArray[np.float64]:
    """κ(x) = (x/τm)·e^(−x/τm)·φ(h·x), φ(z) = (1−e^(−z))/z, h = 1/τs − 1/τm (EVENTPROP.md §1)."""
    z = x * (1.0 / tau_s - 1.0 / tau_m)
    small = np.abs(z) < 1e-12
    phi = np.where(small, 1.0, -np.expm1(-z) / np.where(small, 1.0, z))
    return np.asarray(x / tau_m * np.exp(-x / tau_m) * phi)
