"""Shapes along the edges, computed by our own formulas (nir's are wrong for non-square kernels)."""

from __future__ import annotations

import math
from collections import deque
from functools import singledispatch
from typing import Any

import nir
import numpy as np

from nirbridge.validate.fields import FIELDS, type_name
from nirbridge.validate.flat import FlatGraph

Shape = tuple[int, ...]
MAX_ELEMENTS = 1 << 31
MAX_PADDING = 65536


def as_shape(value: Any) -> Shape | None:
    """A stored shape as a tuple of ints, or None where it is absent, empty or no list of integers."""
    if value is None:
        return None
    array = np.atleast_1d(np.asarray(value))
    if array.ndim != 1 or array.size == 0 or array.dtype.kind not in "iuf":
        return None
    if array.dtype.kind == "f" and not np.all(np.isfinite(array) & (array == np.floor(array))):
        return None
    return tuple(int(n) for n in array)


def integers(value: Any, count: int) -> Shape | None:
    """``count`` integers out of one or as many, such as the two strides of a Conv2d; None if it has none."""
    array = np.asarray(value)
    if array.dtype.kind not in "iu" or array.ndim > 1 or array.size not in (1, count):
        return None
    return tuple(int(n) for n in np.broadcast_to(array, (count,)))


def slid(size: int, kernel: int, stride: int, padding: int, dilation: int) -> int:
    """Outputs of a window that slides over ``size`` + 2·``padding`` inputs (SEMANTICS.md §3)."""
    return (size + 2 * padding - dilation * (kernel - 1) - 1) // stride + 1


@singledispatch
def input_shape(node: nir.NIRNode) -> Shape | None:
    """The input shape that the node's own arrays demand, or None where any will do.

    A scalar parameter fits every shape; -1 stands for a free axis.
    """
    fields = FIELDS.get(type_name(node))
    for name in fields.parameters if fields else ():
        value: Any = getattr(node, name, None)
        shape: Shape = np.shape(value)
        if shape:
            return shape
    return None


@input_shape.register
def _(node: nir.Input) -> Shape | None:
    return as_shape((node.input_type or {}).get("input"))


@input_shape.register
def _(node: nir.Output) -> Shape | None:
    return as_shape((node.output_type or {}).get("output"))


@input_shape.register(nir.Linear)
@input_shape.register(nir.Affine)
def _(node: nir.Linear | nir.Affine) -> Shape | None:
    shape = np.shape(node.weight)
    return (*shape[:-2], shape[-1]) if len(shape) >= 2 else None


@input_shape.register(nir.Conv1d)
@input_shape.register(nir.Conv2d)
def _(node: nir.Conv1d | nir.Conv2d) -> Shape | None:
    axes = conv_axes(node)
    weight, groups = np.shape(node.weight), integers(node.groups, 1)
    if len(weight) != axes + 2 or groups is None:
        return None
    space = as_shape(node.input_shape) or (-1,) * axes
    return (weight[1] * groups[0], *space) if len(space) == axes else None


@input_shape.register
def _(node: nir.Flatten) -> Shape | None:
    return as_shape((node.input_type or {}).get("input"))


def conv_axes(node: nir.Conv1d | nir.Conv2d) -> int:
    return 1 if isinstance(node, nir.Conv1d) else 2


@singledispatch
def output_shape(node: nir.NIRNode, shape: Shape | None) -> Shape | None:
    """The output shape for an input of ``shape`` (None if unknown), or None where it cannot be told."""
    return input_shape(node) or shape


@output_shape.register(nir.Linear)
@output_shape.register(nir.Affine)
def _(node: nir.Linear | nir.Affine, shape: Shape | None) -> Shape | None:
    weight = np.shape(node.weight)
    return (*weight[:-2], weight[-2]) if len(weight) >= 2 else None


@output_shape.register(nir.Conv1d)
@output_shape.register(nir.Conv2d)
def _(node: nir.Conv1d | nir.Conv2d, shape: Shape | None) -> Shape | None:
    axes, own = conv_axes(node), input_shape(node)
    if own is None:
        return None
    space = shape[1:] if shape is not None and len(shape) == axes + 1 else own[1:]
    steps = integers(node.stride, axes), integers(node.dilation, axes)
    kernel = np.shape(node.weight)[2:]
    if -1 in space or steps[0] is None or steps[1] is None or min(*steps[0], *steps[1], *kernel) < 1:
        return None
    if isinstance(node.padding, str) and node.padding == "same":
        return (np.shape(node.weight)[0], *space)
    padding = (0,) * axes if isinstance(node.padding, str) else integers(node.padding, axes)
    if padding is None:
        return None
    sizes = map(slid, space, kernel, steps[0], padding, steps[1])
    return (np.shape(node.weight)[0], *sizes)


