"""What a profile's reader makes of parameters, weights and biases before the first step (SEMANTICS.md §4)."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace
from functools import partial

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.network import Network, Operator, Population, Source, Sparse, Stage, operator

Floats = NDArray[np.float64]
Ints = NDArray[np.int64]
WHOLE_NUMBERS = ("loihi", "lava-dl")  # profiles that count in integers, which float64 holds exactly
OWN_RULE = {"snntorch": 1, "norse": 2, "spyx": 3, "ode": 4, "lava-dl": 5, "loihi": 6}  # see `readings`
WEIGHTS = (nir.Linear, nir.Affine, nir.Conv1d, nir.Conv2d)


@dataclass(slots=True, eq=False)
class Read:
    """A population and the operators of its drive as the reader has them.

    operators: for each stage of the drive, None for one that is not linear (Threshold). changed: they
    are no longer those of the nodes.
    """

    population: Population
    operators: list[Operator | None]
    changed: bool = False


def read_drive(network: Network, at: int) -> Read:
    """The population's coefficients and its drive's operators under the network's profile."""
    p, drive, profile = network.populations[at], network.drives[at], network.semantics.profile
    operators = [
        None if isinstance(s.node, nir.Threshold) else operator(s.node, s.name, s.in_shape)
        for s in drive.stages
    ]
    if not p.is_neuron or profile not in ("spinnaker2", "loihi", "lava-dl"):
        return Read(p, operators)
    if profile == "lava-dl":
        kept = [
            op if op is None or op.bias is None or not _loops(stage, drive.stages) else replace(op, bias=None)
            for op, stage in zip(operators, drive.stages, strict=True)
        ]
        return Read(_slayer(network, p), kept, True)
    bias = _bias(network, at, operators)
    without = [op if op is None or op.bias is None else replace(op, bias=None) for op in operators]
    last = _last_weights(network, at)
    if profile == "spinnaker2":
        largest = max((_largest(without[k]) for k in last), default=0.0)
        scale = 127.0 / largest if largest > 0 else 1.0
        for k in last:
            without[k] = _mapped(without[k], lambda w, rows: np.trunc(w * scale) / scale)
        gain = p.b_m * raw(p, "w_in") if p.cuba else p.b_m
        return Read(replace(p, leak=p.leak + gain * bias), without, True)
    lowered, row_gain = _loihi(network, p, bias)
    whole = np.rint if network.semantics.rounding == "nearest" else np.trunc
    for k in last:
        without[k] = _mapped(without[k], lambda w, rows: whole(row_gain[rows] * w))
    return Read(lowered, without, True)


def _loops(stage: Stage, stages: tuple[Stage, ...]) -> bool:
    return any(
        item.delay > 0 if isinstance(item, Source) else _loops(stages[item], stages) for item in stage.inputs
    )


def raw(p: Population, name: str) -> Floats:
    """A parameter of the node as the file has it, (size,)."""
    return np.broadcast_to(np.asarray(getattr(p.node, name), np.float64), p.shape).reshape(-1)


def _slayer(network: Network, p: Population) -> Population:
    """lava-dl's integers: decays of 4096, thresholds of 64 (SEMANTICS.md §4, lines of lava-dl)."""
    s = network.semantics
    synapse = s.dt / (raw(p, "tau_syn") * s.time_unit)
    gain = raw(p, "w_in") * synapse
    return replace(
        p,
        a_m=np.rint(4096 * s.dt / (raw(p, "tau_mem") * s.time_unit)),
        a_s=np.rint(4096 * synapse),
        b_s=np.where(np.abs(gain - 1) < 1e-5, 1.0, gain),
        threshold=64 * np.floor(64 * p.threshold) if p.spiking else p.threshold,
    )


def _loihi(network: Network, p: Population, bias: Floats) -> tuple[Population, Floats]:
    """Lava's integers and the factor weight_scale·G of every row of weights."""
    s = network.semantics
    whole = np.rint if s.rounding == "nearest" else np.trunc
    size = p.size
    dv = du = np.full(size, 4096.0)
    membrane = np.ones(size)
    if p.kind in ("i", "if"):
        dv = np.zeros(size)
    else:
        tau = raw(p, "tau_mem" if p.cuba else "tau") * s.time_unit
        membrane = s.dt / tau
        dv = whole(s.decay_scale * membrane)
    gain = raw(p, "r") * membrane
    if p.cuba:
        synapse = s.dt / (raw(p, "tau_syn") * s.time_unit)
        gain = gain * raw(p, "w_in") * synapse
        du = whole(s.decay_scale * synapse)
    scaled = s.weight_scale * gain
    steady = np.where(du > 0, scaled * bias * 4096 / np.maximum(du, 1), 0.0)
    v_leak = raw(p, "v_leak") if hasattr(p.node, "v_leak") else np.zeros(size)
    leak = whole(64 * steady) + whole(64 * s.weight_scale * v_leak * dv / 4096)
    theta = 64 * whole(s.weight_scale * p.threshold) if p.spiking else p.threshold
    return replace(p, a_m=dv, a_s=du, b_s=np.ones(size), leak=leak, threshold=theta), scaled


