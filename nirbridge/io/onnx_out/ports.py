"""What the inputs and outputs of a model are called."""

from __future__ import annotations

from collections.abc import Mapping

from nirbridge.errors import Unsupported
from nirbridge.network import Network, Source
from nirbridge.network.types import Kind

Ports = Mapping[int, str]


def ports_of(network: Network) -> tuple[Ports, Ports]:
    """Names of the Inputs and of the Outputs by population: ``input`` and ``output``, or the nodes' names.

    Raises `Unsupported` (NB202) for an edge into an Input or out of an Output, and where a name would
    stand for two things.
    """
    _check_edges(network)
    inputs, outputs = _named(network, "input"), _named(network, "output")
    names = [*inputs.values(), *outputs.values()]
    shared = [name for name in names if names.count(name) > 1 or name in state_names(network)]
    if shared:
        raise Unsupported(
            f"the name '{shared[0]}' stands for two inputs or outputs of the model",
            code="NB202",
            fix=f"rename the node '{shared[0]}'",
        )
    return inputs, outputs


def state_names(network: Network) -> set[str]:
    """Names that are kept free for states."""
    names = {f"{p.name}.{letter}" for p in network.populations for letter in "visd"}
    return names | {f"{name}.next" for name in names}


def _named(network: Network, kind: Kind) -> Ports:
    found = network.of_kind(kind)
    return {at: kind if len(found) == 1 else network.populations[at].name for at in found}


def _check_edges(network: Network) -> None:
    for p, drive in zip(network.populations, network.drives, strict=True):
        items = [item for inputs in (*(s.inputs for s in drive.stages), drive.inputs) for item in inputs]
        sources = [network.populations[item.population] for item in items if isinstance(item, Source)]
        wrong = sorted(source.name for source in sources if source.kind == "output")
        if wrong or (p.kind == "input" and items):
            edge = f"out of Output '{wrong[0]}'" if wrong else f"into Input '{p.name}'"
            raise Unsupported(
                f"an edge leads {edge}, which carries nothing", code="NB202", fix="remove that edge"
            )
