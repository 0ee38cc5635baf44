"""What one incoming spike adds: the int8 row of its source, dense or as a list of (neuron, weight)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Stage

Ints = NDArray[np.int64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Rows:
    """Synapses of one projection by row.

    row_of: (n_pre,) int32, the row that a source unit adds, −1 for a unit that a pool leaves out.
    dense: (n_rows, n_post) int8, or None where the rows are sparse: row k then holds
    ``weight[start[k]:start[k+1]]`` (int8) for the neurons ``index[...]`` (int32, ascending).
    """

    row_of: NDArray[np.int32]
    n_rows: int
    dense: NDArray[np.int8] | None = None
    start: Ints | None = None
    index: NDArray[np.int32] | None = None
    weight: NDArray[np.int8] | None = None

    def nonzero(self) -> NDArray[np.int32]:
        """Number of nonzero weights of each row, (n_rows,)."""
        if self.dense is not None:
            return np.asarray(np.count_nonzero(self.dense, axis=1), np.int32)
        if self.start is None or self.weight is None:
            return np.zeros(self.n_rows, np.int32)
        total = np.concatenate([[0], np.cumsum(self.weight != 0)])
        return np.asarray(total[self.start[1:]] - total[self.start[:-1]], np.int32)

    def fan(self, edges: Ints) -> NDArray[np.int32]:
        """Stored entries of each sparse row in each slice of neurons, (n_rows, n_slices).

        edges: (n_slices+1,) first neuron of each slice and the end.
        """
        if self.start is None or self.index is None:
            return np.zeros((0, len(edges) - 1), np.int32)
        row = np.repeat(np.arange(self.n_rows), np.diff(self.start))
        part = np.searchsorted(edges, self.index, side="right") - 1
        result = np.zeros((self.n_rows, len(edges) - 1), np.int32)
        np.add.at(result, (row, part), 1)
        return result


def dense_rows(q: Ints, row_of: NDArray[np.int32]) -> Rows:
    """Rows of a Linear or Affine; q: (n_post, n_rows)."""
    return Rows(row_of=row_of, n_rows=q.shape[1], dense=np.ascontiguousarray(q.T.astype(np.int8)))


def identity_rows(row_of: NDArray[np.int32], n: int, q: int) -> Rows:
    """Row k adds ``q`` to neuron k: a pool that ends in the neurons."""
    return Rows(
        row_of=row_of,
        n_rows=n,
        start=np.arange(n + 1, dtype=np.int64),
        index=np.arange(n, dtype=np.int32),
        weight=np.full(n, q, dtype=np.int8),
    )


def conv_rows(q: Ints, in_shape: Sequence[int], stride: int, padding: int, row_of: NDArray[np.int32]) -> Rows:
    """Rows of a Conv2d: y[o,p] = Σ_c Σ_k q[o,c,k]·x[c, p·stride + k − padding], zero outside.

    q: (O, I, kh, kw); in_shape: (I, H, W). Every kernel entry that a source unit meets is stored,
    zeros included.
    """
    n_out, _, kh, kw = q.shape
    c, h, w = (int(n) for n in in_shape)
    out_h, out_w = (h + 2 * padding - kh) // stride + 1, (w + 2 * padding - kw) // stride + 1
    y, x, dy, dx = np.ix_(np.arange(out_h), np.arange(out_w), np.arange(kh), np.arange(kw))
    iy, ix = y * stride + dy - padding, x * stride + dx - padding
    inside = (iy >= 0) & (iy < h) & (ix >= 0) & (ix < w)
    full = np.broadcast_to
    place = full(y * out_w + x, inside.shape)[inside]
    source = full(iy * w + ix, inside.shape)[inside]
    tap = full(dy * kw + dx, inside.shape)[inside]
    o, ch, k = np.ix_(np.arange(n_out), np.arange(c), np.arange(len(place)))
    shape = (n_out, c, len(place))
    post = full(o * out_h * out_w + place[k], shape).reshape(-1)
    pre = full(ch * h * w + source[k], shape).reshape(-1)
    weight = q.reshape(n_out, c, kh * kw)[o, ch, tap[k]].reshape(-1)
    order = np.lexsort((post, pre))
    return Rows(
        row_of=row_of,
        n_rows=c * h * w,
        start=np.searchsorted(pre[order], np.arange(c * h * w + 1)).astype(np.int64),
        index=post[order].astype(np.int32),
        weight=weight[order].astype(np.int8),
    )


def pooled(stages: Sequence[Stage], n_source: int) -> tuple[NDArray[np.int32], float]:
    """Row of every source unit behind Flatten and pools, and the gain of averaging (1/k² each).

    A SumPool2d of k×k with stride k sums the spikes of its window in the same tick; units of an
    incomplete window are left out (−1).
    """
    row = np.arange(n_source, dtype=np.int32)
    gain = 1.0
    for stage in stages:
        if not isinstance(stage.node, nir.SumPool2d | nir.AvgPool2d):
            continue
        k = int(np.atleast_1d(stage.node.kernel_size)[0])
        c, h, w = (int(n) for n in stage.in_shape)
        out_h, out_w = h // k, w // k
        channel, y, x = np.unravel_index(np.arange(c * h * w), (c, h, w))
        inside = (y // k < out_h) & (x // k < out_w)
        onto = np.where(inside, (channel * out_h + y // k) * out_w + x // k, -1).astype(np.int32)
        row = np.where(row >= 0, onto[row], -1).astype(np.int32)
        if isinstance(stage.node, nir.AvgPool2d):
            gain /= k * k
    return row, gain
