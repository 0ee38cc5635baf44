"""Which neurons sit on which PE, and what to change where they do not fit (SPINNAKER2.md §3)."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING

from nirbridge.errors import Finding
from nirbridge.placement import Core, Limit, Placement
from nirbridge_spinnaker2.lowering import Layer, Lowered
from nirbridge_spinnaker2.memory import (
    Demand,
    FanIn,
    coefficients,
    region_bytes,
    slices,
    split_all,
    usable_bytes,
    with_sources,
)
from nirbridge_spinnaker2.power import APPLICATION_PES, ROUTING_ENTRIES, clock

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Partition:
    """Slices of every layer, the demand that they answer, and the index of each layer's first PE."""

    demands: tuple[Demand, ...]
    slices: tuple[tuple[int, ...], ...]
    first_pe: tuple[int, ...]
    placement: Placement


def partition(lowered: Lowered, target: Spinnaker2) -> Partition:
    """Place a network: the smallest split of every population, PEs filled in graph order, quad by quad."""
    plain = [_demand(layer, target) for layer in lowered.layers]
    sources = [[lowered.layer_of(p.source) for p in layer.projections] for layer in lowered.layers]
    pes = split_all(plain, sources, target.max_atoms)
    demands = tuple(with_sources(d, at, sources[at], pes) for at, d in enumerate(plain))
    sizes = tuple(tuple(slices(d.neurons, k)) for d, k in zip(demands, pes, strict=True))
    cores = [_input_core(lowered)]
    first_pe = []
    for layer, demand, parts in zip(lowered.layers, demands, sizes, strict=True):
        first_pe.append(len(cores))
        cores += _cores(layer, demand, parts, len(cores), target)
    limits = [_memory_limit(d, parts) for d, parts in zip(demands, sizes, strict=True)]
    limits.append(
        Limit(
            name="PEs",
            used=len(cores),
            limit=APPLICATION_PES * target.chips,
            unit="PE",
            basis="published",
            where=f"{target.chips} chip" + "s" * (target.chips > 1),
        )
    )
    feeding = {p.source for layer in lowered.layers for p in layer.projections}
    senders = [k for k, layer in enumerate(lowered.layers) if layer.index in feeding]
    entries = 1 + sum(len(sizes[k]) for k in senders)
    limits.append(
        Limit(name="routing entries", used=entries, limit=ROUTING_ENTRIES, unit="entry", basis="assumed")
    )
    placement = Placement(
        target="spinnaker2",
        core_name="PE",
        cores=tuple(cores),
        limits=tuple(limits),
        available=APPLICATION_PES * target.chips,
    )
    return Partition(demands=demands, slices=sizes, first_pe=tuple(first_pe), placement=placement)


def fit_findings(lowered: Lowered, target: Spinnaker2, done: Partition) -> list[Finding]:
    """NB601 for a population that fits no split, NB602 for too few PEs, NB603 for the router."""
    found = []
    for demand, parts in zip(done.demands, done.slices, strict=True):
        regions = region_bytes(demand, parts[0], len(parts))
        total = sum(regions.values())
        if total > usable_bytes():
            largest = max(regions, key=lambda name: regions[name])
            message = (
                f"node '{demand.name}' needs {total:,} B on a PE even with {parts[0]} neuron, usable are "
                f"{usable_bytes():,} B; the largest region is {largest} with {regions[largest]:,} B"
            )
            without = replace(demand, ticks=0)
            helps = demand.ticks and sum(region_bytes(without, 1, len(parts)).values()) <= usable_bytes()
            fix = (
                f"record fewer ticks: spinnaker2:record_ticks={_most_ticks(demand, len(parts))}"
                if helps
                else f"give the node at most {_most_sources(demand, len(parts)):,} sources "
                f"(now {sum(f.n_pre for f in demand.fan_in):,})"
            )
            found.append(Finding(code="NB601", level="error", node=demand.name, message=message, fix=fix))
    for limit, code in zip(done.placement.limits[-2:], ("NB602", "NB603"), strict=True):
        if limit.limit is not None and limit.used > limit.limit:
            regions = _total_regions(done)
            largest = max(regions, key=lambda name: regions[name])
            message = (
                f"the graph needs {limit.used:,.0f} {limit.name}, there are {limit.limit:,.0f}; it fills "
                f"{sum(regions.values()):,} B, {regions[largest]:,} B of it {largest}"
            )
            change = None if found else _smallest_change(lowered, target)
            found.append(Finding(code=code, level="error", node=None, message=message, fix=change))
    return found


