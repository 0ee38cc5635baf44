"""A convolution as integers: its geometry, and how many synapses each source has on each core.

Lava's fixed-point Conv (LOIHI2.md §1), cross-correlation on (C, H, W) with zero padding:
``y[o,r,q] = Σ_{c,i,j} W[o,c,i,j]·x[g(o)·C/G + c, r·s0 − p0 + i·δ0, q·s1 − p1 + j·δ1]``, wrapped to 24 bit.
"""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Pair = tuple[int, int]
Shape3 = tuple[int, int, int]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """Geometry of a convolution, pairs are (height, width).

    source, target: shapes (C, H, W) and (O, Ho, Wo); kernel, stride, padding, dilation; groups G.
    """

    source: Shape3
    target: Shape3
    kernel: Pair
    stride: Pair = (1, 1)
    padding: Pair = (0, 0)
    dilation: Pair = (1, 1)
    groups: int = 1

    @classmethod
    def over(
        cls,
        source: Shape3,
        weight: NDArray[np.integer],
        *,
        stride: Pair = (1, 1),
        padding: Pair = (0, 0),
        dilation: Pair = (1, 1),
        groups: int = 1,
    ) -> Window:
        """The window of a kernel (O, C/G, kH, kW) over a source (C, H, W).

        Output sizes are ⌊(n + 2p − δ(k−1) − 1)/s⌋ + 1; a ValueError says what does not agree.
        """
        if weight.ndim != 4 or weight.size == 0:
            raise ValueError(f"a kernel of shape {weight.shape}, expected (out, in/groups, height, width)")
        out, per_group, *kernel = weight.shape
        if groups < 1 or out % groups or per_group * groups != source[0]:
            raise ValueError(
                f"a kernel of shape {weight.shape} in {groups} groups over {source[0]} channels; "
                "in/groups must be the channels of a group and groups must divide out"
            )
        if min(stride) < 1 or min(dilation) < 1 or min(padding) < 0:
            raise ValueError(f"stride {stride}, dilation {dilation} or padding {padding} out of range")
        size = [
            (source[a + 1] + 2 * padding[a] - dilation[a] * (kernel[a] - 1) - 1) // stride[a] + 1
            for a in (0, 1)
        ]
        if min(size) < 1:
            raise ValueError(f"a kernel of {kernel[0]}×{kernel[1]} that is larger than its input {source}")
        return cls(
            source=source,
            target=(out, size[0], size[1]),
            kernel=(kernel[0], kernel[1]),
            stride=stride,
            padding=padding,
            dilation=dilation,
            groups=groups,
        )

    @property
    def row(self) -> list[int]:
        """The fifteen numbers that the compiled loop reads, in its order."""
        return [
            *self.source, *self.target, *self.kernel,
            *self.stride, *self.padding, *self.dilation, self.groups,
        ]  # fmt: skip

    def reached(self, axis: int, length: int) -> list[list[Pair]]:
        """For every source index on an axis (0 height, 1 width), pairs (kernel index, target index).

        ``length``: target indices from 0 that count; more than the real ones where a core is filled
        with dummy columns.
        """
        s, p, d = self.stride[axis], self.padding[axis], self.dilation[axis]
        return [
            [
                (k, (at + p - k * d) // s)
                for k in range(self.kernel[axis])
                if (at + p - k * d) % s == 0 and 0 <= (at + p - k * d) // s < length
            ]
            for at in range(self.source[axis + 1])
        ]

    def columns_to_cores(self, columns: int, cores: int) -> NDArray[np.int64]:
        """1 where a source column sends to a core of so many target columns, (W, cores)."""
        result = np.zeros((self.source[2], cores), np.int64)
        for j, pairs in enumerate(self.reached(1, columns * cores)):
            result[j, [q // columns for _, q in pairs]] = 1
        return result


def by_source(weight: NDArray[np.int64], window: Window) -> NDArray[np.int64]:
    """The kernel as (C, kH, kW, O/G): what one message adds, contiguous in the output channels."""
    out, per_group, k_h, k_w = weight.shape
    g = window.groups
    grouped = weight.reshape(g, out // g, per_group, k_h, k_w)
    return np.ascontiguousarray(grouped.transpose(0, 2, 3, 4, 1)).reshape(g * per_group, k_h, k_w, out // g)


def operations(weight: NDArray[np.int64], window: Window, columns: int, cores: int) -> NDArray[np.int64]:
    """Synaptic operations of a message from every source on every core, (C·H·W, cores).

    Nonzero weights into a core's ``columns`` target columns, dummy columns included.
    """
    c, h, w = window.source
    nonzero = np.count_nonzero(by_source(weight, window), axis=3)  # (C, kH, kW)
    rows = np.zeros((c, h, window.kernel[1]), np.int64)
    for i, pairs in enumerate(window.reached(0, window.target[1])):
        for k, _ in pairs:
            rows[:, i] += nonzero[:, k]
    result = np.zeros((c, h, w, cores), np.int64)
    for j, pairs in enumerate(window.reached(1, columns * cores)):
        for k, q in pairs:
            result[:, :, j, q // columns] += rows[:, :, k]
    return result.reshape(c * h * w, cores)


def stored_synapses(weight: NDArray[np.int64], window: Window) -> int:
    """Synapses with a nonzero weight between real neurons."""
    return int(operations(weight, window, window.target[2], 1).sum())
