"""Which NIR graphs are what SpiNNaker2 trains, as flat tables, and what is said about the others."""

from __future__ import annotations

from copy import deepcopy
from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import Finding, Unsupported
from nirbridge.graph import replace_nodes
from nirbridge.graph.quantization import KEY
from nirbridge.network import Network, Population, Source, Synapses, synapses

FORM = "w_in = 1/(1−e^(−dt/tau_syn)), r = v_threshold = 1, v_leak = v_reset = 0"


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placed:
    """A weight node's matrix (sources, neurons) at ``offset`` of the flat weights; node weights are its
    transpose."""

    name: str
    offset: int
    rows: int
    columns: int


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Stack:
    """Layers as `batch.run_samples` reads them.

    layers (L, 5): neurons, sources, first state, first weight, first recurrent weight or −1. coef (L, 6)
    float64: α, 1−α, β, 1−β, ϑ, τ_s [s]. weights (flat,) float64: the graph's own.
    """

    network: Network
    names: tuple[str, ...]
    layers: NDArray[np.int64]
    coef: NDArray[np.float64]
    weights: NDArray[np.float64]
    nodes: tuple[Placed, ...]

    @property
    def sizes(self) -> tuple[int, ...]:
        """Units of the input and of every layer."""
        return (int(self.layers[0, 1]), *(int(n) for n in self.layers[:, 0]))

    @property
    def states(self) -> int:
        return int(self.layers[:, 0].sum())

    @property
    def hidden(self) -> int:
        """Neurons before the output layer."""
        return int(self.layers[:-1, 0].sum())

    @property
    def recurrent(self) -> bool:
        return bool((self.layers[:, 4] >= 0).any())


def stack_of(network: Network) -> Stack:
    """The stack that a network is: Input → Linear → CubaLIF … → Linear → CubaLIF → Output.

    A layer may have a Linear from its own spikes. Raises `Unsupported` by node name for every other
    network, before any training starts.
    """
    _check_semantics(network)
    order = _order(network)
    layers = np.zeros((len(order), 5), np.int64)
    coef = np.zeros((len(order), 6))
    blocks: list[NDArray[np.float64]] = []
    nodes: list[Placed] = []
    state = used = 0
    for row, (before, at) in enumerate(pairwise([network.of_kind("input")[0], *order])):
        p = network.populations[at]
        coef[row] = _coefficients(p, network)
        layers[row] = [p.size, network.populations[before].size, state, 0, -1]
        state += p.size
        for item, column in zip(_incoming(network, at, before), (3, 4), strict=True):
            if item is None or item.weight is None:
                continue
            if any(placed.name == item.name for placed in nodes):
                raise _refused(
                    item.name,
                    f"node '{item.name}' serves two connections, trainer 'spinnaker2' trains each by itself",
                    "copy it, one node for each connection",
                    "NB202",
                )
            layers[row, column] = used
            n, m = item.weight.shape
            nodes.append(Placed(name=str(item.name), offset=used, rows=m, columns=n))
            blocks.append(np.asarray(item.weight, np.float64).T.reshape(-1))
            used += n * m
    names = tuple(network.populations[at].name for at in order)
    weights = np.concatenate(blocks)
    return Stack(network=network, names=names, layers=layers, coef=coef, weights=weights, nodes=tuple(nodes))


def matrices(stack: Stack, flat: NDArray[Any]) -> dict[str, NDArray[Any]]:
    """Views (neurons, sources) by weight node of an array over the flat weights, (…, weights)."""
    found = {}
    for place in stack.nodes:
        block = flat[..., place.offset : place.offset + place.rows * place.columns]
        found[place.name] = block.reshape(*flat.shape[:-1], place.rows, place.columns).swapaxes(-1, -2)
    return found


def with_weights(stack: Stack, graph: nir.NIRGraph, flat: NDArray[np.floating]) -> nir.NIRGraph:
    """A copy of the graph with these flat weights; stale quantisation metadata is removed."""
    changed: dict[str, nir.NIRNode] = {}
    for name, values in matrices(stack, flat).items():
        node: Any = deepcopy(graph.nodes[name])
        node.weight = np.ascontiguousarray(values.astype(np.asarray(node.weight).dtype))
        node.metadata.pop(KEY, None)
        changed[name] = node
    return replace_nodes(graph, changed)


def _refused(node: str | None, message: str, fix: str | None, code: str) -> Unsupported:
    finding = Finding(code=code, level="error", node=node, message=message, fix=fix)
    return Unsupported(message, code=code, fix=fix, findings=[finding])


_MENDED = {
    "decay": "convert the graph first: nirbridge convert, --pass to-exact",
    "compare": "convert the graph first: nirbridge convert, --pass strict-threshold",
}


def _check_semantics(network: Network) -> None:
    s = network.semantics
    wanted = {
        "profile": "canonical",
        "decay": "exact",
        "syn_input": "after",
        "reset": "value",
        "compare": ">",
        "multi_spike": False,
        "floor": None,
        "v_init": "zero",
    }
    for field, value in wanted.items():
        if getattr(s, field) != value:
            raise _refused(
                None,
                f"trainer 'spinnaker2' needs semantics {field}={value!r}, got {getattr(s, field)!r}",
                _MENDED.get(field, "write the graph for exact decay, a spike at V > θ and reset to 0"),
                "NB210",
            )
    if s.decay_syn not in (None, "exact") or s.order != "current-first":
        raise _refused(
            None,
            "trainer 'spinnaker2' needs exact decay and the current updated first",
            _MENDED["decay"] if s.decay_syn not in (None, "exact") else "train with the order current-first",
            "NB210",
        )


