"""The order of work of the compiled loop: the operations of `lower`, without detours.

A stage whose sum is read once, by the sum of its population, needs no buffer: the first one adds straight
to the population's, which then starts from the stage's bias; a later one is summed apart. Every float is
added in the order of the tables that it comes from, so no bit changes.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge_reference.arrivals import ADD, APART, BEGIN, BUFFER, DENSE, EVENTS, LISTED, THRESHOLD, VALUES
from nirbridge_reference.gather import AHEAD
from nirbridge_reference.lower import OP_COLUMNS, Ints, Lowered

# Columns of `Schedule.ops`: those of `Lowered.ops`, with the source kinds of `arrivals`, then the mode, the
# buffer of a sum apart, the offset of sums made ahead or −1.
COLUMNS = OP_COLUMNS + 3
SOURCE, MATRIX, TARGET = 0, 4, 6
INPUT, SPIKING, DELAY = 0, (4, 5, 7), 8


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Schedule:
    """ops (n, 12) and pops (n, 6) int64, the last column of an input its number; bias (2, buffers): row 0
    for step 0; zero (populations,): nothing but sources arrives there; alike (populations,): its neurons
    have the same coefficients and are updated current-first; work_size: the widest source."""

    ops: Ints
    pops: Ints
    bias: NDArray[np.floating]
    zero: NDArray[np.bool_]
    alike: NDArray[np.bool_]
    work_size: int
    ahead_size: int


def schedule(low: Lowered) -> Schedule:
    """Plan the steps of a lowered graph."""
    bias = np.stack([low.first_bias, low.bias])
    pops = low.pops.copy()
    ops: list[list[int]] = []
    ahead = 0
    for at, pop in enumerate(low.pops):
        first = len(ops)
        planned, moved = _plan(low.ops[pop[3] : pop[4]], int(pop[1]), int(pop[2]), bias)
        for to, size, origin in moved:
            bias[:, to : to + size] = bias[:, origin : origin + size]
        for op in planned:
            kind = pops[op[1], 0] if op[SOURCE] == LISTED else -1
            spot = -1
            if kind == INPUT:
                op[SOURCE] = EVENTS
                if op[MATRIX] == DENSE and op[3] == 0 and op[9] != ADD:
                    spot, ahead = ahead, ahead + AHEAD * op[7]
            elif kind >= 0 and kind not in SPIKING and kind != DELAY:
                op[SOURCE] = VALUES
            ops.append([*op, spot])
        pops[at, 3:5] = first, len(ops)
    inputs = np.flatnonzero(pops[:, 0] == INPUT)
    table = np.array(ops, dtype=np.int64).reshape(-1, COLUMNS)
    number = np.zeros(len(pops), np.int64)
    number[inputs] = np.arange(len(inputs))
    events = table[:, SOURCE] == EVENTS
    table[events, 1] = number[table[events, 1]]
    pops[inputs, 5] = number[inputs]
    zero = np.array([not np.any(bias[:, p[1] : p[1] + p[2]]) for p in pops], np.bool_)
    return Schedule(
        ops=table,
        pops=pops,
        bias=bias,
        zero=zero,
        alike=np.array([_alike(low, int(p[1]), int(p[2])) for p in pops], np.bool_),
        work_size=int(table[:, 2].max(initial=0)) + 1,
        ahead_size=ahead,
    )


def _plan(
    table: Ints, start: int, size: int, bias: NDArray[np.floating]
) -> tuple[list[list[int]], list[tuple[int, int, int]]]:
    """Operations of one population, and biases that move: (new offset, size, old offset)."""
    rows = [[int(x) for x in row] for row in table]
    sums = [row for row in rows if row[TARGET] == start]
    stages: dict[int, list[list[int]]] = {}
    for row in rows:
        if row[TARGET] != start:
            stages.setdefault(row[TARGET], []).append(row)
    reads = [row[1] for row in rows if row[SOURCE] == BUFFER]
    result: list[list[int]] = []
    moved: list[tuple[int, int, int]] = []
    inline: dict[int, int] = {}  # stage's buffer: its place among the sums
    for k, row in enumerate(sums):
        buffer = row[1]
        if row[SOURCE] != BUFFER or reads.count(buffer) > 1:
            continue
        own = stages[buffer]
        linear = all(op[MATRIX] != THRESHOLD for op in own)
        alone = len(own) == 1 and not np.any(bias[:, buffer : buffer + size])
        if linear and (k == 0 or alone):
            inline[buffer] = k
    for buffer, own in stages.items():
        if buffer not in inline:
            result += [[*op, BEGIN if k == 0 else ADD, -1] for k, op in enumerate(own)]
    for k, row in enumerate(sums):
        mode = BEGIN if k == 0 else ADD
        if row[SOURCE] != BUFFER or row[1] not in inline:
            result.append([*row, mode, -1])
        elif k == 0:
            moved.append((start, size, row[1]))
            for j, op in enumerate(stages[row[1]]):
                result.append([*op[:TARGET], start, *op[TARGET + 1 :], BEGIN if j == 0 else ADD, -1])
        else:
            (op,) = stages[row[1]]
            result.append([*op[:TARGET], start, *op[TARGET + 1 :], APART, row[1]])
    return result, moved


def _alike(low: Lowered, start: int, size: int) -> bool:
    """Whether one number says each coefficient of a step; the order is current-first, `syn_input` after."""
    if low.flags[0] or low.flags[1] or not size:
        return False
    rows = low.parameters[:6, start : start + size]
    return bool(np.all(rows == rows[:, :1]))
