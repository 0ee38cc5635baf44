"""Rules about the values of single nodes: NB101, NB102, NB111, NB114, NB115, NB120 to NB127."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Finding, Level
from nirbridge.validate.fields import FIELDS, field_values, type_name
from nirbridge.validate.report import found, offender
from nirbridge.validate.shapes import MAX_PADDING, Shape, conv_axes, integers
from nirbridge.validate.view import View

Spiking = nir.IF | nir.LIF | nir.CubaLIF
_MAX_DELAY_STEPS = 10**6


def numbers(value: Any) -> NDArray[Any] | None:
    """The value as an array of numbers, or None if it is something else."""
    array = np.asarray(value)
    return array if array.dtype.kind in "biuf" else None


def stored(value: Any) -> Any:
    """The numbers that a weight holds: of a sparse one in memory those alone, of any other all."""
    held = getattr(value, "values", None)
    return held if isinstance(held, np.ndarray) else value


def _taus(node: nir.NIRNode) -> Iterator[tuple[str, NDArray[Any]]]:
    for name in ("tau", "tau_mem", "tau_syn"):
        values = numbers(getattr(node, name, None))
        if values is not None:
            yield name, values


def fields(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB101: a node type outside NIR; NB102: a field without a value; NB127: one that is no number."""
    kind = type_name(node)
    if kind not in FIELDS:
        what = f"unknown node type, expected one of {', '.join(FIELDS)}"
        yield found("NB101", "error", name, kind, what)
    for key, value in field_values(node):
        if value is None and key in FIELDS[kind].required and key != "shape":
            yield found("NB102", "error", name, kind, f"field '{key}' is missing, expected an array")
        elif value is not None and not isinstance(value, str) and numbers(stored(value)) is None:
            what = f"{key} holds {np.asarray(stored(value)).dtype}, expected numbers"
            yield found("NB127", "error", name, kind, what, "store plain integers or floats")


