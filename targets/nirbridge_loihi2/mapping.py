"""Which neurons sit on which neurocore: synaptic memory, partition, core memory, limits (LOIHI2.md §4).

The formulas reproduce two published compiler logs (lava-dl pilotnet_snn and pilotnet_sdnn notebooks).
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal

import numpy as np

from nirbridge.placement import Core, Limit, Placement
from nirbridge_loihi2.layers import MAX_DELAY, IntegerNetwork

Board = Literal["oheo-gulch", "kapoho-point", "hala-point"]
Split = Literal["logged", "packed"]

CHIPS: dict[str, int] = {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}
CORES_PER_CHIP = 120  # 128 on the die, 122 usable (Hala Point: 140 544/1152), 120 assumed
SYNMEM_UNITS = 12_000  # of 64 bit a core: published compiler log
NEURONS_PER_CORE = 4095  # inferred: below 4096, the largest seen is 3168
NEURONS_PER_CHIP = 1 << 20  # published
SYNAPSES_PER_CHIP = 120_000_000  # published
HEADER_BITS, INDEX_BITS, DELAY_BITS = 20, 12, 6  # inferred, inferred, assumed
RING_BITS = 24  # a delay accumulator: assumed
MEMORY_FIXED, MEMORY_WORDS = 0.155, 20_480  # inferred: within 0.2 points of the chip's plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a dense layer asks for: ``size`` neurons, rows from ``axons`` sources of ``bits`` weights.

    delays: True where synapses carry a delay of up to ``max_delay`` steps; synapses: stored nonzero.
    """

    name: str
    size: int
    axons: int
    bits: int
    delays: bool = False
    max_delay: int = 0
    synapses: int = 0

    def units(self, neurons: int) -> int:
        """SynMem units of 64 bit with ``neurons`` targets: Σ_axons ceil((20 + n·(B+12))/64)."""
        per_synapse = self.bits + INDEX_BITS + (DELAY_BITS if self.delays else 0)
        return self.axons * -(-(HEADER_BITS + neurons * per_synapse) // 64)

    def delay_words(self, neurons: int) -> int:
        """Words of 64 bit for the ring of accumulators: n·(D_max+1) of 24 bit."""
        return -(-neurons * (self.max_delay + 1) * RING_BITS // 64) if self.delays else 0


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """``cores`` cores reserved for a layer, ``per_core`` neurons each in ascending order.

    Trailing cores may stay empty and are counted, as the compiler does.
    """

    demand: Demand
    cores: int
    per_core: int

    @property
    def filled(self) -> int:
        """Cores that hold neurons."""
        return -(-self.demand.size // self.per_core)

    def neurons(self, core: int) -> int:
        """Neurons on the core with this index within the layer."""
        return max(0, min(self.per_core, self.demand.size - core * self.per_core))


def demands(network: IntegerNetwork) -> tuple[Demand, ...]:
    """What every layer asks for; one row of synapses for each neuron of each source."""
    result = []
    for at, layer in enumerate(network.layers):
        into = network.into(at)
        longest = max((c.max_delay for c in into), default=0)
        result.append(
            Demand(
                name=layer.name,
                size=layer.size,
                axons=sum(network.source_size(c) for c in into),
                bits=layer.weight_bits,
                delays=longest > 0,
                max_delay=longest,
                synapses=sum(int(np.count_nonzero(c.weight)) for c in into),
            )
        )
    return tuple(result)


def partition(demand: Demand, split: Split = "logged") -> Partition:
    """Cores of a dense layer (LOIHI2.md §4).

    ``logged``, as two compiler logs show: from k = 1, while a core with ceil(N/k) neurons holds more
    than 12 000 units or 4095 neurons, k ← max(k·ceil(units/12 000), k+1). ``packed``: the smallest k
    that fits. Where even one neuron does not fit a core, one core a neuron is returned.
    """
    n = demand.size

    def fits(k: int) -> bool:
        per = -(-n // k)
        return demand.units(per) <= SYNMEM_UNITS and per <= NEURONS_PER_CORE

    k = 1
    while not fits(k):
        if k >= n:
            return Partition(demand=demand, cores=n, per_core=1)
        if split == "packed":
            k += 1
        else:
            k = max(k * -(-demand.units(-(-n // k)) // SYNMEM_UNITS), k + 1)
    return Partition(demand=demand, cores=k, per_core=-(-n // k))


def place(parts: Sequence[Partition], board: Board = "oheo-gulch") -> Placement:
    """Cores numbered as on the chip, the last layer first, and every limit with its headroom."""
    cores: list[Core] = []
    for part in reversed(parts):
        for at in range(part.cores):
            cores.append(_core(part, at, len(cores)))
    chips = CHIPS[board]
    available = CORES_PER_CHIP * chips
    by_chip: dict[int, int] = {}
    for core in cores:
        chip = core.index // CORES_PER_CHIP
        by_chip[chip] = by_chip.get(chip, 0) + core.neurons
    worst = max(cores, key=lambda core: core.detail["synmem_units"])
    most = max(cores, key=lambda core: core.neurons)
    fullest = max(cores, key=lambda core: core.memory)
    used_chips = -(-len(cores) // CORES_PER_CHIP)
    synapses = sum(part.demand.synapses for part in parts) / used_chips
    delay = max(part.demand.max_delay for part in parts)
    limits = (
        Limit(name="cores", used=len(cores), limit=available, unit="core", basis="assumed", where=board),
        Limit(name="synaptic memory", used=worst.detail["synmem_units"], limit=SYNMEM_UNITS,
              unit="64-bit unit", basis="published", where=f"core {worst.index} ({worst.node})"),
        Limit(name="neurons a core", used=most.neurons, limit=NEURONS_PER_CORE,
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


def _core(part: Partition, at: int, index: int) -> Core:
    demand, n = part.demand, part.neurons(at)
    units = demand.units(n) if n else 0
    words = demand.delay_words(n)
    axons, axon_map = (demand.axons, n) if n else (0, 0)
    return Core(
        index=index,
        node=demand.name,
        first=min(at * part.per_core, demand.size),
        neurons=n,
        memory=MEMORY_FIXED + (units + axons + n + axon_map + words) / MEMORY_WORDS,
        detail={
            "chip": index // CORES_PER_CHIP,
            "synmem_units": units,
            "synmem_limit": SYNMEM_UNITS,
            "axons_in": axons,
            "axon_map": axon_map,
            "delay_words": words,
            "dummy": 0,
        },
    )
