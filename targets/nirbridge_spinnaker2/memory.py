"""Bytes of a slice of neurons on one PE, region by region (SPINNAKER2.md §3; every size is assumed)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from functools import cache

from nirbridge.cost import Coefficients, load


@cache
def coefficients() -> Coefficients:
    """The cited coefficients of this package."""
    return load("nirbridge_spinnaker2")


@dataclass(frozen=True, slots=True, kw_only=True)
class FanIn:
    """A projection as a PE stores it.

    n_pre: sources (behind pools: pooled units). source_pes: PEs that the sources live on, None for
    the population's own PEs (recurrence). kernel_bytes: int8 kernel of a convolution, kept whole on
    every PE; None for a list of synapses.
    """

    n_pre: int
    source_pes: int | None = 1
    kernel_bytes: int | None = None


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a population asks of every PE that holds a slice of it.

    cuba: CubaLIF or CubaLI. delays: ring buffers of eight slots. record_spikes, record_v: kept on
    the PE for ``ticks`` ticks.
    """

    name: str
    neurons: int
    cuba: bool
    fan_in: tuple[FanIn, ...]
    delays: bool = False
    record_spikes: bool = False
    record_v: bool = False
    ticks: int = 0


def usable_bytes() -> int:
    """Data memory of a PE, 94,208 B: 96 KiB without 4 KiB of heap and stack."""
    return int(coefficients().coefficients["usable_memory"].value)


def region_bytes(demand: Demand, n: int, pes: int) -> dict[str, int]:
    """Bytes by region of the PE that holds ``n`` neurons of a population spread over ``pes`` PEs.

    state 20·n or 44·n (Cuba); ring buffer 4·n·(1, Cuba 2)·(1, with delays 8); synapses 4·n·ΣN_j,
    zeros included; rows 4·Σ(N_j+1); population table 8·ΣK_j; a convolution holds its int8 kernel + 64
    instead of synapses and rows; FIFO 4096; records: spikes 4·⌈n/32⌉·T, V 4·n·T.
    """
    entries = coefficients().coefficients
    size = {name: int(item.value) for name, item in entries.items() if item.unit == "byte"}
    lists = [f for f in demand.fan_in if f.kernel_bytes is None]
    kernels = [f.kernel_bytes for f in demand.fan_in if f.kernel_bytes is not None]
    result = {
        "state": size["state_cuba" if demand.cuba else "state_lif"] * n,
        "ring_buffer": size["ring_slot"] * n * (2 if demand.cuba else 1) * (8 if demand.delays else 1),
        "synapses": size["synapse_word"] * n * sum(f.n_pre for f in lists),
        "rows": size["row_word"] * sum(f.n_pre + 1 for f in lists),
        "population_table": size["population_entry"]
        * sum(pes if f.source_pes is None else f.source_pes for f in demand.fan_in),
        "fifo": size["fifo"],
        "record": 4 * -(-n // 32) * demand.ticks * demand.record_spikes
        + 4 * n * demand.ticks * demand.record_v,
    }
    if kernels:
        result["kernels"] = sum(k + size["kernel_header"] for k in kernels)
    return result


def slices(neurons: int, pes: int) -> list[int]:
    """Sizes of ``pes`` contiguous slices that differ by at most 1, larger first."""
    least, more = divmod(neurons, pes)
    return [least + 1] * more + [least] * (pes - more)


def smallest_split(demand: Demand, max_atoms: int, at_least: int = 1) -> int | None:
    """Fewest PEs whose slices hold ``max_atoms`` neurons at most and fit the memory, or None."""
    limit = usable_bytes()
    first = max(at_least, -(-demand.neurons // max_atoms), 1)
    for pes in range(first, max(demand.neurons, first) + 1):
        if sum(region_bytes(demand, -(-demand.neurons // pes), pes).values()) <= limit:
            return pes
    return None


def split_all(
    demands: Sequence[Demand], sources: Sequence[Sequence[int | None]], max_atoms: int
) -> list[int]:
    """PEs of every population; a population that fits in no split gets one PE per neuron.

    sources[p][j]: index of the population that feeds projection j of population p, None for the
    Input. K_j of a projection is the number of slices of its source, so populations in a mutual loop
    depend on each other: the counts grow from 1 until nothing changes.
    """
    pes = [1] * len(demands)
    while True:
        before = list(pes)
        for p in range(len(demands)):
            found = smallest_split(with_sources(demands[p], p, sources[p], pes), max_atoms, pes[p])
            pes[p] = demands[p].neurons if found is None else found
        if pes == before:
            return pes


def with_sources(demand: Demand, own: int, sources: Sequence[int | None], pes: Sequence[int]) -> Demand:
    """The demand with K_j taken from the split of its sources."""
    fan_in = tuple(
        FanIn(
            n_pre=f.n_pre,
            source_pes=1 if source is None else None if source == own else pes[source],
            kernel_bytes=f.kernel_bytes,
        )
        for f, source in zip(demand.fan_in, sources, strict=True)
    )
    return Demand(
        name=demand.name,
        neurons=demand.neurons,
        cuba=demand.cuba,
        fan_in=fan_in,
        delays=demand.delays,
        record_spikes=demand.record_spikes,
        record_v=demand.record_v,
        ticks=demand.ticks,
    )
