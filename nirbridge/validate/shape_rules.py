"""Rules about shapes: NB109, NB110, NB112, NB113, NB116, NB117."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import Any

import nir
import numpy as np

from nirbridge.errors import Finding
from nirbridge.validate.fields import type_name
from nirbridge.validate.report import found
from nirbridge.validate.shapes import (
    MAX_ELEMENTS,
    Shape,
    as_shape,
    conv_axes,
    fits,
    flattened_axes,
    input_shape,
    integers,
    unbatched,
)
from nirbridge.validate.view import View

_FIX = "nirbridge check FILE --fix"


def _shown(shape: Shape) -> str:
    inside = ", ".join("any" if n == -1 else str(n) for n in shape)
    return f"({inside},)" if len(shape) == 1 else f"({inside})"


def edges(view: View) -> Iterator[Finding]:
    """NB109: shapes differ along an edge or at a fan-in; NB116 where only a batch axis is too many."""
    batched: set[str] = set()
    for b, node in view.flat.nodes.items():
        demanded = input_shape(node)
        sources = [a for a in view.flat.before[b] if a in view.out]
        if demanded is None and isinstance(node, nir.SumPool2d | nir.AvgPool2d):
            demanded = (-1, -1, -1)
        elif demanded is None and sources:
            demanded = view.out[sources[0]]
        for a in sources:
            given = view.out[a]
            if demanded is None or fits(given, demanded):
                continue
            if isinstance(node, nir.Output | nir.Flatten) and unbatched(demanded, given):
                batched.add(b)
            else:
                what = f"expects an input of shape {_shown(demanded)}, '{a}' sends {_shown(given)}"
                yield found("NB109", "error", b, type_name(node), what, "correct one of the two nodes")
    for name in [*view.flat.inputs(), *sorted(batched)]:
        node = view.flat.nodes[name]
        shape = input_shape(node) or ()
        if name in batched or view.out.get(name, shape) != shape:
            what = f"its shape {_shown(shape)} keeps a batch axis, expected the shape of one sample"
            yield found("NB116", "warning", name, type_name(node), what, _FIX)


def weight_ranks(view: View) -> Iterator[Finding]:
    """NB109: a weight with the wrong number of axes."""
    for name, node in view.flat.nodes.items():
        if isinstance(node, nir.Linear | nir.Affine):
            wrong, expected = np.ndim(node.weight) < 2, "at least 2"
        elif isinstance(node, nir.Conv1d | nir.Conv2d):
            axes = conv_axes(node) + 2
            wrong, expected = np.ndim(node.weight) != axes, str(axes)
        else:
            continue
        if wrong:
            what = f"weight has {np.ndim(node.weight)} axes, expected {expected}"
            yield found("NB109", "error", name, type_name(node), what, "export the weight again")


def transposed(view: View) -> Iterator[Finding]:
    """NB110: a weight stored as (in, out)."""
    fix = f"{_FIX} --transpose all, or mismatched" if square_weights(view) else _FIX
    for name in transposed_weights(view):
        node: Any = view.flat.nodes[name]
        rows, columns = np.shape(node.weight)
        what = f"weight has shape ({rows}, {columns}), it fits only as ({columns}, {rows})"
        yield found("NB110", "error", name, type_name(node), f"{what}: NIR stores (out, in)", fix)


def square_weights(view: View) -> bool:
    """Whether a square weight stands in the file, which leaves open in which order it is stored."""
    shapes = (np.shape(n.weight) for n in view.flat.nodes.values() if isinstance(n, nir.Linear | nir.Affine))
    return any(len(shape) == 2 and shape[0] == shape[1] for shape in shapes)


def transposed_weights(view: View) -> list[str]:
    """Linear and Affine nodes whose weight fits its neighbours only when transposed."""
    result = []
    for name, node in view.flat.nodes.items():
        if not isinstance(node, nir.Linear | nir.Affine) or np.ndim(node.weight) != 2:
            continue
        rows, columns = np.shape(node.weight)
        given = view.arriving.get(name) if view.flat.before[name] else None
        demands = [input_shape(view.flat.nodes[b]) for b in view.flat.after[name]]
        if rows != columns and given == (rows,) and all(d in (None, (columns,)) for d in demands):
            result.append(name)
    return result


def biases(view: View) -> Iterator[Finding]:
    """NB112: a bias that has not one value an output."""
    for name, node in view.flat.nodes.items():
        if isinstance(node, nir.Affine) and np.ndim(node.weight) >= 2:
            expected = np.shape(node.weight)[:-1]
        elif isinstance(node, nir.Conv1d | nir.Conv2d) and np.ndim(node.weight) == conv_axes(node) + 2:
            expected = np.shape(node.weight)[:1]
        else:
            continue
        if node.bias is not None and np.shape(node.bias) != expected:
            got = f"{_shown(np.shape(node.bias))} ({np.asarray(node.bias).dtype})"
            what = f"bias has shape {got}, expected {_shown(expected)}"
            yield found("NB112", "error", name, type_name(node), what, "use zeros for no bias, or a Linear")


def inferred_types(view: View) -> Iterator[Finding]:
    """NB113: nir computes another output shape; nirbridge uses its own."""
    for name, node in view.flat.nodes.items():
        if not isinstance(node, nir.Conv1d | nir.Conv2d):
            continue
        kernel, groups = np.shape(node.weight)[2:], integers(node.groups, 1)
        reasons = ["its kernel is not square"] if len(set(kernel)) > 1 else []
        reasons += ["it has groups"] if groups not in (None, (1,)) else []
        if reasons:
            what = f"nir infers a wrong type because {' and '.join(reasons)}"
            fix = "read the file elsewhere with nir.read(path, type_check=False)"
            yield found("NB113", "info", name, type_name(node), what, fix)


def flatten_axes(view: View) -> Iterator[Finding]:
    """NB116: a Flatten of axes that do not exist."""
    for name, node in view.flat.nodes.items():
        if not isinstance(node, nir.Flatten):
            continue
        shape = input_shape(node) or view.arriving.get(name)
        if shape is not None and flattened_axes(node, len(shape)) is None:
            axes = f"{node.start_dim} to {node.end_dim}"
            what = (
                f"flattens axes {axes} of an input of shape {_shown(shape)}, expected axes in order from it"
            )
            yield found("NB116", "error", name, "Flatten", what, "count axes from 0, without a batch axis")


def ports(view: View) -> Iterator[Finding]:
    """NB117: a port without a usable shape."""
    for name, node in view.flat.nodes.items():
        if not isinstance(node, nir.Input | nir.Output):
            continue
        types = node.input_type if isinstance(node, nir.Input) else node.output_type
        value = next(iter((types or {}).values()), None)
        shape = as_shape(value)
        if value is not None and np.size(value) == 0:
            what = "its shape is empty, expected one size an axis"
            yield found("NB117", "warning", name, type_name(node), what, _FIX)
        elif shape is None:
            stated = "has no shape" if value is None else f"its shape is {np.asarray(value).tolist()!a:.60}"
            what = f"{stated}, expected a list of whole numbers"
            yield found("NB117", "error", name, type_name(node), what, "state its shape")
        elif min(shape) < 1 or math.prod(shape) > MAX_ELEMENTS:
            what = f"its shape is {_shown(shape)}, expected sizes of at least 1 and at most 2^31 elements"
            yield found("NB117", "error", name, type_name(node), what, "state its shape")
