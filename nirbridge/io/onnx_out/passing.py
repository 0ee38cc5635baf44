"""Nodes between the neurons as ONNX operations: one small function a node type (SEMANTICS.md §3)."""

from __future__ import annotations

from functools import singledispatch

import nir
import numpy as np
from numpy.typing import NDArray
from onnx import TensorProto

from nirbridge.errors import Unsupported
from nirbridge.io.onnx_out.step import Step
from nirbridge.network import Stage, window_of
from nirbridge.network.operators import output_shape


@singledispatch
def passed(node: nir.NIRNode, stage: Stage, x: str, step: Step) -> str:
    """What a pass-through node makes of x (B, *in_shape); raises `Unsupported` (NB201)."""
    raise Unsupported(
        f"node '{stage.name}' ({type(node).__name__}) cannot be written as ONNX yet",
        code="NB201",
        fix="supported between neurons: Linear, Affine, Scale, Threshold, Flatten, Conv1d, Conv2d, "
        "SumPool2d, AvgPool2d",
    )


@passed.register
def _(node: nir.Linear, stage: Stage, x: str, step: Step) -> str:
    return _matrix(node, None, stage, x, step)


@passed.register
def _(node: nir.Affine, stage: Stage, x: str, step: Step) -> str:
    return _matrix(node, np.asarray(node.bias, np.float32), stage, x, step)


def _matrix(
    node: nir.Linear | nir.Affine, bias: NDArray[np.float32] | None, stage: Stage, x: str, step: Step
) -> str:
    """y[..., o] = Σ_i W[..., o, i]·x[..., i] (+ b)."""
    name, parameters = stage.name, step.parameters
    out_shape = output_shape(node, name, stage.in_shape)
    weight = parameters.weight(name, node)
    added = [] if bias is None else [parameters.stored((name, "bias"), np.broadcast_to(bias, out_shape))]
    if np.ndim(node.weight) == 2:
        return step.op("Gemm", [x, weight, *added], name, transB=1)
    last = parameters.integers(("last axis",), [-1])
    column = step.op("Unsqueeze", [x, last], f"{name}.column")
    product = step.op("MatMul", [weight, column], f"{name}.product")
    y = step.op("Squeeze", [product, last], f"{name}.sum")
    return step.op("Add", [y, *added], name) if added else y


@passed.register(nir.Conv1d)
@passed.register(nir.Conv2d)
def _(node: nir.Conv1d | nir.Conv2d, stage: Stage, x: str, step: Step) -> str:
    inputs = [x, step.parameters.weight(stage.name, node)]
    if node.bias is not None:
        channels = np.shape(node.weight)[0]
        bias = np.broadcast_to(np.asarray(node.bias, np.float32).reshape(-1), (channels,))
        inputs.append(step.parameters.stored((stage.name, "bias"), bias))
    return _conv(node, stage, inputs, step)


@passed.register(nir.SumPool2d)
@passed.register(nir.AvgPool2d)
def _(node: nir.SumPool2d | nir.AvgPool2d, stage: Stage, x: str, step: Step) -> str:
    # As a convolution of each channel, as the reference has it: AveragePool would divide the sum
    # instead of weighing its terms, which rounds otherwise.
    kernel = window_of(node, stage.name, stage.in_shape).kernel.astype(np.float32)
    return _conv(node, stage, [x, step.parameters.stored((stage.name, "kernel"), kernel)], step)


def _conv(node: nir.NIRNode, stage: Stage, inputs: list[str], step: Step) -> str:
    window = window_of(node, stage.name, stage.in_shape)
    return step.op(
        "Conv",
        inputs,
        stage.name,
        kernel_shape=list(window.kernel.shape[2:]),
        strides=list(window.stride),
        dilations=list(window.dilation),
        pads=[*window.left, *window.right],
        group=window.groups,
    )


@passed.register
def _(node: nir.Flatten, stage: Stage, x: str, step: Step) -> str:
    shape = step.parameters.integers(
        (stage.name, "shape"), [0, *output_shape(node, stage.name, stage.in_shape)]
    )
    return step.op("Reshape", [x, shape], stage.name)  # 0 keeps the batch


@passed.register
def _(node: nir.Scale, stage: Stage, x: str, step: Step) -> str:
    scale = np.broadcast_to(np.asarray(node.scale, np.float32), stage.in_shape)
    return step.op("Mul", [x, step.parameters.floats((stage.name, "scale"), scale)], stage.name)


@passed.register
def _(node: nir.Threshold, stage: Stage, x: str, step: Step) -> str:
    threshold = np.broadcast_to(np.asarray(node.threshold, np.float32), stage.in_shape)
    above = step.op(
        "Greater", [x, step.parameters.floats((stage.name, "threshold"), threshold)], f"{stage.name}.above"
    )
    return step.op("Cast", [above], stage.name, to=TensorProto.FLOAT)
