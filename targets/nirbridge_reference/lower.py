"""A `Network` as the tables that the compiled loop reads: operations, populations, weights."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, field
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Network, Operator, Population, Source, Sparse, Stage, operator
from nirbridge_reference.profiles import OWN_RULE, WHOLE_NUMBERS, read_drive

Ints = NDArray[np.int64]

# Columns of `Lowered.ops`: source kind (0 population, 1 buffer), source index or offset, source size, delay,
# matrix (0 identity, 1 dense, 2 threshold, 3 sparse, 4 sparse but zeros count as synapses), weight offset,
# target offset, target size, offset into the sparse starts.
OP_COLUMNS = 9
ROW = 16  # a dense matrix begins at a multiple of so many weights: at a line of the cache
IDENTITY, DENSE, THRESHOLD, SPARSE, FEW = range(5)
# A dense matrix of at least so many entries is read as a sparse one where at most this share is not zero:
# from there on it was faster whatever the number of events (1.2 to 17 times, at 1024 to 4096 units a side).
FEW_FROM = ((1 << 20, 0.05), (1 << 22, 0.10))
# Columns of `Lowered.pops`: kind, state offset, size, first op, end of ops, ring offset.
POP_COLUMNS = 6
KINDS = {"input": 0, "output": 1, "i": 2, "li": 3, "if": 4, "lif": 5, "cubali": 6, "cubalif": 7, "delay": 8}
PARAMETERS = ("a_m", "b_m", "leak", "a_s", "b_s", "threshold", "v_reset", "v_start", "i_start", "aux")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Lowered:
    """The tables of one network.

    ops (n, 9) and pops (n, 6) int64; weights flat: a dense matrix is stored (n_pre, n_post), a sparse one,
    or a large dense one with few weights (`FEW_FROM`), by source with its targets in ``sparse_target`` at the
    same offset and its starts in ``sparse_start``; bias: what every buffer element starts from in each step,
    first_bias in step 0; parameters (10, states) in the order of `PARAMETERS`; delay (states,) steps; flags:
    see `flags_of`.
    """

    network: Network
    ops: Ints
    pops: Ints
    weights: NDArray[np.floating]
    sparse_start: Ints
    sparse_target: NDArray[np.uint16 | np.int32]
    bias: NDArray[np.floating]
    first_bias: NDArray[np.floating]
    parameters: NDArray[np.floating]
    delay: Ints
    ring_size: int
    flags: Ints
    dtype: np.dtype[np.floating]


def flags_of(network: Network) -> Ints:
    """The semantics as small integers: order, syn_input, compare ≥, subtract, multi_spike, floor,
    subtract removes θ−v_reset (profile genn), the profile's own rule or 0, reset at the next step, spikes
    sent before the update."""
    s = network.semantics
    return np.array(
        [
            ("current-first", "voltage-first", "exact").index(s.order),
            s.syn_input == "before",
            s.compare == ">=",
            s.reset == "subtract",
            s.multi_spike,
            3 if s.profile == "sinabs" else (None, "zero", "minus-threshold").index(s.floor),
            s.profile == "genn",
            OWN_RULE.get(s.profile, 0),
            s.reset_at == "next-step",
            s.emit == "before-update",
        ],
        dtype=np.int64,
    )


@dataclass(slots=True)
class _Tables:
    """What grows while the network is walked: operations, stored matrices, buffers."""

    ops: list[list[int]] = field(default_factory=list)
    weights: list[NDArray[np.floating]] = field(default_factory=list)
    targets: list[NDArray[np.integer]] = field(default_factory=list)
    starts: list[Ints] = field(default_factory=list)
    bias: dict[int, NDArray[np.float64]] = field(default_factory=dict)
    absent: set[int] = field(default_factory=set)
    below: dict[int, int] = field(default_factory=dict)  # (offset: size) below any threshold in step 0
    stored: dict[str, tuple[int, int, int]] = field(default_factory=dict)
    n_weights: int = 0
    n_targets: int = 0
    n_starts: int = 0
    buffers: int = 0
    dense: bool = False

    def store(self, name: str, matrix: NDArray[np.float64] | Sparse | None) -> tuple[int, int, int]:
        """(matrix kind, weight offset, start offset) of a node's matrix, stored once."""
        if matrix is None:
            return IDENTITY, -1, -1
        if name in self.stored:
            return self.stored[name]
        kind = SPARSE
        if not isinstance(matrix, Sparse) and _has_few(matrix):
            kind, matrix = FEW, _compressed(matrix)
        if isinstance(matrix, Sparse):
            # a start says where in the flat targets; the weights lie n_weights − n_targets further on
            self.starts.append(matrix.start + self.n_targets if self.n_targets else matrix.start)
            self.targets.append(matrix.targets)
            self.n_starts += len(matrix.start)
            flat = matrix.values
            self.stored[name] = kind, self.n_weights - self.n_targets, self.n_starts - len(matrix.start)
            self.n_targets += len(flat)
        else:
            if gap := -self.n_weights % ROW:
                self.weights.append(np.zeros(gap))
                self.n_weights += gap
            self.dense = True
            self.stored[name] = DENSE, self.n_weights, -1
            flat = np.ascontiguousarray(matrix.T).reshape(-1)
        self.weights.append(flat)
        self.n_weights += len(flat)
        return self.stored[name]

    def add(self, source: list[int], matrix: tuple[int, int, int], target: int, size: int) -> None:
        """One operation: from a source, through a matrix, into ``size`` elements at ``target``."""
        kind, offset, start = matrix
        self.ops.append([*source, kind, offset, target, size, start])

    def narrow(self) -> np.dtype[Any]:
        """The narrowest type for the targets: they are half of what a sparse network reads."""
        widest = max((int(part.max(initial=0)) for part in self.targets), default=0)
        return np.dtype(np.uint16 if widest < 2**16 else np.int32)

    def room(self, size: int) -> int:
        """Offset of a new buffer of this size."""
        self.buffers += size
        return self.buffers - size


