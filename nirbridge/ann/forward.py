"""The ANN's own answer, in numpy: what calibration measures and the spiking graph is held against."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from functools import singledispatch
from itertools import product
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.ann.shapes import shapes_of
from nirbridge.ann.types import (
    Ann,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    Floats,
    MaxPool,
    Normalization,
    Op,
    Relu,
    Sum,
    Window,
)

WORKSPACE = 1 << 27  # bytes that one batch of the widest layer may take
FEW = 64  # places of a kernel that are combined one by one, which is faster
Seen = Callable[[str, Floats], None]


def forward(ann: Ann, x: Floats, seen: Seen | None = None) -> Floats:
    """The ANN's output, (n, *output shape) float32, for samples x (n, *shape).

    ``seen`` is called with the name and output of every layer. Values that no later layer reads are
    let go, so a deep ANN needs no more memory than its widest cut.
    """
    values = {ann.input: np.asarray(x, np.float32)}
    left = dict(ann.consumers())
    for layer in ann.layers:
        out = apply(layer.op, *(values[name] for name in layer.inputs))
        if seen is not None:
            seen(layer.name, out)
        for name in layer.inputs:
            left[name] -= 1
            if not left[name]:
                del values[name]
        if left[layer.name]:
            values[layer.name] = out
    return values[ann.output]


def batches(ann: Ann, n: int) -> Iterator[slice]:
    """Slices of ``n`` samples, so small that no layer of `forward` needs much over `WORKSPACE` bytes."""
    widest = 1
    shapes = shapes_of(ann)
    for layer in ann.layers:
        size = int(np.prod(shapes[layer.name], dtype=np.int64))
        if isinstance(layer.op, Convolution):  # the columns that the product reads
            size = (
                size // layer.op.weight.shape[0] * int(np.prod(layer.op.weight.shape[1:])) * layer.op.groups
            )
        widest = max(widest, size)
    step = max(1, WORKSPACE // (4 * widest))
    for start in range(0, n, step):
        yield slice(start, min(start + step, n))


@singledispatch
def apply(op: Op, *inputs: Floats) -> Floats:
    """One operator on a batch: inputs (n, *shape) float32."""
    raise TypeError(type(op).__name__)


@apply.register
def _(op: Dense, x: Floats) -> Floats:
    return x @ op.weight.T + op.bias


@apply.register
def _(op: Convolution, x: Floats) -> Floats:
    axes = x.ndim - 2
    n, groups = len(x), op.groups
    seen = _windows(_padded(x, op.window, 0.0), op.window)  # (n, c, *places, *kernel)
    places = seen.shape[2 : 2 + axes]
    # (n, c, *places, *kernel) -> (groups, n, places, c/groups · kernel)
    split = seen.reshape(n, groups, -1, *seen.shape[2:])
    order = (1, 0, *range(3, 3 + axes), 2, *range(3 + axes, 3 + 2 * axes))
    columns = split.transpose(order).reshape(groups, n * int(np.prod(places)), -1)
    weight = op.weight.reshape(groups, op.weight.shape[0] // groups, -1)
    out = np.matmul(columns, weight.transpose(0, 2, 1)).reshape(groups, n, -1, weight.shape[1])
    joined: Floats = out.transpose(1, 0, 3, 2).reshape(n, op.weight.shape[0], *places)
    return joined + op.bias.reshape(-1, *(1,) * axes)


@apply.register
def _(op: Normalization, x: Floats) -> Floats:
    each = (-1, *(1,) * (x.ndim - 2))
    return (x * op.scale.reshape(each) + op.shift.reshape(each)).astype(np.float32)


@apply.register
def _(op: AveragePool, x: Floats) -> Floats:
    total = _folded(np.add, _padded(x, op.window, 0.0), op.window)
    if op.count_padding:
        return total / np.float32(np.prod(op.window.kernel))
    return total / counted(op.window, x.shape[2:])


@apply.register
def _(op: MaxPool, x: Floats) -> Floats:
    return _folded(np.maximum, _padded(x, op.window, -np.inf), op.window)


@apply.register
def _(op: Flatten, x: Floats) -> Floats:
    return x.reshape(len(x), -1)


@apply.register
def _(op: Relu, x: Floats) -> Floats:
    return np.maximum(x, np.float32(0))


@apply.register
def _(op: Sum, *inputs: Floats) -> Floats:
    total = inputs[0].copy()
    for other in inputs[1:]:
        total += other
    return total


def counted(window: Window, space: tuple[int, ...]) -> Floats:
    """How many places of each window lie inside the input, (*places,)."""
    inside = np.ones((1, 1, *space), np.float32)
    count: Floats = _folded(np.add, _padded(inside, window, 0.0), window)[0, 0]
    return count


def _padded(x: Floats, window: Window, value: float) -> Floats:
    if not any((*window.left, *window.right)):
        return x
    widths = [(0, 0), (0, 0), *zip(window.left, window.right, strict=True)]
    return np.pad(x, widths, constant_values=np.float32(value))


def _windows(x: Floats, window: Window) -> NDArray[np.float32]:
    """A view (n, c, *places, *kernel) of the padded input."""
    axes = tuple(range(2, x.ndim))
    extent = tuple(d * (k - 1) + 1 for d, k in zip(window.dilation, window.kernel, strict=True))
    view = np.lib.stride_tricks.sliding_window_view(x, extent, axis=axes)
    take = (slice(None), slice(None))
    return view[(*take, *(slice(None, None, s) for s in (*window.stride, *window.dilation)))]


def _folded(combine: np.ufunc, x: Floats, window: Window) -> Floats:
    """All places of a window combined, without a copy of the windows."""
    view = _windows(x, window)
    if np.prod(window.kernel) > FEW:
        return np.asarray(combine.reduce(view, axis=tuple(range(x.ndim, view.ndim))), np.float32)
    result: Any = None
    for place in product(*(range(k) for k in window.kernel)):
        at: tuple[Any, ...] = (..., *place)
        part = view[at]
        result = part.copy() if result is None else combine(result, part, out=result)
    return np.asarray(result, np.float32)
