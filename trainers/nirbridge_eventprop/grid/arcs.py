"""Layers and connections of a graph's network, with latencies and delays, for the general grid engine."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.graph.delays import steps_of
from nirbridge.network import Network, Population, Source, synapses
from nirbridge_eventprop.structure import refuse

Ints = NDArray[np.int64]


@dataclass(frozen=True, eq=False, kw_only=True)
class Arc:
    """A weight node from layer ``pre`` (0: the input) to layer ``post`` ≥ 1.

    weight (n_pre, n_post) as in the graph. latency: steps that recurrence takes. lag: steps of Delay nodes,
    one number or (n_pre, 1). own: the node's per-synapse steps (n_pre, n_post), or None.
    """

    name: str
    pre: int
    post: int
    weight: NDArray[np.float64]
    latency: int
    lag: int | Ints
    own: Ints | None


def layers_of(network: Network) -> list[int]:
    """Populations from the first hidden layer to the read-out; raises `Unsupported` for other networks."""
    inputs, outputs = network.of_kind("input"), network.of_kind("output")
    if len(inputs) != 1 or len(outputs) != 1:
        raise refuse(
            None,
            f"trainer 'eventprop' needs one Input and one Output, got {len(inputs)} and {len(outputs)}",
            code="NB202",
        )
    for at in network.neurons:
        p = network.populations[at]
        if p.kind not in ("cubalif", "cubali"):
            raise refuse(
                p.name,
                f"node '{p.name}' ({type(p.node).__name__}): trainer 'eventprop' trains CubaLIF layers and a "
                "CubaLI or CubaLIF read-out",
                "use CubaLIF for hidden layers and CubaLI for the read-out",
            )
    drive = network.drives[outputs[0]]
    last = [item.population for item in drive.inputs if isinstance(item, Source)]
    if drive.stages or len(drive.inputs) != 1 or not last or last[0] not in network.neurons:
        name = network.populations[outputs[0]].name
        raise refuse(
            name,
            f"node '{name}' (Output) receives something else than one layer of neurons",
            "connect the read-out, and nothing else, straight to the Output",
            "NB202",
        )
    hidden = [at for at in network.neurons if at != last[0]]
    for at in hidden:
        if not network.populations[at].spiking:
            name = network.populations[at].name
            raise refuse(name, f"node '{name}' does not spike but is not the read-out", code="NB202")
    return [*hidden, last[0]]


def arcs_of(network: Network, layers: list[int]) -> list[Arc]:
    """All connections, by source, then target layer, then name; raises `Unsupported` by node name."""
    number = {at: layer for layer, at in enumerate(layers, start=1)}
    number[network.of_kind("input")[0]] = 0
    arcs: list[Arc] = []
    for post, at in enumerate(layers, start=1):
        before = len(arcs)
        for item in synapses(network, at):
            name = _weight_node(item, network.populations[at], network)
            if any(arc.name == name for arc in arcs):
                raise refuse(
                    name,
                    f"node '{name}' serves two connections, trainer 'eventprop' trains each by itself",
                    "copy it, one node for each connection",
                    "NB202",
                )
            source, late, lag = _through_delays(network, item.source)
            if source not in number:
                p = network.populations[source]
                raise refuse(
                    p.name, f"node '{p.name}' feeds '{name}' but is no layer of neurons", code="NB202"
                )
            if number[source] and not network.populations[source].spiking:
                raise refuse(
                    name,
                    f"node '{name}' reads '{network.populations[source].name}', which does not spike",
                    "feed layers from spiking ones",
                    "NB202",
                )
            own = steps_of(item.node, name) if item.node is not None else None
            even = len(set(lag.tolist())) <= 1
            assert item.weight is not None  # _weight_node saw to it
            arcs.append(
                Arc(
                    name=name,
                    pre=number[source],
                    post=post,
                    weight=np.ascontiguousarray(item.weight.T),
                    latency=item.delay + late,
                    lag=int(lag.max(initial=0)) if even else lag[:, None],
                    own=None if own is None else own.T.astype(np.int64),
                )
            )
        if len(arcs) == before:
            p = network.populations[at]
            raise refuse(p.name, f"node '{p.name}' has no weights from any layer", code="NB202")
    return sorted(arcs, key=lambda arc: (arc.pre, arc.post, arc.name))


def _weight_node(item: Any, target: Population, network: Network) -> str:
    """The name of the node that carries the weights; raises `Unsupported` where it is no matrix."""
    name = item.name or network.populations[item.source].name
    if item.weight is None:
        raise refuse(
            target.name,
            f"node '{target.name}' is fed by '{name}' without weights",
            "put a Linear between them",
            "NB202",
        )
    if not isinstance(item.node, nir.Linear | nir.Affine) or np.ndim(item.node.weight) != 2:
        raise refuse(
            name,
            f"node '{name}' ({type(item.node).__name__}): trainer 'eventprop' trains Linear and Affine nodes "
            "with a matrix of weights",
        )
    return str(name)


def _through_delays(network: Network, at: int) -> tuple[int, int, Ints]:
    """(population, latency, steps (units,)) behind a chain of Delay nodes."""
    late = 0
    p = network.populations[at]
    lag = np.zeros(p.size, np.int64)
    while p.kind == "delay":
        drive = network.drives[at]
        only = drive.inputs[0] if len(drive.inputs) == 1 and not drive.stages else None
        if not isinstance(only, Source):
            raise refuse(
                p.name,
                f"node '{p.name}' (Delay) receives something else than one layer or the Input",
                "put the weights behind the Delay",
                "NB208",
            )
        lag = lag + p.delay_steps
        late += only.delay
        at = only.population
        p = network.populations[at]
    return at, late, lag


def biases_of(network: Network, layers: list[int]) -> list[tuple[str, int, NDArray[np.float64]]]:
    """(node, layer, bias (n_post,)) of every Affine that feeds a layer."""
    return [
        (str(item.name), post, np.asarray(item.bias, np.float64))
        for post, at in enumerate(layers, start=1)
        for item in synapses(network, at)
        if isinstance(item.node, nir.Affine) and item.bias is not None
    ]
