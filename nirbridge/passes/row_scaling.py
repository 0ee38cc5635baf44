"""Multiply what arrives at a population, neuron by neuron, inside the weight nodes in front of it."""

from __future__ import annotations

from collections.abc import Mapping
from copy import deepcopy
from dataclasses import replace
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Finding, Unsupported
from nirbridge.graph.quantization import KEY, Quantization, quantization_of

ROUNDING = 1e-6


def is_one(factor: NDArray[np.float64]) -> bool:
    """True where a factor differs from 1 by no more than float32 storage explains."""
    return bool(np.all(np.abs(factor - 1.0) <= ROUNDING))


def scale_rows(
    graph: nir.NIRGraph, factors: Mapping[str, NDArray[np.float64]], reason: str
) -> dict[str, nir.NIRNode]:
    """New weight nodes such that node n receives ``factors[n]·x``; W and bias rows are scaled.

    Integer weights keep their integers, their scale is multiplied. factors: node name -> (size,) float64.
    Raises `Unsupported` (NB202) where something other than a Linear or Affine feeds the node, or a weight
    node feeds two nodes whose factors differ, and (NB212) where integer weights have one scale for rows
    whose factors differ, or a factor below 0.
    """
    wanted: dict[str, NDArray[np.float64]] = {}
    for a, b in graph.edges:
        if b not in factors or is_one(factors[b]):
            continue
        node = graph.nodes[a]
        if not isinstance(node, nir.Linear | nir.Affine):
            raise refused(
                "NB202",
                b,
                f"node '{b}' is fed by '{a}' ({type(node).__name__}), {reason} needs Linear or Affine there",
                "put an identity Linear between the two",
            )
        if KEY in node.metadata and _scaled_integers(node, a, factors[b]) is None:
            raise refused(
                "NB212",
                a,
                f"node '{a}' is quantised already, {reason} would multiply its rows by {factors[b].min():g} "
                f"to {factors[b].max():g}, and its integers have one scale",
                "run this pass before quantize-weights; weights that were trained with bits: run it on the "
                "float graph, and train with [graph] file = that graph",
            )
        others = [t for s, t in graph.edges if s == a and t != b]
        if any(t not in factors or not np.array_equal(factors[t], factors[b]) for t in others):
            raise refused(
                "NB202",
                a,
                f"weight node '{a}' feeds '{b}' and {', '.join(map(repr, others))}, which need other scales",
                "give each target its own copy of the weight node",
            )
        wanted[a] = factors[b]
    return {name: _scaled(graph.nodes[name], name, factor) for name, factor in wanted.items()}


def _scaled(node: Any, name: str, factor: NDArray[np.float64]) -> nir.NIRNode:
    """A Linear or Affine with its rows multiplied, in the float type that it had."""
    result: nir.Linear | nir.Affine = deepcopy(node)
    rows = factor.reshape(np.shape(result.weight)[:-1])
    integers = _scaled_integers(node, name, factor)
    if integers is None:
        result.weight = float_like(result.weight, np.asarray(result.weight, np.float64) * rows[..., None])
    else:
        result.weight, result.metadata[KEY] = integers.weight(), integers.as_metadata()
    if isinstance(result, nir.Affine):
        result.bias = float_like(result.bias, np.asarray(result.bias, np.float64) * rows)
    return result


def _scaled_integers(node: nir.NIRNode, name: str, factor: NDArray[np.float64]) -> Quantization | None:
    """The same integers with a scale times the factor of each row; None where no such scale exists."""
    old = quantization_of(node, name)
    if old is None or np.any(factor <= 0):
        return None
    if old.axis != 0:
        if old.axis > 0 or not is_one(factor / factor[0]):
            return None
        factor = factor[:1]
    elif old.scale.size != factor.size:
        return None
    scale = old.scale.astype(np.float64) * factor
    return replace(old, scale=scale.astype(old.scale.dtype))


def float_like(old: Any, new: NDArray[np.float64]) -> NDArray[Any]:
    """``new`` in the float type of ``old``; where that holds integers, as float64."""
    dtype = np.asarray(old).dtype
    return new.astype(dtype) if np.issubdtype(dtype, np.floating) else new


def refused(code: str, node: str, message: str, fix: str) -> Unsupported:
    """The error about one node that keeps a pass from applying."""
    finding = Finding(code=code, level="error", node=node, message=message, fix=fix)
    return Unsupported(message, code=code, fix=fix, findings=[finding])