def _order(network: Network) -> tuple[int, ...]:
    """Layers from the first to the output."""
    inputs, outputs = network.of_kind("input"), network.of_kind("output")
    if len(inputs) != 1 or len(outputs) != 1:
        counts = f"{len(inputs)} and {len(outputs)}"
        raise _refused(
            None,
            f"trainer 'spinnaker2' needs one Input and one Output, got {counts}",
            "split the graph",
            "NB202",
        )
    if network.of_kind("delay"):
        name = network.populations[network.of_kind("delay")[0]].name
        raise _refused(
            name,
            f"node '{name}' (Delay): trainer 'spinnaker2' trains one tick a hop, no further delays",
            "remove the delays before training",
            "NB208",
        )
    for at in network.neurons:
        p = network.populations[at]
        if p.kind != "cubalif":
            kind = type(p.node).__name__
            raise _refused(
                p.name,
                f"node '{p.name}' ({kind}): trainer 'spinnaker2' trains CubaLIF layers, the read-out too",
                f"use CubaLIF with {FORM}",
                "NB201",
            )
    if not network.neurons:
        raise _refused(None, "the graph has no CubaLIF layer", "add one", "NB202")
    last = network.neurons[-1]
    drive = network.drives[outputs[0]]
    if drive.stages or drive.inputs != (Source(last, 0),):
        name, read_out = network.populations[outputs[0]].name, network.populations[last].name
        raise _refused(
            name,
            f"node '{name}' (Output) receives something else than the last layer '{read_out}'",
            "connect the last CubaLIF, and nothing else, straight to the Output",
            "NB202",
        )
    return network.neurons


def _incoming(network: Network, at: int, before: int) -> tuple[Synapses, Synapses | None]:
    """Feed-forward and recurrent weights of a layer."""
    p = network.populations[at]
    forward: Synapses | None = None
    recurrent: Synapses | None = None
    for item in synapses(network, at):
        source = network.populations[item.source].name
        name = item.name or source
        if item.weight is None:
            message = f"node '{p.name}' is fed by '{source}' without weights"
            raise _refused(p.name, message, "put a Linear between them", "NB202")
        if not isinstance(item.node, nir.Linear | nir.Affine) or np.ndim(item.node.weight) != 2:
            kind = type(item.node).__name__
            message = f"node '{name}' ({kind}): trainer 'spinnaker2' trains Linear nodes with a matrix"
            raise _refused(name, message, "write it as a Linear", "NB201")
        if item.bias is not None and np.any(item.bias != 0):
            message = f"node '{name}' (Affine) has a bias: trainer 'spinnaker2' has none"
            raise _refused(name, message, "give the input a channel that spikes at step 0", "NB207")
        if item.source == at and recurrent is None:
            recurrent = item
        elif item.source == before and forward is None:
            forward = item
        else:
            raise _refused(
                name,
                f"node '{name}' connects '{source}' to '{p.name}': trainer 'spinnaker2' takes a stack of "
                "layers, with recurrence inside a layer only",
                "its adjoint is written for loops of one layer; wire the graph as a stack",
                "NB211",
            )
    if forward is None:
        message = f"node '{p.name}' has no weights from the layer before it"
        raise _refused(p.name, message, "wire the graph as a stack of layers", "NB202")
    return forward, recurrent


def _coefficients(p: Population, network: Network) -> list[float]:
    """α, 1−α, β, 1−β, ϑ, τ_s of a layer; raises where it is not of the form that the PEs compute."""
    node: Any = p.node
    dt, unit = network.semantics.dt, network.semantics.time_unit
    one: dict[str, float] = {}
    for field in ("tau_syn", "tau_mem", "v_threshold"):
        values = np.asarray(getattr(node, field), np.float64).reshape(-1)
        if np.any(values != values[0]):
            raise _refused(
                p.name,
                f"node '{p.name}' (CubaLIF): {field} differs between its neurons, a PE keeps one",
                "give the layer one value",
                "NB206",
            )
        one[field] = float(values[0])
    tau_m, tau_s = (
        _decimal(one["tau_mem"], node.tau_mem) * unit,
        _decimal(one["tau_syn"], node.tau_syn) * unit,
    )
    alpha, beta = np.exp(-dt / tau_s), np.exp(-dt / tau_m)
    wanted = {"w_in": 1.0 / (1.0 - alpha), "r": 1.0, "v_leak": 0.0, "v_reset": 0.0}
    for field, value in wanted.items():
        given = getattr(node, field)
        found = np.asarray(0.0 if given is None else given, np.float64).reshape(-1)
        wrong = np.abs(found - value) > 1e-6 * max(abs(value), 1.0)
        if np.any(wrong):
            at = int(np.argmax(wrong))
            raise _refused(
                p.name,
                f"node '{p.name}' (CubaLIF): trainer 'spinnaker2' needs {field} = {value:g}, "
                f"got {found[at]:g} at {int(wrong.sum())} of {len(found)} neurons",
                f"use the form {FORM} (fold w_in and r into the weights)",
                {"v_leak": "NB203", "v_reset": "NB204"}.get(field, "NB205"),
            )
    if not one["v_threshold"] > 0:
        message = f"node '{p.name}' (CubaLIF): v_threshold is {one['v_threshold']:g}, expected above 0"
        raise _refused(p.name, message, "use v_threshold = 1", "NB212")
    return [alpha, 1.0 - alpha, beta, 1.0 - beta, one["v_threshold"], tau_s]


def _decimal(value: float, stored: Any) -> float:
    """A time constant as it was written: float32(0.02) is 0.02, so that α and β are those of 0.02."""
    return float(str(np.float32(value))) if np.asarray(stored).dtype == np.float32 else value