@output_shape.register(nir.SumPool2d)
@output_shape.register(nir.AvgPool2d)
def _(node: nir.SumPool2d | nir.AvgPool2d, shape: Shape | None) -> Shape | None:
    kernel, stride, padding = (integers(v, 2) for v in (node.kernel_size, node.stride, node.padding))
    if shape is None or len(shape) != 3 or kernel is None or stride is None or padding is None:
        return None
    if min(*kernel, *stride) < 1:
        return None
    return (shape[0], *map(slid, shape[1:], kernel, stride, padding, (1, 1)))


@output_shape.register
def _(node: nir.Flatten, shape: Shape | None) -> Shape | None:
    own = input_shape(node)
    batch = len(own) - len(shape) if own and shape and unbatched(own, shape) else 0
    whole = (*(1,) * batch, *shape) if shape else own
    axes = flattened_axes(node, len(whole)) if whole else None
    if whole is None or axes is None:
        return None
    start, end = axes
    joined = (*whole[:start], math.prod(whole[start : end + 1]), *whole[end + 1 :])
    return joined[batch:] if start >= batch else joined


def flattened_axes(node: nir.Flatten, rank: int) -> tuple[int, int] | None:
    """First and last axis (0 … rank−1) that a Flatten joins, or None where they do not exist."""
    start, end = integers(node.start_dim, 1), integers(node.end_dim, 1)
    if start is None or end is None:
        return None
    first = start[0] + rank if start[0] < 0 else start[0]
    last = end[0] + rank if end[0] < 0 else end[0]
    return (first, last) if 0 <= first <= last < rank else None


def fits(given: Shape, demanded: Shape) -> bool:
    """True if the shapes agree; -1 in ``demanded`` is a free axis."""
    return len(given) == len(demanded) and all(b in (-1, a) for a, b in zip(given, demanded, strict=True))


def unbatched(shape: Shape, other: Shape) -> Shape | None:
    """``shape`` without leading ones, if only that makes it ``other``; None otherwise."""
    extra = len(shape) - len(other)
    if extra > 0 and all(n == 1 for n in shape[:extra]) and fits(shape[extra:], other):
        return shape[extra:]
    return None


def propagate(flat: FlatGraph) -> dict[str, Shape]:
    """The output shape of every node that can be told: O(nodes + edges).

    A node's own arrays decide first; the others take the shape of their first known source.
    """
    shapes: dict[str, Shape] = {}
    queue: deque[str] = deque()

    def settle(name: str, shape: Shape | None) -> None:
        if name not in shapes and shape is not None and min(shape, default=1) >= 0:
            shapes[name] = shape
            queue.append(name)

    def spread() -> None:
        while queue:
            name = queue.popleft()
            for after in flat.after[name]:
                if after not in shapes:
                    settle(after, output_shape(flat.nodes[after], shapes[name]))

    for name, node in sorted(flat.nodes.items()):
        if not _depends_on_input(node):
            own = output_shape(node, None)
            settle(name, own and _without_batch(name, node, own, flat))
    spread()
    for name in sorted(flat.nodes):  # what a Conv or Flatten states itself, where nothing reaches it
        settle(name, output_shape(flat.nodes[name], None))
        spread()
    return shapes


def _depends_on_input(node: nir.NIRNode) -> bool:
    return isinstance(node, nir.Conv1d | nir.Conv2d | nir.SumPool2d | nir.AvgPool2d | nir.Flatten)


def _without_batch(name: str, node: nir.NIRNode, own: Shape, flat: FlatGraph) -> Shape:
    """An Input with a batch axis counts without it, where its first reader demands that (NB116)."""
    if isinstance(node, nir.Input):
        for after in flat.after[name]:
            demanded = input_shape(flat.nodes[after])
            if demanded is not None:
                return unbatched(own, demanded) or own
    return own
