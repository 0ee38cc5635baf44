"""The body of the `Scan` while it is written: what a node of the network adds to one step."""

from __future__ import annotations

from dataclasses import dataclass, field

import numpy as np
from numpy.typing import NDArray

from nirbridge.io.onnx_out.ops import Ops
from nirbridge.io.onnx_out.parameters import Key, Parameters
from nirbridge.io.onnx_out.state import Shape, State
from nirbridge.semantics import Semantics

Floats = NDArray[np.float64]


@dataclass(slots=True)
class Step:
    """One step of a batch: every value is (B, *shape) float32.

    states: in the order of the body's inputs. before, after: names of each state's value before and
    after the step.
    """

    ops: Ops
    parameters: Parameters
    semantics: Semantics
    states: list[State] = field(default_factory=list)
    before: dict[str, str] = field(default_factory=dict)
    after: dict[str, str] = field(default_factory=dict)

    def op(self, kind: str, inputs: list[str], wanted: str, **attributes: object) -> str:
        """One operation; returns the name of its value."""
        return self.ops.add(kind, inputs, f"step/{wanted}", **attributes)

    def state(self, name: str, shape: Shape, start: Floats | None = None) -> str:
        """Declare a state that is ``start``, or zeros, before step 0; returns its value before the step."""
        values = np.zeros(shape) if start is None else start.reshape(shape)
        self.states.append(State(name, shape, values.astype(np.float32)))
        self.before[name] = self.ops.name(f"step/{name}")
        return self.before[name]

    def keep(self, name: str, value: str) -> None:
        """Say what a declared state is after the step."""
        self.after[name] = value

    def times(self, value: str, factor: Floats, key: Key) -> str:
        """value · factor, elementwise; the value itself where every factor is 1."""
        if np.all(factor == 1):
            return value
        return self.op("Mul", [value, self.parameters.floats(key, factor)], f"{'.'.join(key)}*")

    def plus(self, value: str, term: Floats, key: Key) -> str:
        """value + term, elementwise; the value itself where every term is 0."""
        if not np.any(term):
            return value
        return self.op("Add", [value, self.parameters.floats(key, term)], f"{'.'.join(key)}+")
