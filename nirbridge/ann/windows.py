"""Windows with unequal padding as windows with equal padding, which is all that NIR can say."""

from __future__ import annotations

import math
from dataclasses import replace
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.ann.types import Window
from nirbridge.errors import Unsupported

MAX_WEIGHTS = 1 << 26


def centred(weight: NDArray[Any], window: Window) -> tuple[NDArray[Any], Window]:
    """The same convolution with ``left == right``: zeros are put before or behind the kernel.

    weight (c_out, c_in/groups, *kernel). With p = max(left, right) on both sides, p − left more places
    before the first one of the kernel and p − right behind its last give the same sums at the same
    places. Where the dilation does not divide their number, its gaps become zeros of the kernel first.
    Raises `Unsupported` (NB209) where that takes more than 2^26 weights.
    """
    longest = [
        d * k + abs(a - b) if a != b else k
        for k, d, a, b in zip(window.kernel, window.dilation, window.left, window.right, strict=True)
    ]
    if weight.shape[0] * weight.shape[1] * math.prod(longest) > MAX_WEIGHTS:
        raise Unsupported(
            f"a kernel of {window.kernel} places with padding {window.left} before and {window.right} behind "
            "takes too many weights to be written with equal padding",
            code="NB209",
            fix="export the model with equal padding on both sides",
        )
    for axis, (a, b) in enumerate(zip(window.left, window.right, strict=True)):
        if a == b:
            continue
        if (a - b) % window.dilation[axis]:
            weight, window = _spread(weight, window, axis)
        step = window.dilation[axis]
        before, behind = max(b - a, 0) // step, max(a - b, 0) // step
        widths = [(0, 0)] * weight.ndim
        widths[axis + 2] = before, behind
        weight = np.pad(weight, widths)
        both = max(a, b)
        window = replace(
            window,
            kernel=_with(window.kernel, axis, weight.shape[axis + 2]),
            left=_with(window.left, axis, both),
            right=_with(window.right, axis, both),
        )
    return weight, window


def _spread(weight: NDArray[Any], window: Window, axis: int) -> tuple[NDArray[Any], Window]:
    step, size = window.dilation[axis], weight.shape[axis + 2]
    shape = list(weight.shape)
    shape[axis + 2] = step * (size - 1) + 1
    wide = np.zeros(shape, weight.dtype)
    at: list[slice] = [slice(None)] * weight.ndim
    at[axis + 2] = slice(None, None, step)
    wide[tuple(at)] = weight
    return wide, replace(
        window, kernel=_with(window.kernel, axis, shape[axis + 2]), dilation=_with(window.dilation, axis, 1)
    )


def _with(values: tuple[int, ...], axis: int, value: int) -> tuple[int, ...]:
    return (*values[:axis], value, *values[axis + 1 :])
