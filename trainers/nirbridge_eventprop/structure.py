"""Which networks are a stack of layers that this trainer can train, and what it says about others."""

from __future__ import annotations

from collections.abc import Mapping

import nir
import numpy as np

from nirbridge.errors import Finding, Unsupported
from nirbridge.network import Network, Source, Synapses, synapses


def refuse(node: str | None, message: str, fix: str | None = None, code: str = "NB201") -> Unsupported:
    """The error for a node, or for the whole graph where ``node`` is None."""
    finding = Finding(code=code, level="error", node=node, message=message, fix=fix)
    return Unsupported(message, code=code, fix=fix, findings=[finding])


def check_semantics(network: Network) -> None:
    """Raise `Unsupported` where the graph is to be read otherwise than this trainer computes."""
    s = network.semantics
    wanted: Mapping[str, object] = {
        "profile": "canonical",
        "decay": "exact",
        "syn_input": "after",
        "reset": "value",
        "multi_spike": False,
        "floor": None,
        "feedforward_delay": 0,
        "v_init": "zero",
    }
    for field, value in wanted.items():
        if getattr(s, field) != value:
            raise refuse(
                None,
                f"trainer 'eventprop' needs semantics {field}={value!r}, got {getattr(s, field)!r}",
                "EventProp is exact for exact decay and reset to a value; convert the graph first",
                "NB210" if field == "reset" else "NB201",
            )
    if s.decay_syn not in (None, "exact") or s.order == "voltage-first":
        raise refuse(None, "trainer 'eventprop' needs exact decay and the current updated first")


def layer_order(network: Network) -> list[int]:
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
        if p.kind not in ("cubalif", "cubali", "li"):
            raise refuse(
                p.name,
                f"node '{p.name}' ({type(p.node).__name__}): trainer 'eventprop' trains CubaLIF layers and a "
                "CubaLI or LI read-out",
                "use CubaLIF for hidden layers and CubaLI for the read-out",
            )
    for at in network.of_kind("delay"):
        _check_line(network, at)
    order = list(network.neurons)
    *hidden, last = order
    for at in hidden:
        if not network.populations[at].spiking:
            name = network.populations[at].name
            raise refuse(name, f"node '{name}' does not spike but is not the read-out", code="NB202")
    if network.populations[last].spiking:
        name = network.populations[last].name
        raise refuse(
            name,
            f"node '{name}' ({type(network.populations[last].node).__name__}): the read-out must not spike",
            "end the graph in Linear → CubaLI; losses on spike times are not implemented yet",
        )
    if not hidden:
        raise refuse(None, "the graph has no hidden layer of CubaLIF neurons", code="NB202")
    drive = network.drives[outputs[0]]
    if drive.stages or drive.inputs != (Source(last, 0),):
        name = network.populations[outputs[0]].name
        read_out = network.populations[last].name
        raise refuse(
            name,
            f"node '{name}' (Output) receives something else than the read-out '{read_out}'",
            "connect the read-out, and nothing else, straight to the Output",
            "NB202",
        )
    return order


def _check_line(network: Network, at: int) -> None:
    """Raise `Unsupported` where a Delay is no tap of the Input with one number of steps for all units."""
    p = network.populations[at]
    drive = network.drives[at]
    source = network.of_kind("input")[0]
    if drive.stages or drive.inputs != (Source(source, 0),) or len(set(p.delay_steps.tolist())) > 1:
        raise refuse(
            p.name,
            f"node '{p.name}' (Delay): trainer 'eventprop' takes delays right behind the Input, one for all "
            "of its units (a delay line)",
            "put the Delay between the Input and a Linear of the first hidden layer",
            "NB208",
        )


def incoming(
    network: Network, at: int, below: int | None
) -> tuple[tuple[Synapses, ...], Synapses | None, int]:
    """Feed-forward and recurrent weights of a population above ``below`` (None: above the Input).

    Above the Input there may be several, one for each Delay and one without, in name order; else one.
    The number is how many of them stand before the recurrent ones.
    """
    p = network.populations[at]
    forward: list[Synapses] = []
    recurrent: Synapses | None = None
    before = 0
    sources = {network.of_kind("input")[0], *network.of_kind("delay")} if below is None else {below}
    for item in synapses(network, at):
        name = item.name or network.populations[item.source].name
        if item.weight is None:
            raise refuse(
                p.name,
                f"node '{p.name}' is fed by '{name}' without weights",
                "put a Linear between them",
                "NB202",
            )
        if not isinstance(item.node, nir.Linear | nir.Affine) or np.ndim(item.node.weight) != 2:
            raise refuse(
                name,
                f"node '{name}' ({type(item.node).__name__}): trainer 'eventprop' trains Linear and Affine "
                "nodes with a matrix of weights",
            )
        if item.bias is not None and np.any(item.bias != 0):
            raise refuse(
                name, f"node '{name}' (Affine) has a bias: trainer 'eventprop' does not train it yet"
            )
        if item.source == at and recurrent is None:
            recurrent, before = item, len(forward)
        elif item.source in sources:
            sources.remove(item.source)
            forward.append(item)
        else:
            raise refuse(
                name,
                f"node '{name}' connects '{network.populations[item.source].name}' to '{p.name}': trainer "
                "'eventprop' takes a stack of layers with recurrence inside a layer",
                code="NB202",
            )
    if not forward:
        raise refuse(p.name, f"node '{p.name}' has no weights from the layer before it", code="NB202")
    return tuple(forward), recurrent, before
