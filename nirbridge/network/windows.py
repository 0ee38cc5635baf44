"""Convolutions and pools as sparse operators: which input reaches which output with which weight."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from itertools import product
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.network.sparse import Sparse

Shape = tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Window:
    """A sliding window over the axes after the first (channels); cross-correlation, zeros outside.

    kernel (channels_out, channels_in/groups, *window); stride, dilation, left and right padding per
    axis; output positions per axis ⌊(n + left + right − dilation(k−1) − 1)/stride⌋ + 1 (SEMANTICS.md §3).
    """

    kernel: NDArray[np.float64]
    groups: int
    stride: tuple[int, ...]
    dilation: tuple[int, ...]
    left: tuple[int, ...]
    right: tuple[int, ...]

    def out_shape(self, in_shape: Shape) -> Shape:
        """Shape of the output for an input (channels, *space)."""
        space = [
            (n + a + b - d * (k - 1) - 1) // s + 1
            for n, a, b, d, k, s in zip(
                in_shape[1:],
                self.left,
                self.right,
                self.dilation,
                self.kernel.shape[2:],
                self.stride,
                strict=True,
            )
        ]
        return (self.kernel.shape[0], *(int(n) for n in space))

    def sparse(self, in_shape: Shape) -> Sparse:
        """The operator on flattened (row-major) vectors."""
        out_shape = self.out_shape(in_shape)
        out_channels, in_group = self.kernel.shape[:2]
        out_group = out_channels // self.groups
        sources, targets, values = [], [], []
        outs = np.arange(out_channels)
        first_in = (outs // out_group) * in_group
        for offset in product(*(range(k) for k in self.kernel.shape[2:])):
            axes = [
                np.arange(n) * s + k * d - a
                for n, s, k, d, a in zip(
                    out_shape[1:], self.stride, offset, self.dilation, self.left, strict=True
                )
            ]
            inside = [(x >= 0) & (x < n) for x, n in zip(axes, in_shape[1:], strict=True)]
            positions = np.meshgrid(*(np.flatnonzero(m) for m in inside), indexing="ij")
            places = np.meshgrid(*(x[m] for x, m in zip(axes, inside, strict=True)), indexing="ij")
            out_flat = np.ravel_multi_index([p.reshape(-1) for p in positions], out_shape[1:])
            in_flat = np.ravel_multi_index([p.reshape(-1) for p in places], in_shape[1:])
            for c in range(in_group):
                at: tuple[Any, ...] = (slice(None), c, *offset)
                weight = self.kernel[at]
                source = (first_in + c)[:, None] * int(np.prod(in_shape[1:])) + in_flat[None, :]
                target = outs[:, None] * int(np.prod(out_shape[1:])) + out_flat[None, :]
                sources.append(source.reshape(-1))
                targets.append(target.reshape(-1))
                values.append(np.repeat(weight, len(out_flat)))
        source, target, value = (np.concatenate(x) for x in (sources, targets, values))
        order = np.lexsort((target, source))
        n_in = int(np.prod(in_shape))
        return Sparse(
            np.searchsorted(source[order], np.arange(n_in + 1)),
            target[order].astype(np.int64),
            value[order],
            int(np.prod(out_shape)),
        )


def window_of(node: nir.NIRNode, name: str, in_shape: Shape) -> Window:
    """The window of a Conv1d, Conv2d, SumPool2d or AvgPool2d on an input of ``in_shape``.

    An average always divides by the whole window. Raises `Unsupported` (NB109) for another rank or
    number of channels and (NB115) for padding 'same' with a stride.
    """
    axes = 1 if isinstance(node, nir.Conv1d) else 2
    if len(in_shape) != axes + 1:
        raise _shape_error(
            node, name, in_shape, "(channels, length)" if axes == 1 else "(channels, height, width)"
        )
    if isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        size = _each(node.kernel_size, axes)
        value = 1.0 if isinstance(node, nir.SumPool2d) else 1.0 / float(np.prod(size))
        padding = _each(node.padding, axes)
        kernel = np.full((in_shape[0], 1, *size), value)
        return Window(kernel, in_shape[0], _each(node.stride, axes), (1,) * axes, padding, padding)
    if not isinstance(node, nir.Conv1d | nir.Conv2d):
        raise TypeError(type(node).__name__)
    kernel = np.asarray(node.weight, dtype=np.float64)
    groups = int(node.groups)
    if in_shape[0] != kernel.shape[1] * groups or kernel.shape[0] % groups:
        raise _shape_error(node, name, in_shape, f"{kernel.shape[1] * groups} channels first")
    stride, dilation = _each(node.stride, axes), _each(node.dilation, axes)
    if isinstance(node.padding, str):
        total = tuple(d * (k - 1) for d, k in zip(dilation, kernel.shape[2:], strict=True))
        if node.padding == "valid":
            total = (0,) * axes
        elif any(s != 1 for s in stride):
            raise Unsupported(
                f"node '{name}' has padding 'same' with stride {stride}",
                code="NB115",
                fix="state the padding in numbers",
            )
        left = tuple(t // 2 for t in total)
        right = tuple(t - a for t, a in zip(total, left, strict=True))
        return Window(kernel, groups, stride, dilation, left, right)
    padding = _each(node.padding, axes)
    return Window(kernel, groups, stride, dilation, padding, padding)


def bias_of(node: nir.NIRNode, out_shape: Shape) -> NDArray[np.float64] | None:
    """Bias of every output of a convolution: one per channel, repeated over space; None for pools."""
    if not isinstance(node, nir.Conv1d | nir.Conv2d) or node.bias is None:
        return None
    bias = np.broadcast_to(np.asarray(node.bias, dtype=np.float64).reshape(-1), (out_shape[0],))
    return np.repeat(bias, int(np.prod(out_shape[1:])))


def _each(value: object, axes: int) -> tuple[int, ...]:
    full = np.broadcast_to(np.asarray(value, dtype=np.int64).reshape(-1), (axes,))
    return tuple(int(n) for n in full)


def _shape_error(node: nir.NIRNode, name: str, in_shape: Sequence[int], expected: str) -> Unsupported:
    return Unsupported(
        f"node '{name}' ({type(node).__name__}) has an input of shape {tuple(in_shape)}, expected {expected}",
        code="NB109",
        fix="nirbridge check FILE lists every shape",
    )
