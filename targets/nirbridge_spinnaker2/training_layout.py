"""On-chip training as PEs: one PE a sample for the input, each layer and the loss; PEs for Adam (§6)."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace
from math import ceil

from nirbridge.placement import Core, Limit, Placement
from nirbridge_spinnaker2.memory import coefficients, usable_bytes
from nirbridge_spinnaker2.power import APPLICATION_PES, ROUTING_ENTRIES, Scenario

OPTIMISER_BYTES = 16  # of a parameter in float32: weight, gradient, m, v (SPINNAKER2.md §6)
QUAD = 4


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainingJob:
    """A stack of layers that is trained in batches on the chip.

    names: the Input, then each layer. layers: their units. recurrent: of each layer, whether its own
    spikes come back. ticks_forward, ticks_backward: of one sample. tick_s [s]. optimiser_pes: 0 takes as
    many as the parameters need.
    """

    names: tuple[str, ...]
    layers: tuple[int, ...]
    recurrent: tuple[bool, ...]
    batch: int
    ticks_forward: int
    ticks_backward: int
    tick_s: float
    optimiser_pes: int = 0

    @property
    def depth(self) -> int:
        return len(self.layers) - 1

    @property
    def per_sample(self) -> int:
        """PEs of one batch element: input, layers, loss."""
        return self.depth + 2

    def fan_in(self, layer: int) -> int:
        """Inputs of every neuron of layer 1 … depth, its own recurrent ones included."""
        return self.layers[layer - 1] + self.layers[layer] * self.recurrent[layer - 1]

    @property
    def parameters(self) -> int:
        return sum(self.fan_in(at) * self.layers[at] for at in range(1, self.depth + 1))

    @property
    def optimisers(self) -> int:
        """⌈16·parameters/94,208⌉ PEs, or as many as asked for."""
        return self.optimiser_pes or ceil(OPTIMISER_BYTES * self.parameters / usable_bytes())

    @property
    def pes(self) -> int:
        return self.batch * self.per_sample + self.optimisers


def layer_regions(m: int, n: int, ticks: int) -> dict[str, int]:
    """Bytes by region of a layer's PE: n neurons of m inputs, float32 (SPINNAKER2.md §6).

    W 4·n·m and its gradient 4·n·m, state 16·n, record of I − V⁻ 4·T·n, spike bits
    4·T·(⌈n/32⌉+⌈m/32⌉), T the ticks of the forward phase.
    """
    return {
        "weights": 4 * n * m,
        "gradients": 4 * n * m,
        "state": 16 * n,
        "slopes": 4 * ticks * n,
        "spike_bits": 4 * ticks * (ceil(n / 32) + ceil(m / 32)),
    }


def layer_bytes(job: TrainingJob, layer: int) -> dict[str, int]:
    """`layer_regions` of layer 1 … depth of a job."""
    return layer_regions(job.fan_in(layer), job.layers[layer], job.ticks_forward)


def optimiser_regions(job: TrainingJob) -> dict[str, int]:
    """Bytes by region of the fullest optimiser PE: weight, gradient, m and v of its parameters."""
    share = ceil(job.parameters / job.optimisers)
    return dict.fromkeys(("weights", "gradients", "adam_m", "adam_v"), 4 * share)


def place(job: TrainingJob, scenario: Scenario) -> Placement:
    """PEs in the order sample by sample {input, layers, loss}, then the optimiser's; limits with headroom.

    Two layers make one sample one quad-PE. Routing entries: a key for each sender of spikes (input,
    layers), of errors (loss, layers but the first), of gradients (layers) and of new weights.
    """
    cores = tuple(_cores(job, scenario))
    limits = [
        Limit(
            name="PE memory",
            used=sum(layer_bytes(job, at).values()),
            limit=usable_bytes(),
            unit="B",
            basis="assumed",
            where=f"{job.names[at]}, each of {job.batch} PEs",
        )
        for at in range(1, job.depth + 1)
    ]
    limits.append(
        Limit(
            name="PE memory",
            used=sum(optimiser_regions(job).values()),
            limit=usable_bytes(),
            unit="B",
            basis="assumed",
            where=f"optimiser, fullest of {job.optimisers} PE{'s' * (job.optimisers > 1)}",
        )
    )
    chips = f"{scenario.chips} chip" + "s" * (scenario.chips > 1)
    available = APPLICATION_PES * scenario.chips
    limits.append(Limit(name="PEs", used=job.pes, limit=available, unit="PE", basis="published", where=chips))
    entries = job.batch * (3 * job.depth + 1) + job.optimisers
    limits.append(
        Limit(name="routing entries", used=entries, limit=ROUTING_ENTRIES, unit="entry", basis="assumed")
    )
    return Placement(
        target="spinnaker2", core_name="PE", cores=cores, limits=tuple(limits), available=available
    )


def _cores(job: TrainingJob, scenario: Scenario) -> Iterator[Core]:
    from nirbridge_spinnaker2.training_work import steady_loads

    loads = steady_loads(coefficients().corner_values()["central"], job, scenario)
    index = 0
    for sample in range(job.batch):
        for role in range(job.per_sample):
            inner = 1 <= role <= job.depth
            regions = layer_bytes(job, role) if inner else {}
            name = "loss" if role > job.depth else job.names[role]
            neurons = job.layers[min(role, job.depth)]
            yield _core(index, name, 0, neurons, regions, loads[role], sample)
            index += 1
    share = ceil(job.parameters / job.optimisers)
    for at in range(job.optimisers):
        held = min(share, job.parameters - at * share)
        core = _core(index, "optimiser", 0, 0, optimiser_regions(job), loads[-1], None)
        yield replace(core, detail={**core.detail, "first_parameter": at * share, "parameters": held})
        index += 1


def _core(
    index: int, node: str, first: int, neurons: int, regions: dict[str, int], load: float, sample: int | None
) -> Core:
    total = sum(regions.values())
    detail: dict[str, float] = {"quad": index // QUAD, "pe": index % QUAD, "load": load}
    if sample is not None:
        detail["sample"] = sample
    detail |= {f"{name}_bytes": size for name, size in regions.items()}
    if regions:
        detail |= {"total_bytes": total, "headroom_bytes": usable_bytes() - total}
    return Core(
        index=index, node=node, first=first, neurons=neurons, memory=total / usable_bytes(), detail=detail
    )