def largest_weight(network: Network) -> float:
    """Largest abs(G·W) of a network under profile loihi at weight_scale 1."""
    largest = 0.0
    for at in network.neurons:
        p = network.populations[at]
        _, gain = _loihi(network, p, np.zeros(p.size))
        stages = network.drives[at].stages
        for k in _last_weights(network, at):
            op = operator(stages[k].node, stages[k].name, stages[k].in_shape)
            if len(gain) == int(np.prod(op.out_shape, dtype=np.int64)):
                rows_scaled = _mapped(op, partial(_times_rows, gain))
                largest = max(largest, _largest(rows_scaled))
    return largest / network.semantics.weight_scale


def delays_from_input(network: Network) -> tuple[int, ...]:
    """Fewest steps in which an input reaches each population, 0 where none does."""
    far = 1 << 30
    steps = [0 if p.kind == "input" else far for p in network.populations]
    changed = True
    while changed:
        changed = False
        for at in range(len(steps)):
            best = min((steps[s.population] + s.delay for s in sources_of(network, at)), default=far)
            if best < steps[at]:
                steps[at], changed = best, True
    return tuple(0 if n >= far else n for n in steps)


def _times_rows(gain: Floats, weights: Floats, rows: Ints) -> Floats:
    return gain[rows] * weights


def trace_units(network: Network, at: int) -> tuple[Floats, Floats]:
    """Factors that turn a population's V and x under its profile into the graph's own units, (size,)."""
    p = network.populations[at]
    one = np.ones(p.size)
    if network.semantics.profile == "loihi":
        lowered, scaled = _loihi(network, p, np.zeros(p.size))
        x = np.divide(1.0, scaled, out=np.zeros(p.size), where=scaled != 0)
        if p.spiking:
            return np.divide(p.threshold, lowered.threshold, out=one, where=lowered.threshold > 0), x
        return 1.0 / (64 * network.semantics.weight_scale) * one, x
    if network.semantics.profile == "lava-dl":
        return one / 4096, one
    return one, one


def _last_weights(network: Network, at: int) -> list[int]:
    """Stages with weights whose output reaches the neuron without passing others."""
    drive = network.drives[at]
    found: list[int] = []
    queue = [item for item in drive.inputs if isinstance(item, int)]
    while queue:
        k = queue.pop()
        if isinstance(drive.stages[k].node, WEIGHTS):
            found.append(k)
        else:
            queue += [item for item in drive.stages[k].inputs if isinstance(item, int)]
    return sorted(set(found))


def _bias(network: Network, at: int, operators: list[Operator | None]) -> Floats:
    """What a population receives in a step without any spike, (size,)."""
    drive = network.drives[at]
    values: list[Floats] = []
    for stage, op in zip(drive.stages, operators, strict=True):
        x = np.zeros(int(np.prod(stage.in_shape, dtype=np.int64)))
        for item in stage.inputs:
            if isinstance(item, int):
                x = x + values[item]
        if op is None:
            y = x * 0
        else:
            y = x if op.matrix is None else _times(op.matrix, x, int(np.prod(op.out_shape, dtype=np.int64)))
            y = y if op.bias is None else y + op.bias
        values.append(y)
    total = np.zeros(network.populations[at].size)
    for item in drive.inputs:
        if isinstance(item, int):
            total = total + values[item]
    return total


def _times(matrix: Floats | Sparse, x: Floats, size: int) -> Floats:
    if not isinstance(matrix, Sparse):
        return np.asarray(matrix @ x)
    y = np.zeros(size)
    np.add.at(y, matrix.targets, matrix.values * np.repeat(x, np.diff(matrix.start)))
    return y


def _largest(op: Operator | None) -> float:
    if op is None or op.matrix is None:
        return 0.0
    values = op.matrix.values if isinstance(op.matrix, Sparse) else op.matrix
    return float(np.abs(values).max(initial=0.0))


def _mapped(op: Operator | None, change: Callable[[Floats, Ints], Floats]) -> Operator | None:
    """The operator with its weights changed; ``change`` gets weights and the row (target) of each."""
    if op is None or op.matrix is None:
        return op
    if isinstance(op.matrix, Sparse):
        values, targets = op.matrix.values.astype(np.float64), op.matrix.targets.astype(np.int64)
        return replace(op, matrix=replace(op.matrix, values=change(values, targets)))
    rows = np.arange(len(op.matrix))[:, None]
    return replace(op, matrix=change(op.matrix, rows))


def sources_of(network: Network, at: int) -> Iterator[Source]:
    """Every population that reaches this one, with its delay."""
    drive = network.drives[at]
    for inputs in (drive.inputs, *(stage.inputs for stage in drive.stages)):
        yield from (item for item in inputs if isinstance(item, Source))
