"""What is trained besides weights: biases, time constants, thresholds, resets, leaks, delays.

Each is a part of the flat parameters, with its own learning rate. Parameters of neurons are kept as they
are, time constants as logarithms; a shared time constant is one logarithm a layer, and the layer's time
constants keep their ratios.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge.network import Population
from nirbridge_eventprop.exact.network import Layer
from nirbridge_eventprop.grid.arcs import Arc

Floats = NDArray[np.float64]
TAUS = ("tau_mem", "tau_syn")
NEURON = (*TAUS, "v_th", "v_reset", "v_leak")  # kinds that are parameters of a layer


@dataclass(frozen=True, kw_only=True)
class Rates:
    """Learning rates of what is trained besides weights, 0 where it is not (EVENTPROP.md §9).

    tau: of ln τm, ln τs; shared: one for a layer. threshold, reset, leak, bias: in the graph's units of V and
    in EventProp's jumps of I. delay: in steps, of per-synapse delays, which stay within [0, max_delay] steps.
    """

    tau: float = 0.0
    shared: bool = False
    threshold: float = 0.0
    reset: float = 0.0
    leak: float = 0.0
    bias: float = 0.0
    delay: float = 0.0
    max_delay: int = 0


@dataclass(frozen=True, eq=False)
class Part:
    """Parameters ``here`` of the flat ones: their kind, node, layer and learning rate.

    apart (n,): what each neuron's logarithm has more than the parameter; zeros where nothing is shared.
    """

    kind: Literal["bias", "tau_mem", "tau_syn", "v_th", "v_reset", "v_leak", "delay"]
    name: str
    layer: int
    here: slice
    rate: float
    apart: Floats

    def values(self, flat: NDArray[np.floating]) -> Floats:
        """The parameters in the network's own units, (n,) one for a neuron."""
        mine = np.asarray(flat[self.here], np.float64)
        return np.asarray(np.exp(mine + self.apart) if self.kind in TAUS else mine.copy())

    def slope(self, values: Floats, slope: Floats) -> Floats:
        """∂L/∂(flat parameters) from the parameters (n,) and ∂L/∂(parameters) (n,)."""
        if self.kind not in TAUS:
            return slope
        by_log = np.asarray(slope * values)
        return by_log if self.here.stop - self.here.start == len(by_log) else by_log.sum(keepdims=True)


def parts_of(
    rates: Rates,
    arcs: Sequence[Arc],
    biases: Sequence[tuple[str, int, Floats]],
    populations: Sequence[Population],
    layers: Sequence[Layer],
    at: int,
) -> tuple[tuple[Part, ...], list[Floats]]:
    """Parts from the flat index ``at`` on, and where they start; raises `UsageError` where there is none."""
    wanted: list[tuple[Any, str, int, Floats, float]] = []
    if rates.bias:
        wanted += [("bias", name, layer, values, rates.bias) for name, layer, values in biases]
        _some(wanted, "bias", "train_bias", "the graph has no Affine node")
    for number, (p, layer) in enumerate(zip(populations, layers, strict=True), start=1):
        if rates.tau:
            wanted.append(("tau_mem", p.name, number, np.log(layer.tau_mem), rates.tau))
            wanted.append(("tau_syn", p.name, number, np.log(layer.tau_syn), rates.tau))
        if rates.threshold and p.spiking:
            wanted.append(("v_th", p.name, number, layer.v_th, rates.threshold))
        if rates.reset and p.spiking:
            wanted.append(("v_reset", p.name, number, layer.v_reset, rates.reset))
        if rates.leak:
            wanted.append(("v_leak", p.name, number, layer.v_leak, rates.leak))
    if rates.delay:
        for arc in arcs:
            if arc.own is not None:
                start = arc.own.reshape(-1).astype(np.float64)
                wanted.append(("delay", arc.name, arc.post, start, rates.delay))
        _some(wanted, "delay", "train_delay", "the graph has no delays")
    parts, starts = [], []
    for kind, name, number, values, rate in wanted:
        start = np.array(values, np.float64)
        apart = np.zeros(len(start))
        if kind in TAUS and rates.shared:
            start, apart = start.mean(keepdims=True), start - start.mean()
        parts.append(Part(kind, name, number, slice(at, at + len(start)), rate, apart))
        starts.append(start)
        at += len(start)
    return tuple(parts), starts


def clamp(
    parts: Sequence[Part], flat: NDArray[np.floating], layers: Sequence[Layer], dt: float, max_delay: int
) -> None:
    """Parameters back into their range, in place; ``layers`` are those of the start.

    τm ≥ 3 dt, τs ≥ dt, θ above V_r by a hundredth of their distance at the start, delays in [0, max_delay].
    """
    for part in parts:
        values = flat[part.here]
        if part.kind in TAUS:
            least = np.log((3 if part.kind == "tau_mem" else 1) * dt)
            shared = len(values) < len(part.apart)
            np.maximum(values, least - part.apart.min() if shared else least, out=values)
        elif part.kind == "delay":
            np.clip(values, 0.0, max_delay, out=values)
        elif part.kind in ("v_th", "v_reset"):
            layer = layers[part.layer - 1]
            gap = 0.01 * np.abs(layer.v_th - layer.v_reset)
            if part.kind == "v_th":
                other = _other(parts, flat, part, "v_reset", layer.v_reset)
                np.maximum(values, other + gap, out=values)
            else:
                other = _other(parts, flat, part, "v_th", layer.v_th)
                np.minimum(values, other - gap, out=values)


def _other(
    parts: Sequence[Part], flat: NDArray[np.floating], part: Part, kind: str, start: Floats
) -> NDArray[np.floating]:
    """The layer's parameter of another kind: the trained one, or that of the start."""
    for other in parts:
        if other.kind == kind and other.layer == part.layer:
            return flat[other.here]
    return start


def _some(wanted: Sequence[tuple[Any, ...]], kind: str, option: str, found: str) -> None:
    if not any(item[0] == kind for item in wanted):
        raise UsageError(
            f"trainer option {option} is above 0, but {found}", code="NB701", fix=f"leave out {option}"
        )
