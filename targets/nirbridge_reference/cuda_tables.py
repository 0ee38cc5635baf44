"""A lowered network as the CUDA kernel reads it, and the memory that a sample takes on the device."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge_reference.lower import DENSE, FEW, KINDS, SPARSE, Lowered

Ints = NDArray[np.int64]
VALUES = tuple(KINDS[kind] for kind in ("output", "i", "li", "cubali", "delay"))  # they send numbers
# A barrier and the two loads behind it, in elements that a thread adds without waiting: what a sparse row
# costs beside its own length. It decides how a step is summed, never to what.
ROW_COST = 16
WIDE_ROW = 512  # from this mean length on, rows are always worth their barrier and are not stored twice


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Tables:
    """What the kernel reads beside `Lowered`.

    ops (n, 11): the columns of `Lowered.ops`, then the offset of a sparse matrix into ``into_start`` (−1:
    not stored by target) and how many sources may have sent for it to be added row by row.
    pops (n, 8): the columns of `Lowered.pops`, then a delay's length of the ring in steps or an input's
    number, and whether what is sent is listed. into_start, into_source, into_weight: sparse matrices by
    target, sources ascending.
    """

    ops: Ints
    pops: Ints
    into_start: Ints
    into_source: NDArray[np.int32]
    into_weight: NDArray[np.floating]


def tables(low: Lowered, threads: int) -> Tables:
    """The tables for blocks of this many threads. Raises ValueError for operations it does not know."""
    if low.ops.shape[1] != 9 or low.pops.shape[1] != 6 or not np.isin(low.ops[:, 4], range(5)).all():
        raise ValueError("the lowered tables have columns or operations that the CUDA kernel does not know")
    ops = np.concatenate([low.ops, np.full((len(low.ops), 2), -1)], axis=1)
    starts: list[Ints] = [np.zeros(0, np.int64)]
    sources: list[NDArray[np.int32]] = [np.zeros(1, np.int32)]
    weights: list[NDArray[np.floating]] = [np.zeros(1, low.dtype)]
    done: dict[int, int] = {}
    n_starts, n_sources = 0, 1
    sparse = np.isin(ops[:, 4], (SPARSE, FEW))
    for row in ops[sparse]:
        width, offset, size, start = row[2], row[5], row[7], row[8]
        edges = low.sparse_start[start : start + width + 1]
        target = low.sparse_target[edges[0] : edges[-1]]
        source = np.repeat(np.arange(width), np.diff(edges))
        fan_out = len(target) / max(width, 1)
        same = np.any((np.diff(target) == 0) & (np.diff(source) == 0))  # two threads would add to one element
        mine = np.flatnonzero(sparse & (ops[:, 8] == start))
        if not same and fan_out >= WIDE_ROW and np.all(ops[mine, 0] == 0):
            ops[mine, 10] = np.iinfo(np.int64).max
            continue
        if start not in done:
            order = np.argsort(target, kind="stable")
            ends = np.concatenate([[0], np.cumsum(np.bincount(target, minlength=size))])
            done[start] = n_starts
            starts.append(ends + n_sources)
            sources.append(source[order].astype(np.int32))
            weights.append(low.weights[offset + edges[0] + order])
            n_starts, n_sources = n_starts + len(ends), n_sources + len(target)
        ops[mine, 9] = done[start]
        by_target = -(-size // threads) * len(target) / max(size, 1)
        ops[mine, 10] = 0 if same else int(by_target / (ROW_COST + fan_out / threads))
    return Tables(
        ops=ops,
        pops=_populations(low),
        into_start=np.concatenate([*starts, np.zeros(1, np.int64)]),
        into_source=np.concatenate(sources),
        into_weight=np.concatenate(weights),
    )


def _populations(low: Lowered) -> Ints:
    """`Lowered.pops` with rings' lengths or inputs' numbers, and whether a population's list is read."""
    listened = low.ops[(low.ops[:, 0] == 0) & np.isin(low.ops[:, 4], (DENSE, SPARSE, FEW)), 1]
    rows, inputs = [], 0
    for at, (kind, start, size, *_) in enumerate(low.pops):
        extra = 0
        if kind == KINDS["delay"]:
            extra = int(low.delay[start : start + size].max(initial=0)) + 1
        elif kind == KINDS["input"]:
            extra, inputs = inputs, inputs + 1
        rows.append([extra, kind not in VALUES or at in listened])
    return np.concatenate([low.pops, np.array(rows, np.int64).reshape(-1, 2)], axis=1)


def threads_for(low: Lowered) -> int:
    """Threads of a block: one for each neuron of the widest population, in whole warps, 1024 at most."""
    neurons = low.pops[~np.isin(low.pops[:, 0], (KINDS["input"], KINDS["output"])), 2]
    return int(min(max(-(-int(neurons.max(initial=1)) // 32) * 32, 32), 1024))


def room(low: Lowered) -> dict[str, tuple[int, np.dtype[np.generic]]]:
    """Elements and type of each array that one sample needs to work in, in the kernel's order."""
    states, dtype = low.parameters.shape[1], np.dtype(low.dtype)
    whole = np.dtype(np.int32)
    return {
        "v": (states, dtype),
        "current": (states, dtype),
        "buffer": (len(low.bias), dtype),
        "sent": (2 * states, dtype),
        "unit": (2 * states, whole),
        "value": (2 * states, dtype),
        "count": (2 * len(low.pops), whole),
        "ring": (low.ring_size, dtype),
    }


def bytes_per_sample(
    low: Lowered, n_steps: int, events: int, columns: int, outputs: int, capacity: int
) -> int:
    """Device memory of one sample: room to work in, events, traces, outputs, tape and counts."""
    work = sum(n * dtype.itemsize for n, dtype in room(low).values())
    number = np.dtype(low.dtype).itemsize
    return (
        work
        + 8 * (n_steps + 1) * int(np.sum(low.pops[:, 0] == KINDS["input"]))
        + events * (4 + number)
        + n_steps * (columns + outputs) * number
        + 16 * capacity
        + 24 * len(low.pops)
        + 8
    )
