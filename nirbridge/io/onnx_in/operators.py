"""What each ONNX operator becomes: one small function an operator, by its name in `OPERATORS`.

A function reads its node's inputs and attributes and appends layers, or gives a constant. It raises
`Problem` where this use of the operator has no spiking form.
"""

from __future__ import annotations

import math
from collections.abc import Callable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.ann.types import Convolution, Dense, Flatten, Normalization, Relu, Sum
from nirbridge.io.onnx_in.node import Node, Problem, Reading
from nirbridge.io.onnx_in.pooling import average_pool, conv_window, global_average_pool, max_pool
from nirbridge.io.onnx_in.tensors import dtype_of


def gemm(node: Node, reading: Reading) -> None:
    """Y = alpha·A'·B' + beta·C, A the samples, B and C constant."""
    a = node.attributes(reading.path, alpha=1.0, beta=1.0, transA=0, transB=0)
    if a["transA"]:
        raise Problem("Gemm with transA=1 (the batch would be its last axis)")
    x = reading.varying(node, 0)
    b = reading.weight(node, 1)
    if b.ndim != 2:
        raise Problem(f"Gemm with a weight of {b.ndim} axes")
    weight = (b if a["transB"] else b.T).astype(np.float64) * a["alpha"]
    bias = np.zeros(len(weight))
    if reading.argument(node, 2) is not None:
        bias = a["beta"] * _row(reading.weight(node, 2), len(weight), node).astype(np.float64)
    reading.layer(node, Dense(_float32(weight), _float32(bias)), x)


def matmul(node: Node, reading: Reading) -> None:
    """Y = A·B, A the samples as rows, B a constant matrix."""
    node.attributes(reading.path)
    x = reading.varying(node, 0)
    b = reading.weight(node, 1)
    if b.ndim != 2 or len(reading.shape_of(x)) != 1:
        raise Problem("MatMul of more than rows with a matrix")
    reading.layer(node, Dense(_float32(b.T), np.zeros(b.shape[1], np.float32)), x)


def conv(node: Node, reading: Reading) -> None:
    """Cross-correlation over one or two axes."""
    x, weight = reading.varying(node, 0), reading.weight(node, 1)
    window, groups = conv_window(node, reading, weight.shape)
    bias = np.zeros(weight.shape[0], np.float32)
    if reading.argument(node, 2) is not None:
        bias = _row(reading.weight(node, 2), weight.shape[0], node)
    reading.layer(node, Convolution(np.ascontiguousarray(weight), bias, window, groups), x)


def batch_normalization(node: Node, reading: Reading) -> None:
    """y = (x − mean)/√(var + ε)·scale + B per channel, as in inference."""
    a = node.attributes(reading.path, epsilon=1e-5, momentum=0.9, training_mode=0, spatial=1)
    if a["training_mode"] or not a["spatial"] or len(node.outputs) > 1:
        raise Problem("BatchNormalization in training mode or without spatial")
    x = reading.varying(node, 0)
    scale, shift, mean, var = (reading.weight(node, at).astype(np.float64) for at in (1, 2, 3, 4))
    channels = reading.shape_of(x)[0]
    if any(v.shape != (channels,) for v in (scale, shift, mean, var)) or (var + a["epsilon"] <= 0).any():
        raise Problem("BatchNormalization whose parameters do not fit its channels")
    factor = scale / np.sqrt(var + a["epsilon"])
    reading.layer(node, Normalization(factor, shift - mean * factor), x)


def relu(node: Node, reading: Reading) -> None:
    """y = max(x, 0)."""
    node.attributes(reading.path)
    reading.layer(node, Relu(), reading.varying(node))


def add(node: Node, reading: Reading) -> None:
    """The sum of two branches, or a bias that is constant over a channel."""
    node.attributes(reading.path)
    first, second = reading.argument(node, 0), reading.argument(node, 1)
    if first in reading.names and second in reading.names:
        reading.layer(node, Sum(), str(first), str(second))
        return
    at = 0 if first in reading.names else 1
    x, constant = reading.varying(node, at), reading.weight(node, 1 - at)
    shape = reading.shape_of(x)
    wide = constant.reshape((1,) * (len(shape) + 1 - constant.ndim) + constant.shape)
    if wide.ndim != len(shape) + 1 or any(n != 1 for n in (wide.shape[0], *wide.shape[2:])):
        raise Problem("Add of a constant that differs within a channel")
    if wide.shape[1] not in (1, shape[0]):
        raise Problem("Add of a constant that does not fit its channels")
    shift = np.broadcast_to(wide.reshape(-1).astype(np.float64), (shape[0],))
    reading.layer(node, Normalization(np.ones(shape[0]), np.ascontiguousarray(shift)), x)


def flatten(node: Node, reading: Reading) -> None:
    """All axes of a sample into one."""
    axis = node.attributes(reading.path, axis=1)["axis"]
    x = reading.varying(node)
    rank = len(reading.shape_of(x)) + 1
    if axis not in (1, 1 - rank):
        raise Problem("Flatten that does not start behind the batch axis")
    reading.layer(node, Flatten(), x)


