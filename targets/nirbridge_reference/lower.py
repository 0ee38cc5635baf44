"""A `Network` as the tables that the compiled loop reads: operations, populations, weights."""

from __future__ import annotations

from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.network import Network, Source, operator

Ints = NDArray[np.int64]

# Columns of `Lowered.ops`: source kind (0 population, 1 buffer), source index or offset, source size,
# delay, matrix (0 identity, 1 weights, 2 threshold), weight offset, target offset, target size.
OP_COLUMNS = 8
# Columns of `Lowered.pops`: kind, state offset, size, first op, end of ops, ring offset.
POP_COLUMNS = 6
KINDS = {"input": 0, "output": 1, "i": 2, "li": 3, "if": 4, "lif": 5, "cubali": 6, "cubalif": 7, "delay": 8}


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lowered:
    """ops (n, 8) and pops (n, 6) int64 tables; weights flat, each matrix stored (n_pre, n_post);
    bias: what every buffer element starts from in each step; parameters (9, states): a_m, b_m, leak, a_s,
    b_s, threshold, v_reset, v_start, i_start; delay (states,) steps; fan_out: stored synapses per
    (op, source unit), for synop counts; flags: see `flags_of`.
    """

    network: Network
    ops: Ints
    pops: Ints
    weights: NDArray[np.floating]
    bias: NDArray[np.floating]
    parameters: NDArray[np.floating]
    delay: Ints
    ring_size: int
    flags: Ints
    dtype: np.dtype[np.floating]
    n_weights: int


def flags_of(network: Network) -> Ints:
    """The semantics as small integers: order, syn_input, compare ≥, subtract, multi_spike, floor,
    subtract removes θ−v_reset (profile genn)."""
    s = network.semantics
    return np.array(
        [
            ("current-first", "voltage-first", "exact").index(s.order),
            s.syn_input == "before",
            s.compare == ">=",
            s.reset == "subtract",
            s.multi_spike,
            (None, "zero", "minus-threshold").index(s.floor),
            s.profile == "genn",
        ],
        dtype=np.int64,
    )


def lower(network: Network) -> Lowered:
    """Lower a network; raises `Unsupported` for pass-through nodes without an operator."""
    double = network.semantics.arithmetic == "float64"
    dtype: np.dtype[np.floating] = np.dtype(np.float64) if double else np.dtype(np.float32)
    offsets = np.concatenate([[0], np.cumsum([p.size for p in network.populations])]).astype(np.int64)
    total = int(offsets[-1])
    ops: list[list[int]] = []
    pops: list[list[int]] = []
    weights: list[NDArray[np.float64]] = []
    bias: dict[int, NDArray[np.float64]] = {}
    stored: dict[str, int] = {}
    n_weights = 0
    ring = 0
    buffers = total
    for at, (p, drive) in enumerate(zip(network.populations, network.drives, strict=True)):
        first = len(ops)
        place: list[tuple[int, int]] = []
        for stage in drive.stages:
            threshold = isinstance(stage.node, nir.Threshold)
            matrix: NDArray[np.float64] | None
            b: NDArray[np.float64] | None = None
            if isinstance(stage.node, nir.Threshold):
                size = int(np.prod(stage.in_shape))
                theta = np.asarray(stage.node.threshold, np.float64)
                matrix = np.broadcast_to(theta, stage.in_shape).reshape(-1)
            else:
                op = operator(stage.node, stage.name, stage.in_shape)
                matrix, b = op.matrix, op.bias
                size = int(np.prod(op.out_shape))
            offset = -1
            if matrix is not None:
                if stage.name not in stored:
                    stored[stage.name] = n_weights
                    weights.append(np.ascontiguousarray(matrix.T).reshape(-1))
                    n_weights += matrix.size
                offset = stored[stage.name]
            if threshold and len(stage.inputs) > 1:
                raise Unsupported(
                    f"Threshold '{stage.name}' sums several sources, which is not supported yet", code="NB202"
                )
            if b is not None:
                bias[buffers] = b
            kind = 2 if threshold else (0 if matrix is None else 1)
            for item in stage.inputs:
                ops.append([*_source(item, place, network, offsets), kind, offset, buffers, size])
            place.append((buffers, size))
            buffers += size
        for item in drive.inputs:
            ops.append([*_source(item, place, network, offsets), 0, -1, int(offsets[at]), p.size])
        pops.append([KINDS[p.kind], int(offsets[at]), p.size, first, len(ops), ring])
        if p.kind == "delay":
            ring += (int(p.delay_steps.max(initial=0)) + 1) * p.size
    full_bias = np.zeros(buffers, dtype)
    for offset, values in bias.items():
        full_bias[offset : offset + len(values)] = values
    names = ("a_m", "b_m", "leak", "a_s", "b_s", "threshold", "v_reset", "v_start", "i_start")
    parameters = np.stack(
        [np.concatenate([getattr(p, name) for p in network.populations]).astype(dtype) for name in names]
    )
    delay = np.concatenate(
        [p.delay_steps if p.kind == "delay" else np.zeros(p.size, np.int64) for p in network.populations]
    )
    return Lowered(
        network=network,
        ops=np.array(ops, dtype=np.int64).reshape(-1, OP_COLUMNS),
        pops=np.array(pops, dtype=np.int64).reshape(-1, POP_COLUMNS),
        weights=np.concatenate([*weights, np.zeros(1)]).astype(dtype),
        bias=full_bias,
        parameters=np.ascontiguousarray(parameters),
        delay=delay,
        ring_size=max(ring, 1),
        flags=flags_of(network),
        dtype=dtype,
        n_weights=n_weights,
    )


def _source(item: Source | int, place: list[tuple[int, int]], network: Network, offsets: Ints) -> list[int]:
    if isinstance(item, Source):
        return [0, item.population, network.populations[item.population].size, item.delay]
    return [1, place[item][0], place[item][1], 0]
