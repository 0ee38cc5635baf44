"""Numbers with their derivatives by every parameter of a case: a plain forward run then gives gradients."""

from __future__ import annotations

from math import exp as exp_of
from typing import Any

import numpy as np

Case = dict[str, Any]
Number = Any  # a Dual or a float
NAMES = ("tau_mem", "tau_syn", "v_th", "v_reset", "v_leak")


class Dual:
    """value + derivatives (parameters,)."""

    def __init__(self, value: float, slope: np.ndarray) -> None:
        self.value = value
        self.slope = slope

    def __add__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value + other.value, self.slope + other.slope)
        return Dual(self.value + other, self.slope)

    def __mul__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            return Dual(self.value * other.value, self.slope * other.value + other.slope * self.value)
        return Dual(self.value * other, self.slope * other)

    def __neg__(self) -> Dual:
        return self * -1.0

    def __sub__(self, other: Number) -> Dual:
        return self + (-other)

    def __rsub__(self, other: float) -> Dual:
        return -self + other

    def __truediv__(self, other: Number) -> Dual:
        if isinstance(other, Dual):
            ratio = self.value / other.value
            return Dual(ratio, (self.slope - other.slope * ratio) / other.value)
        return Dual(self.value / other, self.slope / other)

    def __rtruediv__(self, other: float) -> Dual:
        ratio = other / self.value
        return Dual(ratio, self.slope * (-ratio / self.value))

    __radd__ = __add__
    __rmul__ = __mul__


def exp(x: Number) -> Number:
    """e^x."""
    if not isinstance(x, Dual):
        return exp_of(x)
    value = exp_of(x.value)
    return Dual(value, x.slope * value)


def parameters(case: Case) -> tuple[Case, dict[str, slice]]:
    """The case's weights, delays and neuron parameters as arrays of Duals, and where each stands."""
    names = [name for name in case if name.startswith(("w_", "delay_"))]
    names += [f"{name}_{layer}" for layer in range(1, len(case["sizes"])) for name in NAMES]
    places, at = {}, 0
    for name in names:
        places[name] = slice(at, at + case[name].size)
        at += case[name].size
    found: Case = {}
    for name, place in places.items():
        units = np.eye(at)[place]
        flat = [Dual(float(v), unit) for v, unit in zip(case[name].reshape(-1), units, strict=True)]
        array = np.empty(len(flat), object)
        array[:] = flat
        found[name] = array.reshape(case[name].shape)
    return found, places


def coupling(x: Number, m: Number, s: Number) -> tuple[Number, Number, Number]:
    """(e^(−x/τm), e^(−x/τs), κ(x)) for τm ≠ τs."""
    em, es = exp(-1.0 * (x / m)), exp(-1.0 * (x / s))
    return em, es, s / (m - s) * (em - es)


def gradients(case: Case, places: dict[str, slice], loss: Dual) -> Case:
    """∂loss/∂parameter by name, those that a read-out without spikes does not have left out."""
    last = len(case["sizes"]) - 1
    silent = () if case["kinds"][last] == "lif" else (f"v_th_{last}", f"v_reset_{last}")
    return {
        f"g_{name}": loss.slope[place].reshape(case[name].shape)
        for name, place in places.items()
        if name not in silent
    }