def _demand(layer: Layer, target: Spinnaker2) -> Demand:
    population = layer.population
    return Demand(
        name=layer.name,
        neurons=layer.size,
        cuba=population.cuba,
        fan_in=tuple(FanIn(n_pre=p.rows.n_rows, kernel_bytes=p.kernel_bytes) for p in layer.projections),
        record_spikes=population.spiking,
        record_v=not population.spiking,
        ticks=target.record_ticks,
    )


def _input_core(lowered: Lowered) -> Core:
    node = lowered.network.populations[lowered.network.of_kind("input")[0]]
    return Core(
        index=0,
        node=node.name,
        first=0,
        neurons=node.size,
        memory=0.0,
        detail={"quad": 0, "pe": 0, "load": 0.0},
    )


def _cores(layer: Layer, demand: Demand, parts: Sequence[int], index: int, target: Spinnaker2) -> list[Core]:
    values = coefficients().corner_values()["central"]
    budget = clock(values, target.scenario) * target.tick_s
    sources = sum(p.rows.n_rows for p in layer.projections)
    cores = []
    first = 0
    for n in parts:
        regions = region_bytes(demand, n, len(parts))
        total = sum(regions.values())
        base = values["c_tick"] + values["c_n"] * n
        detail: dict[str, float] = {
            "quad": index // 4,
            "pe": index % 4,
            "load": base / budget,
            **{f"{name}_bytes": size for name, size in regions.items()},
        }
        detail |= {
            "total_bytes": total,
            "headroom_bytes": usable_bytes() - total,
            "tick_cycles": budget,
            "base_cycles": base,
            "cycles_per_synop": values["c_s"],
            "sources": sources,
            "spikes_in_time": max((budget - base) // (values["c_s"] * n), 0),
            "all_spike_cycles": base + values["c_s"] * n * sources,
        }
        cores.append(
            Core(
                index=index,
                node=layer.name,
                first=first,
                neurons=n,
                memory=total / usable_bytes(),
                detail=detail,
            )
        )
        first += n
        index += 1
    return cores


def _most_ticks(demand: Demand, pes: int) -> int:
    """Ticks that can be recorded of one neuron on a PE."""
    free = usable_bytes() - sum(region_bytes(replace(demand, ticks=0), 1, pes).values())
    return free // region_bytes(replace(demand, ticks=1), 1, pes)["record"]


def _most_sources(demand: Demand, pes: int) -> int:
    """Sources whose rows and synapses of one neuron fit a PE beside the rest."""

    def total(sources: int) -> int:
        lists = [f.kernel_bytes is None for f in demand.fan_in]
        at = lists.index(True) if any(lists) else -1
        fan_in = tuple(replace(f, n_pre=sources if k == at else 0) for k, f in enumerate(demand.fan_in))
        return sum(region_bytes(replace(demand, fan_in=fan_in, ticks=0), 1, pes).values())

    each = total(1) - total(0)
    return max((usable_bytes() - total(0)) // each, 0) if each else 0


def _memory_limit(demand: Demand, parts: Sequence[int]) -> Limit:
    used = sum(region_bytes(demand, parts[0], len(parts)).values())
    return Limit(
        name="PE memory",
        used=used,
        limit=usable_bytes(),
        unit="B",
        basis="assumed",
        where=f"{demand.name}, fullest of {len(parts)} PE{'s' * (len(parts) > 1)}",
    )


def _total_regions(done: Partition) -> dict[str, int]:
    total: dict[str, int] = {}
    for demand, parts in zip(done.demands, done.slices, strict=True):
        for n in parts:
            for name, size in region_bytes(demand, n, len(parts)).items():
                total[name] = total.get(name, 0) + size
    return total


def _smallest_change(lowered: Lowered, target: Spinnaker2) -> str:
    """The first option that makes the graph fit: more neurons a PE, no room for records, more chips."""
    low, high = target.max_atoms, max(layer.size for layer in lowered.layers)
    if low < high and _fits(lowered, replace(target, max_atoms=high)):
        while low + 1 < high:
            middle = (low + high) // 2
            low, high = (low, middle) if _fits(lowered, replace(target, max_atoms=middle)) else (middle, high)
        return f"spinnaker2:max_atoms={high}"
    if target.record_ticks and _fits(lowered, replace(target, record_ticks=0)):
        return "spinnaker2:record_ticks=0"
    chips = -(-len(partition(lowered, target).placement.cores) // APPLICATION_PES)
    return f"spinnaker2:chips={chips}"


def _fits(lowered: Lowered, target: Spinnaker2) -> bool:
    return partition(lowered, target).placement.fits
