"""What of a placement exceeds a limit: by how much, and which change would make it fit."""

from __future__ import annotations

from collections.abc import Sequence

from nirbridge.errors import Finding
from nirbridge.placement import Limit, Placement
from nirbridge_loihi2.mapping import CHIPS, CORES_PER_CHIP, Board
from nirbridge_loihi2.partition import SYNMEM_UNITS, Demand, Partition, partition

_CODES = {
    "cores": "NB601",
    "synaptic memory": "NB602",
    "neurons a core": "NB603",
    "core memory": "NB604",
    "neurons a chip": "NB603",
    "synapses a chip": "NB606",
    "synaptic delay": "NB208",
}


def fit_findings(parts: Sequence[Partition], placement: Placement, board: Board) -> list[Finding]:
    """NB6xx for every limit that is exceeded, with the excess and the nearest remedy."""
    return [
        Finding(
            code=_CODES[limit.name],
            level="error",
            message=f"{limit.where}: {limit.name} is {limit.used:g}, {limit.used - limit.limit:g} above the "
            f"limit of {limit.limit:g} {limit.unit} ({limit.basis})",
            fix=_remedy(limit, parts, board),
        )
        for limit in placement.limits
        if limit.limit is not None and limit.used > limit.limit
    ]


def _remedy(limit: Limit, parts: Sequence[Partition], board: Board) -> str | None:
    if limit.name == "cores":
        return _fewer_cores(parts, board)
    if limit.name in ("synaptic memory", "core memory"):
        demand = max((p.demand for p in parts), key=lambda d: d.units(1))
        return f"layer '{demand.name}': {_fewer_synapses(demand)}"
    if limit.name == "neurons a core":
        return "give the convolution fewer channels or rows: a column of all channels stays on one core"
    if limit.name == "synaptic delay":
        return "shorten the delays"
    return "spread the network over a larger board"


def _fewer_cores(parts: Sequence[Partition], board: Board) -> str:
    used = sum(part.cores for part in parts)
    packed = sum(partition(part.demand, "packed").cores for part in parts)
    remedies = []
    if packed < used:
        fits = "fits" if packed <= CORES_PER_CHIP * CHIPS[board] else "is still too much"
        remedies.append(f"split='packed' takes {packed} cores, which {fits}")
    larger = [name for name, chips in CHIPS.items() if CORES_PER_CHIP * chips >= min(used, packed)]
    if larger and larger[0] != board:
        remedies.append(f"board='{larger[0]}' has {CORES_PER_CHIP * CHIPS[larger[0]]} cores")
    most = max(parts, key=lambda part: part.cores)
    remedies.append(f"layer '{most.demand.name}' takes {most.cores} cores: {_fewer_synapses(most.demand)}")
    return "; ".join(remedies)


def _fewer_synapses(demand: Demand) -> str:
    if demand.windows:
        return "use fewer channels or more groups"
    return f"use fewer than {demand.axons} inputs or fewer bits (a core holds {SYNMEM_UNITS} units of 64 bit)"
