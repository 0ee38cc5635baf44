"""One step of a neuron population as ONNX operations, in the order in which the equations state them.

The equations are those of SEMANTICS.md §3 with the coefficients of `Population`; every product and sum is
rounded to float32 on its own, so that nothing but the order of the sums in x differs from a plain loop.
"""

from __future__ import annotations

import numpy as np
from onnx import TensorProto

from nirbridge.io.onnx_out.step import Step
from nirbridge.network import Population


def neuron(p: Population, x: str | None, step: Step) -> str:
    """Step a population whose summed input is x (None: nothing arrives); returns what it sends."""
    v = step.state(f"{p.name}.v", p.shape, p.v_start)
    v = _cuba(p, v, x, step) if p.cuba else _decayed(p, v, x, step)
    if not p.spiking:
        step.keep(f"{p.name}.v", v)
        return v
    test = "GreaterOrEqual" if step.semantics.compare == ">=" else "Greater"
    threshold = p.threshold.reshape(p.shape)
    fires = step.op(test, [v, step.parameters.floats((p.name, "threshold"), threshold)], f"{p.name}.fires")
    z = step.op("Cast", [fires], f"{p.name}.z", to=TensorProto.FLOAT)
    step.keep(f"{p.name}.v", _floored(p, _reset(p, v, fires, z, step), step))
    return z


def _decayed(p: Population, v: str, drive: str | None, step: Step) -> str:
    """V ← a_m·V + leak + b_m·drive."""
    v = step.times(v, p.a_m.reshape(p.shape), (p.name, "a_m"))
    v = step.plus(v, p.leak.reshape(p.shape), (p.name, "leak"))
    if drive is None:
        return v
    return step.op("Add", [v, step.times(drive, p.b_m.reshape(p.shape), (p.name, "b_m"))], f"{p.name}.u")


def _cuba(p: Population, v: str, x: str | None, step: Step) -> str:
    """I and V by the graph's order; keeps I and returns V before the spike test."""
    name = f"{p.name}.i"
    old = step.state(name, p.shape, p.i_start)
    a_s = p.a_s.reshape(p.shape)
    added = None if x is None else step.times(x, p.b_s.reshape(p.shape), (p.name, "b_s"))

    def with_input(current: str) -> str:
        return current if added is None else step.op("Add", [current, added], f"{p.name}.i+x")

    if step.semantics.order == "exact":
        full = with_input(old)
        step.keep(name, step.times(full, a_s, (p.name, "a_s")))
        return _decayed(p, v, full, step)
    if step.semantics.syn_input == "before":
        current = step.times(with_input(old), a_s, (p.name, "a_s"))
    else:
        current = with_input(step.times(old, a_s, (p.name, "a_s")))
    step.keep(name, current)
    return _decayed(p, v, old if step.semantics.order == "voltage-first" else current, step)


def _reset(p: Population, v: str, fires: str, z: str, step: Step) -> str:
    """V ← v_reset where it fired, or V − z·θ; the profile genn removes θ − v_reset."""
    if step.semantics.reset == "value":
        to = step.parameters.floats((p.name, "v_reset"), p.v_reset.reshape(p.shape))
        return step.op("Where", [fires, to, v], f"{p.name}.reset")
    drop = p.threshold.astype(np.float32)
    if step.semantics.profile == "genn":
        drop = drop - p.v_reset.astype(np.float32)
    removed = step.parameters.floats((p.name, "drop"), drop.reshape(p.shape))
    return step.op("Sub", [v, step.op("Mul", [z, removed], f"{p.name}.z*drop")], f"{p.name}.reset")


def _floored(p: Population, v: str, step: Step) -> str:
    """max(V, 0) or max(V, −θ), where the semantics have a floor."""
    if step.semantics.floor is None:
        return v
    least = np.zeros(p.shape) if step.semantics.floor == "zero" else -p.threshold.reshape(p.shape)
    return step.op("Max", [v, step.parameters.floats((p.name, "floor"), least)], f"{p.name}.floored")
