"""What of a placement exceeds a limit: by how much, and which change would make it fit."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace
from typing import Protocol

from nirbridge.errors import Finding
from nirbridge.placement import Limit, Placement
from nirbridge_loihi2.mapping import CHIPS, CORES_PER_CHIP, Board
from nirbridge_loihi2.partition import (
    NEURONS_PER_CORE,
    SYNMEM_UNITS,
    Demand,
    Partition,
    Split,
    core_memory,
    partition,
)

_CODES = {
    "cores": "NB601",
    "synaptic memory": "NB602",
    "neurons a core": "NB603",
    "core memory": "NB604",
    "neurons a chip": "NB603",
    "synapses a chip": "NB606",
    "synaptic delay": "NB208",
}
_LEAST_BITS = 2  # that the pass quantize-weights makes


class Options(Protocol):
    """The target's options that decide how a network is spread."""

    @property
    def board(self) -> Board: ...
    @property
    def split(self) -> Split: ...
    @property
    def neurons_per_core(self) -> int: ...


def fit_findings(parts: Sequence[Partition], placement: Placement, options: Options) -> list[Finding]:
    """NB6xx for every limit that is exceeded, with the excess and the remedies that are enough."""
    return [
        Finding(
            code=_CODES[limit.name],
            level="error",
            message=f"{limit.where}: {limit.name}: {limit.used:,.6g} used, "
            f"{limit.used - limit.limit:,.6g} above the limit of {limit.limit:,.6g} {limit.unit}"
            f"{'s' if limit.name == 'cores' else ''} ({limit.basis})",
            fix=_remedy(limit, parts, placement, options),
        )
        for limit in placement.limits
        if limit.limit is not None and limit.used > limit.limit
    ]


def _remedy(limit: Limit, parts: Sequence[Partition], placement: Placement, options: Options) -> str | None:
    if limit.name == "cores":
        return _fewer_cores(parts, options)
    if limit.name in ("synaptic memory", "core memory"):
        core = next(core for core in placement.cores if limit.where == f"core {core.index} ({core.node})")
        return _smaller(next(part.demand for part in parts if part.demand.name == core.node))
    if limit.name == "neurons a core":
        return "give the convolution fewer channels or rows: a column of all channels stays on one core"
    if limit.name == "synaptic delay":
        return "shorten the delays"
    larger = [f"loihi2:board={name}" for name, chips in CHIPS.items() if chips > CHIPS[options.board]]
    return (
        f"spread the network over a larger board: {' or '.join(larger)}"
        if larger
        else "use a smaller network"
    )


def _fewer_cores(parts: Sequence[Partition], options: Options) -> str:
    """Every option that would be enough by itself, with what it takes, and the layer that takes most."""
    available = CORES_PER_CHIP * CHIPS[options.board]
    demands = [part.demand for part in parts]
    used = sum(part.cores for part in parts)
    remedies = []

    def cores(demands: Sequence[Demand], split: Split, most: int) -> int:
        return sum(partition(demand, split, most).cores for demand in demands)

    def offer(what: str, needed: int) -> None:
        if needed < used:
            verdict = "which fits" if needed <= available else "which is still too much"
            remedies.append(f"{what} takes {needed:,} cores, {verdict}")

    if options.split != "packed":
        offer("loihi2:split=packed", cores(demands, "packed", options.neurons_per_core))
    if options.neurons_per_core < NEURONS_PER_CORE:
        most = NEURONS_PER_CORE
        offer(f"loihi2:neurons_per_core={most}", cores(demands, options.split, most))
    larger = [name for name, chips in CHIPS.items() if CORES_PER_CHIP * chips >= used]
    if larger and larger[0] != options.board:
        remedies.append(f"loihi2:board={larger[0]} has {CORES_PER_CHIP * CHIPS[larger[0]]:,} cores")
    bits = _enough_bits(demands, available, options)
    if bits is not None:
        narrow = [replace(demand, bits=min(demand.bits, bits)) for demand in demands]
        needed = cores(narrow, options.split, options.neurons_per_core)
        remedies.append(f"weights of {bits} bits (--pass quantize-weights:bits={bits}) take {needed:,} cores")
    largest = max(parts, key=lambda part: part.cores)
    rows = "inputs" if not largest.demand.windows else "channels"
    remedies.append(
        f"layer '{largest.demand.name}' takes {largest.cores:,} cores: give it fewer neurons or {rows}"
    )
    return "; ".join(remedies)


def _enough_bits(demands: Sequence[Demand], available: int, options: Options) -> int | None:
    """The most bits a weight with which the cores are enough, None where none are."""
    for bits in range(max(demand.bits for demand in demands) - 1, _LEAST_BITS - 1, -1):
        narrow = [replace(demand, bits=min(demand.bits, bits)) for demand in demands]
        parts = [partition(demand, options.split, options.neurons_per_core) for demand in narrow]
        if sum(part.cores for part in parts) <= available:
            return bits
    return None


def _smaller(demand: Demand) -> str:
    """What a layer of which one core holds too much, however it is cut, must become."""
    if demand.windows:
        return f"layer '{demand.name}': use fewer channels or more groups"
    rows = _most_rows(demand)
    if rows:
        return f"layer '{demand.name}': give it at most {rows:,} sources (now {demand.axons:,})"
    return f"layer '{demand.name}': use shorter delays (now up to {demand.max_delay} steps)"


def _most_rows(demand: Demand) -> int:
    """Sources of which one core holds the rows of a single neuron, each with as many synapses as now."""
    low, high = 0, demand.axons
    while low + 1 < high:
        middle = (low + high) // 2
        lines = tuple((axons * middle // demand.axons, synapses) for axons, synapses in demand.lines)
        few = replace(demand, axons=middle, lines=lines)
        fits = few.units(1) <= SYNMEM_UNITS and core_memory(few, 1) <= 1
        low, high = (middle, high) if fits else (low, middle)
    return low
