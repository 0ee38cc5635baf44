"""Which layer sits on which neurocore, core memory, and every limit with its headroom (LOIHI2.md §4)."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nirbridge.placement import Core, Limit, Placement
from nirbridge_loihi2.layers import MAX_DELAY
from nirbridge_loihi2.partition import (
    NEURONS_PER_CORE,
    SYNMEM_UNITS,
    Demand,
    Partition,
    Split,
    core_memory,
    demands,
    partition,
)

__all__ = ["Board", "Demand", "Partition", "Split", "demands", "partition", "place"]

Board = Literal["oheo-gulch", "kapoho-point", "hala-point"]

CHIPS: dict[str, int] = {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}
CORES_PER_CHIP = 120  # 128 on the die, 122 usable (Hala Point: 140 544/1152), 120 assumed
NEURONS_PER_CHIP = 1 << 20  # published
SYNAPSES_PER_CHIP = 120_000_000  # published


def place(parts: Sequence[Partition], board: Board = "oheo-gulch") -> Placement:
    """Cores numbered as on the chip, the last layer first, and every limit with its headroom."""
    total = sum(part.cores for part in parts)
    available = CORES_PER_CHIP * CHIPS[board]
    used_chips = -(-total // CORES_PER_CHIP)
    cores: list[Core] = []
    by_chip = dict.fromkeys(range(used_chips), 0)
    for part in reversed(parts):
        for at in range(part.cores):
            chip = len(cores) * used_chips // total  # as many cores on every chip, within one
            cores.append(_core(part, at, len(cores), chip))
            by_chip[chip] += part.held(at)
    worst = max(cores, key=lambda core: core.detail["synmem_units"])
    most = max(cores, key=lambda core: core.neurons + core.detail["dummy"])
    fullest = max(cores, key=lambda core: core.memory)
    synapses = sum(part.demand.synapses for part in parts) / used_chips
    delay = max(part.demand.max_delay for part in parts)
    limits = (
        Limit(name="cores", used=len(cores), limit=available, unit="core", basis="assumed", where=board),
        Limit(name="synaptic memory", used=worst.detail["synmem_units"], limit=SYNMEM_UNITS,
              unit="64-bit unit", basis="published", where=f"core {worst.index} ({worst.node})"),
        Limit(name="neurons a core", used=most.neurons + most.detail["dummy"], limit=NEURONS_PER_CORE,
              unit="neuron", basis="fitted", where=f"core {most.index} ({most.node})"),
        Limit(name="core memory", used=fullest.memory, limit=1.0, unit="share", basis="fitted",
              where=f"core {fullest.index} ({fullest.node})"),
        Limit(name="neurons a chip", used=max(by_chip.values()), limit=NEURONS_PER_CHIP,
              unit="neuron", basis="published"),
        Limit(name="synapses a chip", used=synapses, limit=SYNAPSES_PER_CHIP,
              unit="synapse", basis="published"),
        Limit(name="synaptic delay", used=delay, limit=MAX_DELAY, unit="step", basis="published"),
    )  # fmt: skip
    return Placement(
        target="loihi2", core_name="core", cores=tuple(cores), limits=limits, available=available
    )


def _core(part: Partition, at: int, index: int, chip: int) -> Core:
    demand, n, held = part.demand, part.neurons(at), part.held(at)
    units = demand.units(held) if held else 0
    words = demand.delay_words(held)
    axons, axon_map = (demand.axons_in, demand.axon_map(held)) if held else (0, 0)
    return Core(
        index=index,
        node=demand.name,
        first=min(at * part.per_core, demand.size),
        neurons=n,
        memory=core_memory(demand, held),
        detail={
            "chip": chip,
            "synmem_units": units,
            "synmem_limit": SYNMEM_UNITS,
            "axons_in": axons,
            "axon_map": axon_map,
            "axon_map_real": demand.axon_map(n) if n else 0,
            "delay_words": words,
            "dummy": held - n,
            **({"first_column": at * part.columns, "columns": part.columns} if part.columns else {}),
        },
    )
