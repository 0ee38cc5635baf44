"""The shape of every layer's output for one sample, checked before anything is computed."""

from __future__ import annotations

import math
from functools import singledispatch

from nirbridge.ann.types import (
    Ann,
    AveragePool,
    Convolution,
    Dense,
    Flatten,
    MaxPool,
    Normalization,
    Op,
    Relu,
    Shape,
    Sum,
    Window,
)
from nirbridge.errors import BadInput

MAX_ELEMENTS = 1 << 24
MAX_PADDING = 65536
MAX_PRODUCTS = 1 << 28  # of one window operator for one sample


def shapes_of(ann: Ann) -> dict[str, Shape]:
    """The output shape of the input and of every layer.

    Raises `BadInput`: NB109 where shapes do not fit, NB114 for an impossible window, NB007 for more
    than 2^24 values, or 2^28 window places, in one layer of one sample.
    """
    shapes = {ann.input: _bounded("the input", ann.shape)}
    for layer in ann.layers:
        given = tuple(shapes[name] for name in layer.inputs)
        shapes[layer.name] = layer_shape(layer.name, layer.op, given)
    return shapes


def layer_shape(name: str, op: Op, given: tuple[Shape, ...]) -> Shape:
    """The output shape of one layer whose inputs have these shapes; raises as `shapes_of` does."""
    return _bounded(f"layer '{name}'", out_shape(op, given, name))


@singledispatch
def out_shape(op: Op, given: tuple[Shape, ...], name: str) -> Shape:
    """The output shape of an operator; ``name`` is for the error."""
    raise TypeError(type(op).__name__)


@out_shape.register
def _(op: Dense, given: tuple[Shape, ...], name: str) -> Shape:
    if given[0] != (op.weight.shape[1],):
        raise _mismatch(name, f"a weight of shape {op.weight.shape}", given[0], f"({op.weight.shape[1]},)")
    return (op.weight.shape[0],)


@out_shape.register
def _(op: Convolution, given: tuple[Shape, ...], name: str) -> Shape:
    channels = op.weight.shape[1] * op.groups
    if len(given[0]) != op.weight.ndim - 1 or given[0][0] != channels or op.weight.shape[0] % op.groups:
        what = f"a weight of shape {op.weight.shape} in {op.groups} groups"
        raise _mismatch(name, what, given[0], f"{channels} channels and {op.weight.ndim - 2} axes")
    return (op.weight.shape[0], *_places(op.window, given[0], name))


@out_shape.register
def _(op: Normalization, given: tuple[Shape, ...], name: str) -> Shape:
    if len(op.scale) != given[0][0]:
        raise _mismatch(name, f"{len(op.scale)} channels", given[0], f"{len(op.scale)} channels first")
    return given[0]


@out_shape.register(AveragePool)
@out_shape.register(MaxPool)
def _(op: AveragePool | MaxPool, given: tuple[Shape, ...], name: str) -> Shape:
    if len(given[0]) != len(op.window.kernel) + 1:
        what = f"a window over {len(op.window.kernel)} axes"
        raise _mismatch(name, what, given[0], f"{len(op.window.kernel) + 1} axes")
    return (given[0][0], *_places(op.window, given[0], name))


@out_shape.register
def _(op: Flatten, given: tuple[Shape, ...], name: str) -> Shape:
    return (math.prod(given[0]),)


@out_shape.register
def _(op: Relu, given: tuple[Shape, ...], name: str) -> Shape:
    return given[0]


@out_shape.register
def _(op: Sum, given: tuple[Shape, ...], name: str) -> Shape:
    if any(shape != given[0] for shape in given):
        raise _mismatch(name, "a sum", given[-1], f"{given[0]} as its first input has")
    return given[0]


def _places(window: Window, given: Shape, name: str) -> Shape:
    space = given[1:]
    bad = [
        f"{field} {getattr(window, field)}"
        for field, least in (("kernel", 1), ("stride", 1), ("dilation", 1), ("left", 0), ("right", 0))
        if any(not least <= n <= MAX_PADDING for n in getattr(window, field))
    ]
    places = () if bad else window.places(space)
    if bad or min(places) < 1:
        what = " and ".join(bad) or f"kernel {window.kernel} is larger than its padded input {space}"
        raise BadInput(
            f"layer '{name}': {what}, expected a window of 1 to {MAX_PADDING} places that fits",
            code="NB114",
            fix="export the model again",
        )
    padded = (n + a + b for n, a, b in zip(space, window.left, window.right, strict=True))
    _bounded(f"the padded input of layer '{name}'", (given[0], *padded))
    if given[0] * math.prod(places) * math.prod(window.kernel) > MAX_PRODUCTS:
        raise BadInput(
            f"layer '{name}' reads {given[0]} channels at {places} places through a kernel of "
            f"{window.kernel}, expected at most {MAX_PRODUCTS} products",
            code="NB007",
            fix="export the model for smaller samples",
        )
    return places


def _bounded(what: str, shape: Shape) -> Shape:
    if not shape or min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
        raise BadInput(
            f"{what} has shape {shape}, expected sizes of at least 1 and at most {MAX_ELEMENTS} values",
            code="NB007",
            fix="export the model for smaller samples",
        )
    return shape


def _mismatch(name: str, what: str, given: Shape, expected: str) -> BadInput:
    return BadInput(
        f"layer '{name}' has {what}, its input has shape {given} (without the batch axis), "
        f"expected {expected}",
        code="NB109",
        fix="check the model with onnx.checker",
    )
