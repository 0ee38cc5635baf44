"""A Delay node as ONNX operations: its last inputs, and which of them arrive now."""

from __future__ import annotations

import numpy as np

from nirbridge.io.onnx_out.step import Step
from nirbridge.network import Population


def delayed(p: Population, x: str, step: Step) -> str:
    """y[t] = x[t − k], k steps for each element, 0 before; the state is (longest k, *shape)."""
    steps = p.delay_steps
    longest = int(steps.max(initial=0))
    if longest == 0:
        return x
    name, parameters = f"{p.name}.d", step.parameters
    past = step.state(name, (longest, *p.shape))
    axis = parameters.integers(("time axis",), [1])
    now = step.op("Unsqueeze", [x, axis], f"{p.name}.now")
    history = step.op("Concat", [past, now], f"{p.name}.history", axis=1)
    begin = parameters.integers(("time from",), [1])
    end = parameters.integers(("time to",), [np.iinfo(np.int64).max])
    step.keep(name, step.op("Slice", [history, begin, end, axis], f"{p.name}.past"))
    if np.all(steps == longest):
        return step.op("Gather", [past, parameters.integers(("oldest",), 0)], p.name, axis=1)
    flat = step.op("Reshape", [history, parameters.integers(("flat",), [0, -1])], f"{p.name}.flat")
    places = parameters.integers((p.name, "places"), (longest - steps) * p.size + np.arange(p.size))
    picked = step.op("Gather", [flat, places], f"{p.name}.picked", axis=1)
    return step.op("Reshape", [picked, parameters.integers((p.name, "shape"), [0, *p.shape])], p.name)
