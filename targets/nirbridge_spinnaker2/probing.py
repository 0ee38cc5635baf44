"""What a run records: names like "h", "h:v", "h:i", "h:x" as flags and columns of the traces."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge_spinnaker2.lowering import Lowered

QUANTITIES = ("v", "i", "x")


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Plan:
    """spikes: (name, layer); traces: (name, quantity, layer), as asked for.

    recorded: (layers,) bool, whose spikes are kept; first: by quantity (layers,) int64, the first
    column of the layer's trace, −1 for none; width: columns by quantity. What the Output reads is
    kept in any case.
    """

    spikes: tuple[tuple[str, int], ...]
    traces: tuple[tuple[str, str, int], ...]
    recorded: NDArray[np.bool_]
    first: dict[str, NDArray[np.int64]]
    width: dict[str, int]


def plan(lowered: Lowered, record: Sequence[str]) -> Plan:
    """Raises `BadInput` (NB504) for a node or quantity that cannot be recorded."""
    names = {layer.name: at for at, layer in enumerate(lowered.layers)}
    n = len(names)
    flags = np.zeros(n, np.bool_)
    first = {quantity: np.full(n, -1, np.int64) for quantity in QUANTITIES}
    width = dict.fromkeys(QUANTITIES, 0)

    def probe(quantity: str, at: int) -> None:
        if first[quantity][at] < 0:
            first[quantity][at] = width[quantity]
            width[quantity] += lowered.layers[at].size

    spikes: list[tuple[str, int]] = []
    traces: list[tuple[str, str, int]] = []
    for item in record:
        name, quantity = _split(item, names)
        at = names[name]
        population = lowered.layers[at].population
        if not quantity and not population.spiking:
            raise _bad(f"node '{name}' ({population.kind}) does not spike", f"record its V with {name}:v")
        if quantity == "i" and not population.cuba:
            raise _bad(f"node '{name}' ({population.kind}) has no current", f"record {name}:v or {name}:x")
        if quantity:
            probe(quantity, at)
            traces.append((name, quantity, at))
        else:
            flags[at] = True
            spikes.append((name, at))
    if lowered.layers[lowered.output].population.spiking:
        flags[lowered.output] = True
    else:
        probe("v", lowered.output)
    return Plan(
        spikes=tuple(spikes),
        traces=tuple(traces),
        recorded=flags,
        first=first,
        width=width,
    )


def _split(item: str, names: dict[str, int]) -> tuple[str, str]:
    if item in names:
        return item, ""
    name, _, quantity = item.rpartition(":")
    if name not in names:
        raise _bad(f"no neurons '{name or item}' in this graph", f"use one of {', '.join(names)}")
    if quantity not in QUANTITIES:
        raise _bad(f"'{item}' names no quantity", f"record {name}:v, {name}:i or {name}:x")
    return name, quantity


def _bad(message: str, fix: str) -> BadInput:
    return BadInput(message, code="NB504", fix=fix)
