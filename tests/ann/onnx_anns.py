"""Small ONNX models for the tests, and what onnxruntime says about them."""

from __future__ import annotations

import itertools
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from numpy.typing import NDArray
from onnx import TensorProto, helper, numpy_helper

Node = tuple[str, Sequence[str], str, Mapping[str, Any]]
"""Operator, inputs, output, attributes (``name`` among them)."""


def model(
    nodes: Sequence[Node],
    tensors: Mapping[str, NDArray[Any]],
    shape: Sequence[int],
    *,
    opset: int = 17,
    output: str = "y",
    batch: int | str = "n",
) -> onnx.ModelProto:
    """A model from the input ``x`` (n, *shape) to ``output``."""
    made = [helper.make_node(op, list(ins), [out], **options) for op, ins, out, options in nodes]
    graph = helper.make_graph(
        made,
        "ann",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, [batch, *shape])],
        [helper.make_tensor_value_info(output, TensorProto.FLOAT, None)],
        [numpy_helper.from_array(array, name) for name, array in tensors.items()],
    )
    return helper.make_model(graph, opset_imports=[helper.make_opsetid("", opset)], ir_version=8)


def save(path: Path, *arguments: Any, **options: Any) -> Path:
    """Write a `model` and return its path."""
    onnx.save(model(*arguments, **options), path)
    return path


def expected(path: Path, x: NDArray[np.float32]) -> NDArray[np.float32]:
    """onnxruntime's output, flattened to (n, values)."""
    import onnxruntime

    settings = onnxruntime.SessionOptions()
    settings.log_severity_level = 4
    session = onnxruntime.InferenceSession(str(path), settings, providers=["CPUExecutionProvider"])
    return np.asarray(session.run(None, {"x": x})[0]).reshape(len(x), -1)


def perceptron(rng: np.random.Generator, sizes: Sequence[int], gains: Sequence[float] | None = None) -> Any:
    """(nodes, tensors, shape) of Gemm layers with Relu between them.

    gains: what the weight and bias of each layer but the last are multiplied by; the layer behind it is
    divided by the same, so that the scores stay.
    """
    nodes: list[Node] = []
    tensors, value = {}, "x"
    gains = [*(gains or [1.0] * (len(sizes) - 2)), 1.0]
    before = 1.0
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        last = k == len(sizes) - 2
        weight = rng.normal(0, 1.2 / np.sqrt(n), (m, n)) * gains[k] / before
        tensors[f"w{k}"] = weight.astype(np.float32)
        tensors[f"b{k}"] = (rng.normal(0, 0.1, m) * gains[k]).astype(np.float32)
        before = gains[k]
        out = "y" if last else f"g{k}"
        nodes.append(("Gemm", [value, f"w{k}", f"b{k}"], out, {"transB": 1, "name": f"fc{k}"}))
        if not last:
            nodes.append(("Relu", [out], f"r{k}", {"name": f"relu{k}"}))
            value = f"r{k}"
    return nodes, tensors, (sizes[0],)