def reshape(node: Node, reading: Reading) -> None:
    """Only what flattens every sample, or leaves it as it is."""
    allow_zero = node.attributes(reading.path, allowzero=0)["allowzero"]
    name = reading.argument(node, 0)
    wanted = reading.constant(node, 1)
    if wanted.ndim != 1 or wanted.dtype.kind not in "iu":
        raise Problem("Reshape whose shape is no list of integers")
    target = [int(n) for n in wanted.tolist()]
    if name in reading.constants:
        reading.constants[node.outputs[0]] = _reshaped(reading.constants[str(name)], target, node)
        return
    x = reading.varying(node)
    shape = reading.shape_of(x)
    size = math.prod(shape)
    if len(target) < 2 or (0 in target and allow_zero):
        raise Problem("Reshape that does not keep the batch axis")
    rest = tuple(shape[at] if n == 0 and at < len(shape) else n for at, n in enumerate(target[1:]))
    # a batch of 1 or −1 keeps the batch where the rest holds a whole sample; 0 keeps it in any case
    if -1 in rest and target[0] != -1:
        known = math.prod(n for n in rest if n != -1)
        rest = tuple(size // known if n == -1 and known > 0 else n for n in rest)
    if math.prod(rest) != size or min(rest) < 1:
        raise Problem("Reshape that does not keep the batch axis")
    if rest == shape:
        reading.same(node, x)
    elif len(rest) == 1:
        reading.layer(node, Flatten(), x)
    else:
        raise Problem("Reshape other than Flatten")


def transpose(node: Node, reading: Reading) -> None:
    """Of constants only."""
    perm = node.attributes(reading.path, perm=[])["perm"]
    name = reading.argument(node, 0)
    if name is None or name not in reading.constants:
        raise Problem("Transpose of what is not constant")
    array = reading.constants[name]
    if perm and sorted(perm) != list(range(array.ndim)):
        raise Problem("Transpose with axes that are not there")
    reading.constants[node.outputs[0]] = np.transpose(array, perm or None)


def cast(node: Node, reading: Reading) -> None:
    """Of constants; of activations only to a float type, which changes nothing here."""
    to = node.attributes(reading.path, to=0, saturate=1, round_mode="up")["to"]
    dtype = dtype_of(to)
    name = reading.argument(node, 0)
    if dtype is None or name is None:
        raise Problem("Cast to a type that is no plain number")
    if name in reading.constants:
        with np.errstate(all="ignore"):
            reading.constants[node.outputs[0]] = reading.constants[name].astype(dtype)
    elif dtype.kind == "f":
        reading.same(node, reading.varying(node))
    else:
        raise Problem("Cast of activations to integers")


def constant(node: Node, reading: Reading) -> None:
    """A value that stands in the node itself."""
    empty: dict[str, Any] = {"value": None, "value_float": None, "value_int": None}
    a = node.attributes(reading.path, **empty, value_floats=None, value_ints=None)
    found = [v for v in a.values() if v is not None]
    if len(found) != 1 or isinstance(found[0], str):
        raise Problem("Constant without a numeric value")
    array = np.asarray(found[0])
    if array.dtype == np.float64 and a["value"] is None:
        array = array.astype(np.float32)
    if array.dtype.kind == "f" and not np.isfinite(array).all():
        raise Problem("Constant that is not finite")
    reading.constants[node.outputs[0]] = array


def identity(node: Node, reading: Reading) -> None:
    """The value itself."""
    node.attributes(reading.path)
    _passed(node, reading)


def dropout(node: Node, reading: Reading) -> None:
    """Nothing, in inference."""
    node.attributes(reading.path, ratio=0.5, seed=0)
    if len(node.outputs) > 1 and node.outputs[1] in reading.wanted:
        raise Problem("Dropout whose mask is used")
    if reading.argument(node, 2) is not None and np.any(reading.constant(node, 2)):
        raise Problem("Dropout in training mode")
    _passed(node, reading)


def softmax(node: Node, reading: Reading) -> None:
    """Left out at the output: it keeps the order of the scores, which is all that a class needs."""
    axis = node.attributes(reading.path, axis=1 if reading.opset < 13 else -1)["axis"]
    x = reading.varying(node)
    if node.outputs[0] != reading.output or len(reading.shape_of(x)) != 1 or axis not in (1, -1):
        raise Problem(f"{node.op} that is not over the classes at the output")
    reading.notes.append(
        f"{node.op} {node.shown} at the output is left out: it keeps the order of the scores"
    )
    reading.same(node, x)


def _passed(node: Node, reading: Reading) -> None:
    name = reading.argument(node, 0)
    if name is None:
        raise Problem(f"{node.op} without an input")
    reading.same(node, name)


def _row(array: NDArray[np.float32], n: int, node: Node) -> NDArray[np.float32]:
    """A bias of n values out of what broadcasts to (batch, n) without a batch of its own."""
    if array.size not in (1, n) or array.shape[-1:] not in ((), (1,), (n,)):
        raise Problem(f"{node.op} with a bias of shape {array.shape} for {n} outputs")
    return np.ascontiguousarray(np.broadcast_to(array.reshape(-1), (n,)))


def _reshaped(array: NDArray[Any], target: list[int], node: Node) -> NDArray[Any]:
    shape = [array.shape[at] if n == 0 and at < array.ndim else n for at, n in enumerate(target)]
    try:
        return array.reshape(shape)
    except ValueError as cause:
        raise Problem(f"{node.op} of a constant to a shape that does not fit") from cause


def _float32(array: NDArray[Any]) -> NDArray[np.float32]:
    return np.ascontiguousarray(array, np.float32)


OPERATORS: dict[str, Callable[[Node, Reading], None]] = {
    "Add": add,
    "AveragePool": average_pool,
    "BatchNormalization": batch_normalization,
    "Cast": cast,
    "Constant": constant,
    "Conv": conv,
    "Dropout": dropout,
    "Flatten": flatten,
    "Gemm": gemm,
    "GlobalAveragePool": global_average_pool,
    "Identity": identity,
    "LogSoftmax": softmax,
    "MatMul": matmul,
    "MaxPool": max_pool,
    "Relu": relu,
    "Reshape": reshape,
    "Softmax": softmax,
    "Transpose": transpose,
}