def lower(network: Network) -> Lowered:
    """Lower a network; raises `Unsupported` for pass-through nodes without an operator."""
    profile = network.semantics.profile
    double = network.semantics.arithmetic == "float64" or profile in WHOLE_NUMBERS or profile == "ode"
    dtype: np.dtype[np.floating] = np.dtype(np.float64) if double else np.dtype(np.float32)
    offsets = np.concatenate([[0], np.cumsum([p.size for p in network.populations])]).astype(np.int64)
    tables = _Tables(buffers=int(offsets[-1]))
    pops: list[list[int]] = []
    populations: list[Population] = []
    ring = 0
    for at, drive in enumerate(network.drives):
        first = len(tables.ops)
        read = read_drive(network, at)
        p = read.population
        place: list[tuple[int, int]] = []
        missing: list[bool] = []
        for stage, op in zip(drive.stages, read.operators, strict=True):
            missing.append(_absent(stage, missing, network, p))
            if missing[-1]:
                tables.absent.add(tables.buffers)
            name = f"{stage.name}>{p.name}" if read.changed else stage.name
            place.append(_stage(tables, stage, op, name, place, network, offsets, absent=missing[-1]))
        for item in drive.inputs:
            tables.add(_source(item, place, network, offsets), (IDENTITY, -1, -1), int(offsets[at]), p.size)
        pops.append([KINDS[p.kind], int(offsets[at]), p.size, first, len(tables.ops), ring])
        populations.append(p)
        if p.kind == "delay":
            ring += (int(p.delay_steps.max(initial=0)) + 1) * p.size
    bias = np.zeros(tables.buffers, dtype)
    first_bias = bias.copy()
    for offset, values in tables.bias.items():
        bias[offset : offset + len(values)] = values
        if offset not in tables.absent:
            first_bias[offset : offset + len(values)] = values
    for offset, size in tables.below.items():
        first_bias[offset : offset + size] = -np.inf
    parameters = np.stack(
        [np.concatenate([getattr(p, name) for p in populations]).astype(dtype) for name in PARAMETERS]
    )
    delay = [p.delay_steps if p.kind == "delay" else np.zeros(p.size, np.int64) for p in populations]
    return Lowered(
        network=network,
        ops=np.array(tables.ops, dtype=np.int64).reshape(-1, OP_COLUMNS),
        pops=np.array(pops, dtype=np.int64).reshape(-1, POP_COLUMNS),
        weights=_flat(tables.weights, dtype, at_line=tables.dense),
        sparse_start=_flat(tables.starts, np.dtype(np.int64)),
        sparse_target=_flat(tables.targets, tables.narrow()),
        bias=bias,
        first_bias=first_bias,
        parameters=np.ascontiguousarray(parameters),
        delay=np.concatenate(delay),
        ring_size=max(ring, 1),
        flags=flags_of(network),
        dtype=dtype,
    )


