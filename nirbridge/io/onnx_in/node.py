"""One operator of an ONNX graph, and what has been read before it."""

from __future__ import annotations

import re
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.ann import Layer, Op, layer_shape
from nirbridge.ann.types import Shape
from nirbridge.errors import BadInput
from nirbridge.io.onnx_in.limits import refused
from nirbridge.io.onnx_in.tensors import tensor

_FLOAT, _INT, _STRING, _TENSOR, _FLOATS, _INTS = 1, 2, 3, 4, 6, 7
_RESERVED = ("input", "readout", "output")


class Problem(Exception):
    """What keeps a known operator from being converted; collected, so that all are listed at once."""

    def __init__(self, what: str) -> None:
        super().__init__(what)
        self.what = what


@dataclass(frozen=True, slots=True, eq=False)
class Node:
    """An operator: ``op`` with its domain unless it is ONNX's own; ``inputs`` that are given, in order."""

    at: int
    op: str
    name: str
    arguments: tuple[str, ...]
    outputs: tuple[str, ...]
    proto: Any

    @staticmethod
    def of(proto: Any, at: int) -> Node:
        """The node at place ``at`` of the graph."""
        own = proto.domain in ("", "ai.onnx")
        op = proto.op_type if own else f"{proto.domain}.{proto.op_type}"
        outputs = tuple(name for name in proto.output if name)
        op = ascii(op[:80])[1:-1]
        return Node(at, op, proto.name or (outputs[0] if outputs else ""), tuple(proto.input), outputs, proto)

    @property
    def inputs(self) -> tuple[str, ...]:
        return tuple(name for name in self.arguments if name)

    @property
    def shown(self) -> str:
        """The name as a message prints it."""
        return f"'{ascii(self.name[:60])[1:-1]}'"

    def attributes(self, path: Path, **defaults: Any) -> dict[str, Any]:
        """The attributes by name, ``defaults`` for those that are not there.

        Raises `Problem` for one that is not among the defaults, `BadInput` (NB014) for one of another kind.
        """
        values = dict(defaults)
        for proto in self.proto.attribute:
            name = ascii(proto.name[:60])[1:-1]
            if name not in defaults:
                raise Problem(f"{self.op} with the attribute {name}")
            values[name] = _attribute(proto, defaults[name], self, path)
        return values


def _attribute(proto: Any, default: Any, node: Node, path: Path) -> Any:
    found: Callable[[], Any] | None = {
        _FLOAT: lambda: float(proto.f),
        _INT: lambda: int(proto.i),
        _STRING: lambda: proto.s.decode("utf-8", errors="replace"),
        _TENSOR: lambda: tensor(proto.t, path),
        _FLOATS: lambda: [float(v) for v in proto.floats],
        _INTS: lambda: [int(v) for v in proto.ints],
    }.get(proto.type)
    value = found() if found is not None else None
    if default == [] and proto.type != _INTS:
        value = None
    if value is None or (default is not None and type(value) is not type(default)):
        what = f"operator {node.shown}: attribute {proto.name[:60]!a} is of another type than {node.op} has"
        raise refused(path, what, code="NB014")
    return value


@dataclass(slots=True)
class Reading:
    """What the nodes so far gave: constants by value name, layers, and the layer behind a value name.

    output: the value name of the graph's output; wanted: value names that are read; unknown: those that
    a problem keeps from being known.
    """

    opset: int
    path: Path
    input: str
    shape: Shape
    constants: dict[str, NDArray[Any]] = field(default_factory=dict)
    layers: list[Layer] = field(default_factory=list)
    names: dict[str, str] = field(default_factory=dict)
    shapes: dict[str, Shape] = field(default_factory=dict)
    output: str = ""
    wanted: set[str] = field(default_factory=set)
    unknown: set[str] = field(default_factory=set)
    notes: list[str] = field(default_factory=list)
    taken: set[str] = field(default_factory=lambda: set(_RESERVED))

    def __post_init__(self) -> None:
        self.names[self.input] = "input"
        self.shapes["input"] = self.shape
        self.input = "input"

    def layer(self, node: Node, op: Op, *values: str) -> None:
        """Append a layer that computes the node's first output from these values."""
        self.append(node, op, tuple(self.names[value] for value in values))

    def append(self, node: Node, op: Op, inputs: tuple[str, ...]) -> None:
        """As `layer`, from the names of layers."""
        name = self._name(node)
        try:
            self.shapes[name] = layer_shape(name, op, tuple(self.shapes[n] for n in inputs))
        except BadInput as error:
            error.message = f"{self.path}: {error.message}"
            raise
        self.layers.append(Layer(name, op, inputs))
        self.names[node.outputs[0]] = name

    def same(self, node: Node, value: str) -> None:
        """The node's first output is this value."""
        if value in self.constants:
            self.constants[node.outputs[0]] = self.constants[value]
        else:
            self.names[node.outputs[0]] = self.names[value]

    def shape_of(self, value: str) -> Shape:
        """The shape of a value that depends on the input, without the batch axis."""
        return self.shapes[self.names[value]]

    def argument(self, node: Node, at: int) -> str | None:
        """The name of an input of the node, or None where it is left out."""
        return node.arguments[at] if at < len(node.arguments) and node.arguments[at] else None

    def varying(self, node: Node, at: int = 0) -> str:
        """The name of an input that must depend on the ANN's input; raises `Problem` otherwise."""
        name = self.argument(node, at)
        if name is None or name not in self.names:
            raise Problem(f"{node.op} whose input {at + 1} is constant or left out")
        return name

    def constant(self, node: Node, at: int) -> NDArray[Any]:
        """The value of an input that must be constant; raises `Problem` otherwise."""
        name = self.argument(node, at)
        if name is None or name not in self.constants:
            raise Problem(f"{node.op} whose input {at + 1} is not constant")
        return self.constants[name]

    def weight(self, node: Node, at: int) -> NDArray[np.float32]:
        """A constant of floats, in float32."""
        array = self.constant(node, at)
        if array.dtype.kind != "f" or not array.size:
            raise Problem(f"{node.op} whose input {at + 1} is no tensor of floats")
        return np.asarray(array, np.float32)

    def _name(self, node: Node) -> str:
        """A NIR node name for the layer: letters, digits, - and _, unique."""
        base = re.sub(r"[^A-Za-z0-9_-]+", "_", node.name)[-60:].strip("_") or node.op.lower()
        base = re.sub(r"[^A-Za-z0-9_-]+", "_", base)
        name, number = base, 2
        while name in self.taken:
            name, number = f"{base}_{number}", number + 1
        self.taken.add(name)
        return name
