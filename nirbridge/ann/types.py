"""A feed-forward ANN as a list of layers: what an ONNX file is read into and a spiking graph made of."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

Shape = tuple[int, ...]
Floats = NDArray[np.float32]


@dataclass(frozen=True, slots=True, kw_only=True)
class Window:
    """How a kernel slides over the axes after the channels; each field has one entry an axis.

    left, right: places added before and behind. Output places per axis:
    ⌊(n + left + right − dilation·(k−1) − 1)/stride⌋ + 1.
    """

    kernel: Shape
    stride: Shape
    dilation: Shape
    left: Shape
    right: Shape

    def places(self, space: Shape) -> Shape:
        """Output places for an input of ``space`` (channels left out)."""
        return tuple(
            (n + a + b - d * (k - 1) - 1) // s + 1
            for n, k, s, d, a, b in zip(
                space, self.kernel, self.stride, self.dilation, self.left, self.right, strict=True
            )
        )


@dataclass(frozen=True, slots=True, eq=False)
class Dense:
    """y = weight·x + bias; weight (n_out, n_in), bias (n_out,)."""

    weight: Floats
    bias: Floats


@dataclass(frozen=True, slots=True, eq=False)
class Convolution:
    """Cross-correlation, zeros outside; weight (c_out, c_in/groups, *kernel), bias (c_out,)."""

    weight: Floats
    bias: Floats
    window: Window
    groups: int = 1


@dataclass(frozen=True, slots=True, eq=False)
class Normalization:
    """y = scale·x + shift per channel, each (channels,): a batch normalisation, or an added bias."""

    scale: NDArray[np.float64]
    shift: NDArray[np.float64]


@dataclass(frozen=True, slots=True)
class AveragePool:
    """The mean over a window; ``count_padding``: places outside count in the divisor."""

    window: Window
    count_padding: bool = False


@dataclass(frozen=True, slots=True)
class MaxPool:
    """The largest value in a window; places outside never win."""

    window: Window


@dataclass(frozen=True, slots=True)
class Flatten:
    """All axes into one, row-major."""


@dataclass(frozen=True, slots=True)
class Relu:
    """y = max(x, 0)."""


@dataclass(frozen=True, slots=True)
class Sum:
    """The elementwise sum of inputs of one shape."""


Op = Dense | Convolution | Normalization | AveragePool | MaxPool | Flatten | Relu | Sum


@dataclass(frozen=True, slots=True, eq=False)
class Layer:
    """An operator with a name; ``inputs`` name earlier layers, or the ANN's input."""

    name: str
    op: Op
    inputs: tuple[str, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Ann:
    """Layers in an order in which they can be computed.

    input: the name that stands for a sample, of ``shape`` (without a batch axis; channels first).
    output: the layer whose values are the scores. notes: what reading it left out, in words.
    """

    input: str
    shape: Shape
    layers: tuple[Layer, ...]
    output: str
    notes: tuple[str, ...] = ()

    def consumers(self) -> Mapping[str, int]:
        """How often each value is read, the ANN's output counted."""
        count = {self.input: 0, **{layer.name: 0 for layer in self.layers}}
        count[self.output] += 1
        for layer in self.layers:
            for name in layer.inputs:
                count[name] += 1
        return count
