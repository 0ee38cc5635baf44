"""Multiply the outputs or the inputs of one weight node, where that is exact."""

from __future__ import annotations

from copy import deepcopy
from functools import singledispatch
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.quantization import KEY
from nirbridge.passes.row_scaling import float_like

Floats = NDArray[np.float64]


def scale_outputs(node: nir.NIRNode, scale: Any, shift: Any = 0.0) -> nir.NIRNode | None:
    """The weight node whose output is ``scale·y + shift``, or None where no weight node is that.

    scale, shift: broadcast to the output's shape; for a Conv constant in each channel. A Linear that
    gets a shift becomes an Affine. None too for quantised weights, and where a product is not finite.
    """
    if KEY in node.metadata:
        return None
    with np.errstate(over="ignore"):  # looked at afterwards
        return _finite(_outputs(node, _array(scale), _array(shift)))


def scale_inputs(node: nir.NIRNode, scale: Any) -> nir.NIRNode | None:
    """The weight node that reads x as this one reads ``scale·x``, or None where no weight node does.

    scale: broadcast to the input's shape; for a Conv constant in each channel. None too for quantised
    weights, and where a product is not finite.
    """
    if KEY in node.metadata:
        return None
    with np.errstate(over="ignore"):
        return _finite(_inputs(node, _array(scale)))


def _array(value: Any) -> Floats:
    return np.asarray(value, dtype=np.float64)


def _finite(node: Any) -> nir.NIRNode | None:
    if node is None:
        return None
    arrays = [node.weight] if getattr(node, "bias", None) is None else [node.weight, node.bias]
    result: nir.NIRNode = node
    return result if all(np.all(np.isfinite(array)) for array in arrays) else None


@singledispatch
def _outputs(node: nir.NIRNode, scale: Floats, shift: Floats) -> nir.NIRNode | None:
    return None


@_outputs.register(nir.Linear)
@_outputs.register(nir.Affine)
def _(node: nir.Linear | nir.Affine, scale: Floats, shift: Floats) -> nir.NIRNode | None:
    weight = _array(node.weight)
    shape = weight.shape[:-1]
    rows, more = _fitting(scale, shape), _fitting(shift, shape)
    if rows is None or more is None:
        return None
    new = float_like(node.weight, weight * rows[..., None])
    metadata = deepcopy(node.metadata)
    if isinstance(node, nir.Linear) and not np.any(more):
        return nir.Linear(weight=new, metadata=metadata)
    old = node.bias if isinstance(node, nir.Affine) else np.zeros(shape, new.dtype)
    bias = float_like(old, rows * _array(old) + more)
    return nir.Affine(weight=new, bias=bias, metadata=metadata)


@_outputs.register(nir.Conv1d)
@_outputs.register(nir.Conv2d)
def _(node: Any, scale: Floats, shift: Floats) -> nir.NIRNode | None:
    weight = _array(node.weight)
    rows, more = (channels(value, weight.shape[0], weight.ndim - 1) for value in (scale, shift))
    if rows is None or more is None:
        return None
    result: nir.Conv1d | nir.Conv2d = deepcopy(node)
    result.weight = float_like(node.weight, weight * rows.reshape(-1, *[1] * (weight.ndim - 1)))
    old = np.zeros(weight.shape[0], result.weight.dtype) if node.bias is None else node.bias
    result.bias = float_like(old, np.broadcast_to(_array(old), rows.shape) * rows + more)
    return result


@singledispatch
def _inputs(node: nir.NIRNode, scale: Floats) -> nir.NIRNode | None:
    return None


@_inputs.register(nir.Linear)
@_inputs.register(nir.Affine)
def _(node: nir.Linear | nir.Affine, scale: Floats) -> nir.NIRNode | None:
    weight = _array(node.weight)
    columns = _fitting(scale, (*weight.shape[:-2], weight.shape[-1]))
    if columns is None:
        return None
    result: nir.Linear | nir.Affine = deepcopy(node)
    result.weight = float_like(node.weight, weight * columns[..., None, :])
    return result


@_inputs.register(nir.Conv1d)
@_inputs.register(nir.Conv2d)
def _(node: Any, scale: Floats) -> nir.NIRNode | None:
    weight = _array(node.weight)
    n_out, per_group, groups = weight.shape[0], weight.shape[1], int(node.groups)
    columns = channels(scale, per_group * groups, weight.ndim - 1)
    if columns is None:
        return None
    group = np.arange(n_out) // (n_out // groups)
    of_output = columns.reshape(groups, per_group)[group]
    result: nir.Conv1d | nir.Conv2d = deepcopy(node)
    result.weight = float_like(
        node.weight, weight * of_output.reshape(n_out, per_group, *[1] * (weight.ndim - 2))
    )
    return result


def _fitting(value: Floats, shape: tuple[int, ...]) -> Floats | None:
    """The value broadcast to a shape, or None where it has another one."""
    try:
        return np.broadcast_to(value, shape)
    except ValueError:
        return None


def channels(value: Floats, n: int, rank: int) -> Floats | None:
    """(n,) one value a channel of an array of ``rank`` axes, or None where it varies within a channel."""
    if value.size == 1:
        return np.full(n, value.reshape(-1)[0])
    if value.ndim != rank or value.shape[0] not in (1, n):
        return None
    flat = value.reshape(value.shape[0], -1)
    return np.broadcast_to(flat[:, 0], (n,)) if np.all(flat == flat[:, :1]) else None
