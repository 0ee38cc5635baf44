"""The windows of Conv and of the pools: kernel, stride, dilation and padding from an ONNX node."""

from __future__ import annotations

from typing import Any

from nirbridge.ann.types import AveragePool, MaxPool, Shape, Window
from nirbridge.io.onnx_in.node import Node, Problem, Reading

MAX_AXES = 2


def conv_window(node: Node, reading: Reading, weight: Shape) -> tuple[Window, int]:
    """The window and the groups of a Conv with a weight of this shape."""
    a = node.attributes(reading.path, **_window_attributes(), group=1)
    kernel = weight[2:]
    if a["kernel_shape"] and tuple(a["kernel_shape"]) != kernel:
        raise Problem("Conv whose kernel_shape is not that of its weight")
    if a["group"] < 1:
        raise Problem(f"Conv in {a['group']} groups")
    return _window(node, reading, kernel, a), a["group"]


def average_pool(node: Node, reading: Reading) -> None:
    """The mean over a window."""
    a = node.attributes(reading.path, **_window_attributes(), ceil_mode=0, count_include_pad=0)
    window = _pool_window(node, reading, a)
    reading.layer(node, AveragePool(window, bool(a["count_include_pad"])), reading.varying(node))


def global_average_pool(node: Node, reading: Reading) -> None:
    """The mean over all places of a channel."""
    node.attributes(reading.path)
    x = reading.varying(node)
    space = reading.shape_of(x)[1:]
    if not 1 <= len(space) <= MAX_AXES:
        raise Problem(f"{node.op} over {len(space)} axes")
    one, zero = (1,) * len(space), (0,) * len(space)
    window = Window(kernel=space, stride=one, dilation=one, left=zero, right=zero)
    reading.layer(node, AveragePool(window), x)


def max_pool(node: Node, reading: Reading) -> None:
    """The largest value in a window; `nirbridge.ann.replace_max_pools` says what becomes of it."""
    a = node.attributes(reading.path, **_window_attributes(), ceil_mode=0, storage_order=0)
    if len(node.outputs) > 1 and node.outputs[1] in reading.wanted:
        raise Problem("MaxPool whose indices are used")
    reading.layer(node, MaxPool(_pool_window(node, reading, a)), reading.varying(node))


def _window_attributes() -> dict[str, Any]:
    return {"auto_pad": "NOTSET", "dilations": [], "kernel_shape": [], "pads": [], "strides": []}


def _pool_window(node: Node, reading: Reading, a: dict[str, Any]) -> Window:
    window = _window(node, reading, tuple(a["kernel_shape"]), a)
    space = reading.shape_of(reading.varying(node))[1:]
    for n, k, d, *pads in zip(space, window.kernel, window.dilation, window.left, window.right, strict=True):
        if max(pads) > d * (k - 1) or (max(pads) and n < d):
            raise Problem(f"{node.op} with windows that lie in the padding alone")
    if a["ceil_mode"] and not _divides(window, space):
        raise Problem(f"{node.op} with ceil_mode=1 and places that reach beyond the input")
    return window


def _divides(window: Window, space: Shape) -> bool:
    each = zip(space, window.kernel, window.stride, window.dilation, window.left, window.right, strict=True)
    return all((n + a + b - d * (k - 1) - 1) % s == 0 for n, k, s, d, a, b in each)


def _window(node: Node, reading: Reading, kernel: Shape, a: dict[str, Any]) -> Window:
    axes = len(kernel)
    space = reading.shape_of(reading.varying(node))[1:]
    if not 1 <= axes <= MAX_AXES or len(space) != axes:
        raise Problem(f"{node.op} with a kernel of {axes} axes on an input of {len(space)}")
    stride, dilation = _each(a["strides"], axes, node), _each(a["dilations"], axes, node)
    if min(*kernel, *stride, *dilation) < 1:
        raise Problem(f"{node.op} with a kernel, stride or dilation below 1")
    pads = list(a["pads"]) or [0] * 2 * axes
    if len(pads) != 2 * axes or min(pads) < 0:
        raise Problem(f"{node.op} with pads {pads[:8]}")
    left, right = tuple(pads[:axes]), tuple(pads[axes:])
    if a["auto_pad"] in ("SAME_UPPER", "SAME_LOWER"):
        total = [
            max((-(-n // s) - 1) * s + d * (k - 1) + 1 - n, 0)
            for n, k, s, d in zip(space, kernel, stride, dilation, strict=True)
        ]
        less, more = tuple(t // 2 for t in total), tuple(t - t // 2 for t in total)
        left, right = (less, more) if a["auto_pad"] == "SAME_UPPER" else (more, less)
    elif a["auto_pad"] == "VALID":
        left = right = (0,) * axes
    elif a["auto_pad"] != "NOTSET":
        raise Problem(f"{node.op} with auto_pad {a['auto_pad'][:40]!a}")
    return Window(kernel=kernel, stride=stride, dilation=dilation, left=left, right=right)


def _each(values: list[int], axes: int, node: Node) -> Shape:
    if values and len(values) != axes:
        raise Problem(f"{node.op} with {len(values)} strides or dilations for {axes} axes")
    return tuple(values) or (1,) * axes