def _has_few(matrix: NDArray[np.float64]) -> bool:
    """Whether a dense matrix is better read by its nonzero weights alone."""
    if matrix.ndim != 2 or matrix.size < FEW_FROM[0][0]:
        return False
    share = np.count_nonzero(matrix) / matrix.size
    return any(matrix.size >= entries and share <= most for entries, most in FEW_FROM)


def _compressed(matrix: NDArray[np.float64]) -> Sparse:
    """The nonzero weights by source, targets ascending: sums keep the order of the dense matrix."""
    by_source = matrix.T
    source, target = np.nonzero(by_source)
    start = np.concatenate([[0], np.cumsum(np.bincount(source, minlength=len(by_source)))])
    return Sparse(start.astype(np.int64), target.astype(np.int32), by_source[source, target], len(matrix))


def _flat(parts: Sequence[NDArray[Any]], dtype: np.dtype[Any], *, at_line: bool = False) -> NDArray[Any]:
    """The parts one after the other, at least one element, or a single part as it is where it fits.

    ``at_line``: from a line of the cache on, whence rows of a matrix are read twice as fast.
    """
    from nirbridge.kernels.vectors import aligned_empty

    if len(parts) == 1 and len(parts[0]) and not at_line:
        return np.ascontiguousarray(parts[0], dtype)
    flat: NDArray[Any] = aligned_empty(max(sum(len(part) for part in parts), 1), dtype)
    flat[:1] = 0  # where there is no part
    at = 0
    for part in parts:
        flat[at : at + len(part)] = part
        at += len(part)
    return flat


def _absent(stage: Stage, missing: list[bool], network: Network, target: Population) -> bool:
    """True where ``delayed="value"`` leaves this stage without any source in step 0 (SEMANTICS.md §1.7)."""
    s = network.semantics
    if s.delayed != "value" or (s.profile == "nengo" and not target.cuba):
        return False
    return all(item.delay > 0 if isinstance(item, Source) else missing[item] for item in stage.inputs)


def _stage(
    tables: _Tables,
    stage: Stage,
    op: Operator | None,
    name: str,
    place: list[tuple[int, int]],
    network: Network,
    offsets: Ints,
    *,
    absent: bool,
) -> tuple[int, int]:
    """Operations of one pass-through node; returns offset and size of the buffer that holds its output.

    absent: it has no source in step 0 and yields nothing there, whatever its threshold.
    """
    sources = [_source(item, place, network, offsets) for item in stage.inputs]
    if isinstance(stage.node, nir.Threshold):
        size = int(np.prod(stage.in_shape))
        if len(sources) > 1 or absent:  # it is not linear: sum first
            summed = tables.room(size)
            if absent:
                tables.below[summed] = size
            for source in sources:
                tables.add(source, (IDENTITY, -1, -1), summed, size)
            sources = [[1, summed, size, 0]]
        theta = np.broadcast_to(np.asarray(stage.node.threshold, np.float64), stage.in_shape).reshape(-1)
        _, offset, _ = tables.store(name, theta)
        buffer = tables.room(size)
        tables.add(sources[0], (THRESHOLD, offset, -1), buffer, size)
        return buffer, size
    op = op or operator(stage.node, stage.name, stage.in_shape)
    size = int(np.prod(op.out_shape))
    matrix = tables.store(name, op.matrix)
    buffer = tables.room(size)
    if op.bias is not None:
        tables.bias[buffer] = op.bias
    for source in sources:
        tables.add(source, matrix, buffer, size)
    return buffer, size


def _source(item: Source | int, place: list[tuple[int, int]], network: Network, offsets: Ints) -> list[int]:
    if isinstance(item, Source):
        return [0, item.population, network.populations[item.population].size, item.delay]
    return [1, place[item][0], place[item][1], 0]
