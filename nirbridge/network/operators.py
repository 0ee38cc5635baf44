"""Pass-through nodes as matrices: one small function a node type."""

from __future__ import annotations

from dataclasses import dataclass
from functools import singledispatch

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Unsupported
from nirbridge.network.sparse import Sparse
from nirbridge.network.sparse_weight import SparseWeight
from nirbridge.network.windows import bias_of, window_of

Shape = tuple[int, ...]
WINDOWS = (nir.Conv1d, nir.Conv2d, nir.SumPool2d, nir.AvgPool2d)


@dataclass(frozen=True, slots=True, eq=False)
class Operator:
    """y = matrix·x + bias over flattened (row-major) vectors.

    matrix: (n_out, n_in) float64, or what is not zero of it by its making: of windows, scales, weights of
    three and more axes, sparse weights; None for the identity. bias: (n_out,) float64 or None.
    """

    matrix: NDArray[np.float64] | Sparse | None
    bias: NDArray[np.float64] | None
    out_shape: Shape


@singledispatch
def operator(node: nir.NIRNode, name: str, in_shape: Shape) -> Operator:
    """A linear pass-through node on an input of ``in_shape``; raises `Unsupported` (NB201)."""
    raise Unsupported(
        f"node '{name}' ({type(node).__name__}) is not supported yet",
        code="NB201",
        fix="supported between neurons: Linear, Affine, Scale, Flatten, Conv1d, Conv2d, SumPool2d, AvgPool2d",
    )


@operator.register
def _(node: nir.Linear, name: str, in_shape: Shape) -> Operator:
    if isinstance(node.weight, SparseWeight):
        return Operator(node.weight.sparse(), None, _linear_shape(node.weight.shape, name, in_shape))
    return _matrix(np.asarray(node.weight, dtype=np.float64), None, name, in_shape)


@operator.register
def _(node: nir.Affine, name: str, in_shape: Shape) -> Operator:
    weight = np.asarray(node.weight, dtype=np.float64)
    return _matrix(weight, np.asarray(node.bias, dtype=np.float64), name, in_shape)


def _matrix(
    weight: NDArray[np.float64], bias: NDArray[np.float64] | None, name: str, in_shape: Shape
) -> Operator:
    out_shape = _linear_shape(weight.shape, name, in_shape)
    if weight.ndim > 2:
        matrix: NDArray[np.float64] | Sparse = _blocks(weight.reshape(-1, *weight.shape[-2:]))
    else:
        matrix = weight
    size = int(np.prod(out_shape, dtype=np.int64))
    flat = None if bias is None else np.ascontiguousarray(np.broadcast_to(bias, out_shape)).reshape(size)
    return Operator(matrix, flat, out_shape)


def _blocks(weight: NDArray[np.float64]) -> Sparse:
    """A block on the diagonal for each leading index of a weight (n, n_post, n_pre) (SEMANTICS.md §3)."""
    n, posts, pres = weight.shape
    start = np.arange(n * pres + 1) * posts
    targets = np.arange(n * posts).reshape(n, 1, posts).repeat(pres, axis=1).reshape(-1)
    return Sparse(start, targets, weight.transpose(0, 2, 1).reshape(-1), n * posts)


def _linear_shape(weight: Shape, name: str, in_shape: Shape) -> Shape:
    expected = (*weight[:-2], weight[-1])
    if in_shape != expected:
        raise Unsupported(
            f"node '{name}' has a weight of shape {weight}, its input has shape {in_shape}",
            code="NB109",
            fix=f"expected an input of shape {expected}; nirbridge check FILE lists every shape",
        )
    return tuple(int(n) for n in (*weight[:-2], weight[-2]))


@operator.register
def _(node: nir.Scale, name: str, in_shape: Shape) -> Operator:
    scale = np.ascontiguousarray(np.broadcast_to(np.asarray(node.scale, dtype=np.float64), in_shape))
    n = scale.size
    return Operator(Sparse(np.arange(n + 1), np.arange(n), scale.reshape(-1), n), None, in_shape)


@operator.register
def _(node: nir.Flatten, name: str, in_shape: Shape) -> Operator:
    rank = len(in_shape)
    start = int(node.start_dim) + (rank if int(node.start_dim) < 0 else 0)
    end = int(node.end_dim) + (rank if int(node.end_dim) < 0 else 0)
    if not 0 <= start <= end < rank:
        raise Unsupported(
            f"node '{name}' flattens axes {node.start_dim} to {node.end_dim} of an input of shape {in_shape}",
            code="NB116",
            fix="nirbridge check FILE names the axes that exist",
        )
    middle = int(np.prod(in_shape[start : end + 1], dtype=np.int64))
    return Operator(None, None, (*in_shape[:start], middle, *in_shape[end + 1 :]))


@operator.register(nir.Conv1d)
@operator.register(nir.Conv2d)
@operator.register(nir.SumPool2d)
@operator.register(nir.AvgPool2d)
def _(node: nir.NIRNode, name: str, in_shape: Shape) -> Operator:
    window = window_of(node, name, in_shape)
    out_shape = window.out_shape(in_shape)
    return Operator(window.sparse(in_shape), bias_of(node, out_shape), out_shape)


def output_shape(node: nir.NIRNode, name: str, in_shape: Shape) -> Shape:
    """Shape of a pass-through node's output; does not build its matrix."""
    if isinstance(node, nir.Linear | nir.Affine):
        return _linear_shape(np.shape(node.weight), name, in_shape)
    if isinstance(node, nir.Scale | nir.Threshold):
        return in_shape
    if isinstance(node, WINDOWS):
        return window_of(node, name, in_shape).out_shape(in_shape)
    return operator(node, name, in_shape).out_shape
