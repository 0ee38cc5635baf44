"""ANN -> ANN: what has no spiking counterpart is written in operators that have one."""

from __future__ import annotations

from dataclasses import replace
from itertools import count
from typing import Any, Literal

import numpy as np

from nirbridge.ann.shapes import shapes_of
from nirbridge.ann.types import (
    Ann,
    AveragePool,
    Convolution,
    Dense,
    Layer,
    MaxPool,
    Normalization,
    Relu,
    Shape,
    Sum,
    Window,
)
from nirbridge.errors import Unsupported

MaxPools = Literal["relu", "average", "refuse"]
WIDEST = 8  # places of a max pool along one axis that become Relu layers


def fold_normalization(ann: Ann) -> Ann:
    """Normalisations into the weight before them: W ← s·W, b ← s·b + t, row by row, in float64.

    What stays equal: the output, up to the rounding of the products. One that follows no weight, or a
    weight that something else reads too, stays.
    """
    consumers = ann.consumers()
    kept: dict[str, Layer] = {}
    renamed: dict[str, str] = {}
    for layer in ann.layers:
        layer = replace(layer, inputs=tuple(renamed.get(name, name) for name in layer.inputs))
        before = kept.get(layer.inputs[0])
        if (
            isinstance(layer.op, Normalization)
            and before is not None
            and isinstance(before.op, Dense | Convolution)
            and consumers[before.name] == 1
        ):
            kept[before.name] = replace(before, op=_folded(before.op, layer.op))
            renamed[layer.name] = before.name
            consumers = {**consumers, before.name: consumers[layer.name]}
        else:
            kept[layer.name] = layer
    output = renamed.get(ann.output, ann.output)
    return replace(ann, layers=tuple(kept.values()), output=output)


def _folded(op: Any, norm: Normalization) -> Any:
    rows = norm.scale.reshape(-1, *(1,) * (op.weight.ndim - 1))
    weight = (op.weight.astype(np.float64) * rows).astype(np.float32)
    bias = (op.bias.astype(np.float64) * norm.scale + norm.shift).astype(np.float32)
    return replace(op, weight=weight, bias=bias)


def replace_max_pools(ann: Ann, how: MaxPools = "relu") -> Ann:
    """Max pools in operators that a rate code has.

    ``relu``: max(a, b) = b + relu(a − b), place by place along one axis after the other. What stays
    equal: the output. A padded pool needs inputs that are not negative (a Relu before it), so that
    the zeros outside never win. ``average``: an average pool over the same window; another function,
    whose accuracy must be measured. ``refuse``: none. Pools of one place become average pools, which
    they equal. Raises `Unsupported` (NB209) with every pool that cannot be replaced.
    """
    pools = [layer for layer in ann.layers if isinstance(layer.op, MaxPool)]
    shapes, positive = shapes_of(ann), _not_negative(ann)
    problems = []
    layers: list[Layer] = []
    for layer in ann.layers:
        if not isinstance(layer.op, MaxPool):
            layers.append(layer)
            continue
        window = layer.op.window
        if how == "average" or all(k == 1 for k in window.kernel):
            layers.append(replace(layer, op=AveragePool(window)))
        elif how == "refuse":
            problems.append(f"'{layer.name}' over {window.kernel} places")
        elif any((*window.left, *window.right)) and layer.inputs[0] not in positive:
            problems.append(f"'{layer.name}' is padded and its inputs may be negative")
        elif max(window.kernel) > WIDEST:
            problems.append(f"'{layer.name}' over {window.kernel} places, expected {WIDEST} an axis at most")
        else:
            layers += _tournament(layer, window, shapes[layer.inputs[0]][0])
    if problems:
        raise Unsupported(
            f"{len(problems)} of {len(pools)} max pools cannot be replaced: {'; '.join(problems)}",
            code="NB209",
            fix="train with average pools, or accept them with max_pool=average and look at the accuracy",
        )
    return replace(ann, layers=tuple(layers))


def _not_negative(ann: Ann) -> set[str]:
    found: set[str] = set()
    for layer in ann.layers:
        passes = not isinstance(layer.op, Dense | Convolution | Normalization)
        if isinstance(layer.op, Relu) or (passes and all(name in found for name in layer.inputs)):
            found.add(layer.name)
    return found


def _tournament(layer: Layer, window: Window, channels: int) -> list[Layer]:
    """Layers that compute the pool; the last carries its name."""
    layers: list[Layer] = []
    source = layer.inputs[0]
    number = count(1)
    axes = [a for a, k in enumerate(window.kernel) if k > 1 or window.stride[a] > 1]
    for axis in axes:
        best = None
        for place in range(window.kernel[axis]):
            pick = _pick(window, axis, place, channels, 1.0)
            chosen = Layer(f"{layer.name}_pick{next(number)}", pick, (source,))
            layers.append(chosen)
            if best is None:
                best = chosen
                continue
            at = next(number)
            drop = Layer(f"{layer.name}_less{at}", _pick(window, axis, place, channels, -1.0), (source,))
            ahead = Layer(f"{layer.name}_ahead{at}", Sum(), (best.name, drop.name))
            lead = Layer(f"{layer.name}_lead{at}", Relu(), (ahead.name,))
            best = Layer(f"{layer.name}_best{at}", Sum(), (chosen.name, lead.name))
            layers += [drop, ahead, lead, best]
        if best is not None:
            source = best.name
    layers[-1] = replace(layers[-1], name=layer.name)
    return layers


def _pick(window: Window, axis: int, place: int, channels: int, sign: float) -> Convolution:
    """±1 times the input at one place of the window along one axis, each channel for itself."""
    axes = len(window.kernel)

    def along(values: Shape, other: int) -> Shape:
        return tuple(values[a] if a == axis else other for a in range(axes))

    kernel = along(window.kernel, 1)
    weight = np.zeros((channels, 1, *kernel), np.float32)
    at: tuple[Any, ...] = (slice(None), 0, *along((place,) * axes, 0))
    weight[at] = sign
    one = Window(
        kernel=kernel,
        stride=along(window.stride, 1),
        dilation=along(window.dilation, 1),
        left=along(window.left, 0),
        right=along(window.right, 0),
    )
    return Convolution(weight, np.zeros(channels, np.float32), one, channels)