def parameter_shapes(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB111: parameters of two shapes, or without a shape."""
    kind = type_name(node)
    names = FIELDS[kind].parameters if kind in FIELDS else ()
    shapes = {key: np.shape(value) for key in names if (value := getattr(node, key, None)) is not None}
    if len({shape for shape in shapes.values() if shape}) > 1:
        listed = ", ".join(f"{key} {shape}" for key, shape in shapes.items() if shape)
        what = f"parameters have different shapes ({listed}), expected one shape"
        yield found("NB111", "error", name, kind, what, "give every parameter the shape of the node")
    scalars = [key for key, shape in shapes.items() if not shape]
    if scalars:
        what = f"{', '.join(scalars)} without a shape, expected one value a neuron"
        yield found("NB111", "warning", name, kind, what, "nirbridge check FILE --fix")


def windows(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB114: sizes of a Conv or pool that make no sense; NB115: 'same' with a stride."""
    for what in _window_problems(name, node, view):
        yield found("NB114", "error", name, type_name(node), what, "correct the size")
    if isinstance(node, nir.Conv1d | nir.Conv2d) and isinstance(node.padding, str):
        stride = integers(node.stride, conv_axes(node))
        if node.padding == "same" and stride is not None and set(stride) != {1}:
            what = f"padding is 'same' with stride {stride}, expected stride 1"
            yield found("NB115", "error", name, type_name(node), what, "state the padding in numbers")


def _window_problems(name: str, node: nir.NIRNode, view: View) -> Iterator[str]:
    arriving = view.arriving.get(name)
    if isinstance(node, nir.Conv1d | nir.Conv2d):
        axes = conv_axes(node)
        kernel: Shape | None = np.shape(node.weight)[2:]
        sizes: dict[str, Any] = {"stride": node.stride, "dilation": node.dilation}
        groups = integers(node.groups, 1)
        if groups is None or groups[0] < 1 or (np.shape(node.weight) or (1,))[0] % groups[0]:
            yield f"groups is {node.groups}, expected a divisor of the {np.shape(node.weight)[:1]} outputs"
    elif isinstance(node, nir.SumPool2d | nir.AvgPool2d):
        axes, kernel, sizes = 2, integers(node.kernel_size, 2), {"stride": node.stride}
        if kernel is None:
            yield f"kernel_size is {node.kernel_size}, expected 1 or 2 whole numbers"
    else:
        return
    ok = True
    if kernel is not None and (len(kernel) != axes or min(kernel) < 1):
        yield f"kernel is {kernel}, expected {axes} sizes of at least 1"
        ok = False
    for key, value in sizes.items():
        steps = integers(value, axes)
        if steps is None or min(steps) < 1:
            yield f"{key} is {value}, expected {axes} whole numbers of at least 1"
            ok = False
    padding = (0,) * axes if isinstance(node.padding, str) else integers(node.padding, axes)
    if isinstance(node.padding, str) and node.padding not in ("same", "valid"):
        yield f"padding is {node.padding[:40]!a}, expected 'same', 'valid' or {axes} whole numbers"
    elif padding is None or min(padding) < 0 or max(padding) > MAX_PADDING:
        yield f"padding is {node.padding}, expected {axes} whole numbers from 0 to {MAX_PADDING}"
        ok = False
    if not ok or kernel is None or padding is None or arriving is None or len(arriving) != axes + 1:
        return
    dilation = integers(sizes.get("dilation", 1), axes) or (1,) * axes
    for axis in range(axes):
        span, room = dilation[axis] * (kernel[axis] - 1) + 1, arriving[axis + 1] + 2 * padding[axis]
        if span > room and not (isinstance(node.padding, str) and node.padding == "same"):
            yield f"its kernel spans {span} on axis {axis + 1}, the padded input has only {room}"


def finite(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB120: NaN or Inf."""
    for key, value in field_values(node):
        array = numbers(stored(value)) if value is not None else None
        if array is not None and array.dtype.kind == "f" and not np.isfinite(array).all():
            what = offender(key, array, ~np.isfinite(array), "a finite number")
            yield found("NB120", "error", name, type_name(node), what, "train or export again")


def time_constants(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB121: a time constant that is zero or negative."""
    for key, tau in _taus(node):
        if (tau <= 0).any():
            what = offender(key, tau, tau <= 0, "> 0")
            yield found("NB121", "error", name, type_name(node), what, "no unit can mend it: export again")


def thresholds(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB122: a threshold at or below zero or the reset; NB123: a leak that alone makes it fire."""
    if not isinstance(node, Spiking):
        return
    theta, reset = numbers(node.v_threshold), numbers(0.0 if node.v_reset is None else node.v_reset)
    leak = numbers(getattr(node, "v_leak", 0.0))
    if theta is None or reset is None or leak is None or not _together(theta, reset, leak):
        return
    for key, values, wrong, expected, code in _threshold_tests(theta, reset, leak):
        if wrong.any():
            level: Level = "warning" if code == "NB122" else "info"
            what = offender(key, np.broadcast_to(values, wrong.shape), wrong, expected)
            yield found(code, level, name, type_name(node), what)


def _threshold_tests(
    theta: NDArray[Any], reset: NDArray[Any], leak: NDArray[Any]
) -> Iterator[tuple[str, NDArray[Any], NDArray[np.bool_], str, str]]:
    yield "v_threshold", theta, theta <= 0, "> 0", "NB122"
    yield "v_reset", reset, np.asarray(reset >= theta), "below v_threshold", "NB122"
    yield "v_leak", leak, np.asarray(leak > theta), "at most v_threshold, else it fires unaided", "NB123"


def _together(*arrays: NDArray[Any]) -> bool:
    return len({array.shape for array in arrays if array.ndim}) <= 1


def gains(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB124: a resistance that is not positive, or an input weight of zero."""
    r, w_in = numbers(getattr(node, "r", None)), numbers(getattr(node, "w_in", None))
    if r is not None and (r <= 0).any():
        yield found("NB124", "warning", name, type_name(node), offender("r", r, r <= 0, "> 0"))
    if w_in is not None and (w_in == 0).any():
        what = offender("w_in", w_in, w_in == 0, "other than 0")
        yield found("NB124", "warning", name, type_name(node), what)


def delays(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB125: a negative delay, one off the grid of dt, or one of more than 10^6 steps."""
    delay = numbers(node.delay) if isinstance(node, nir.Delay) else None
    if delay is None:
        return
    if (delay < 0).any():
        yield found("NB125", "error", name, "Delay", offender("delay", delay, delay < 0, ">= 0"))
    elif view.semantics is not None:
        steps = delay.astype(np.float64) * (view.semantics.time_unit / view.semantics.dt)
        off = np.abs(steps - np.round(steps)) > 1e-3
        if (off | (steps > _MAX_DELAY_STEPS)).any():
            expected = f"at most 10^6 whole steps of dt = {view.semantics.dt:g} s"
            what = offender("delay", delay, off | (steps > _MAX_DELAY_STEPS), expected)
            yield found("NB125", "warning", name, "Delay", what, "it is rounded to whole steps")


def silent_weights(name: str, node: nir.NIRNode, view: View) -> Iterator[Finding]:
    """NB126: outputs whose weights are all zero."""
    weight = getattr(node, "weight", None)
    weight = numbers(weight) if stored(weight) is weight else weight
    if weight is None or weight.ndim < 2 or weight.size == 0:
        return
    matrix = isinstance(node, nir.Linear | nir.Affine)
    axes = (weight.ndim - 1,) if matrix else tuple(range(1, weight.ndim))
    silent = ~weight.any(axis=axes)
    if silent.any():
        what = f"{int(silent.sum())} of {silent.size} outputs have only zero weights"
        yield found("NB126", "info", name, type_name(node), what, "prune them")
