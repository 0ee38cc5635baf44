"""What every layer asks of the neurocores, and how it is cut into slices for them (LOIHI2.md §4).

The formulas reproduce two published compiler logs (lava-dl pilotnet_snn and pilotnet_sdnn notebooks).
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import numpy as np

from nirbridge_loihi2.convolution import Window, stored_synapses
from nirbridge_loihi2.layers import Connection, IntegerNetwork

Split = Literal["logged", "packed"]

SYNMEM_UNITS = 12_000  # of 64 bit a core: published compiler log
NEURONS_PER_CORE = 4095  # inferred: below 4096, the largest seen is 3168
HEADER_BITS, INDEX_BITS, DELAY_BITS = 20, 12, 6  # inferred, inferred, assumed
RING_BITS = 24  # a delay accumulator: assumed
MEMORY_FIXED, MEMORY_WORDS = 0.155, 20_480  # inferred: within 0.2 points of the chip's plot


@dataclass(frozen=True, slots=True, kw_only=True)
class Demand:
    """What a layer asks for: ``size`` neurons, rows from ``axons`` sources of ``bits`` weights.

    delays: True where synapses carry a delay of up to ``max_delay`` steps; synapses: stored nonzero.
    lines: (axons, synapses a target) of those among the axons whose rows hold more than one of them.
    shape: (C, H, W) of a layer that is cut along W, else None; windows: the convolutions into it;
    flat: whether what follows reads it neuron by neuron (a dense layer, or nothing).
    """

    name: str
    size: int
    axons: int
    bits: int
    delays: bool = False
    max_delay: int = 0
    synapses: int = 0
    lines: tuple[tuple[int, int], ...] = ()
    shape: tuple[int, int, int] | None = None
    windows: tuple[Window, ...] = ()
    flat: bool = True

    def units(self, neurons: int) -> int:
        """SynMem units of 64 bit with ``neurons`` targets.

        Dense: Σ_axons ceil((20 + n·(B+12))/64), with 6 bits more a synapse where delays stand, and k·n
        synapses in the row of an axon that reaches each target with k delays (assumed: one row an axon, as
        without delays). Convolution: (C_in/G)·kH·kW·ceil((20 + O·(B+c))/64) however it is cut, with c = 1
        where the x-stride is 2 or more.
        """
        rows = 0
        for w in self.windows:
            bits = HEADER_BITS + w.target[0] * (self.bits + (w.stride[1] > 1))
            rows += w.source[0] // w.groups * w.kernel[0] * w.kernel[1] * -(-bits // 64)
        per_synapse = self.bits + INDEX_BITS + (DELAY_BITS if self.delays else 0)
        plain = self.axons - sum(axons for axons, _ in self.lines)
        for axons, synapses in ((plain, 1), *self.lines):
            rows += axons * -(-(HEADER_BITS + neurons * synapses * per_synapse) // 64)
        return rows

    def delay_words(self, neurons: int) -> int:
        """Words of 64 bit for the ring of accumulators: n·(D_max+1) of 24 bit."""
        return -(-neurons * (self.max_delay + 1) * RING_BITS // 64) if self.delays else 0

    @property
    def x_stride(self) -> int:
        return max((w.stride[1] for w in self.windows), default=1)

    @property
    def axons_in(self) -> int:
        """Input axons a core, as the compiler counts them: the x-stride of a convolution, 1 of an input."""
        return self.axons if self.shape is None else self.axons + self.x_stride

    def axon_map(self, neurons: int) -> int:
        """Entries of the axon map for so many neurons: rows of columns, or every neuron where flat."""
        if self.shape is None or self.flat:
            return neurons
        return neurons // self.shape[0] * self.x_stride


def core_memory(demand: Demand, neurons: int) -> float:
    """Share of a core's memory that so many neurons take: 0.155 + (SynMem units, axons, neurons, axon map
    and delay buffers)/20 480 (LOIHI2.md §4)."""
    words = 0
    if neurons:
        words = demand.units(neurons) + demand.axons_in + demand.axon_map(neurons)
        words += neurons + demand.delay_words(neurons)
    return MEMORY_FIXED + words / MEMORY_WORDS


@dataclass(frozen=True, slots=True, kw_only=True)
class Partition:
    """``cores`` cores reserved for a layer, ``per_core`` neurons each in ascending order.

    Trailing cores may stay empty and are counted, as the compiler does. A layer of shape (C, H, W) has
    ``columns`` columns a core; its last core is filled with dummy columns, which receive and are
    counted but send nothing.
    """

    demand: Demand
    cores: int
    per_core: int
    columns: int = 0

    @property
    def filled(self) -> int:
        """Cores that hold neurons."""
        return -(-self.demand.size // self.per_core)

    def neurons(self, core: int) -> int:
        """Real neurons on the core with this index within the layer."""
        return max(0, min(self.per_core, self.demand.size - core * self.per_core))

    def held(self, core: int) -> int:
        """Neurons on the core, dummy columns included."""
        return self.per_core if self.columns else self.neurons(core)

    @property
    def dummies(self) -> int:
        """Neurons in dummy columns."""
        return sum(self.held(core) - self.neurons(core) for core in range(self.cores))


def demands(network: IntegerNetwork) -> tuple[Demand, ...]:
    """What every layer asks for; one row of synapses for each neuron of each dense source, delayed copies of
    a synapse included."""
    result = []
    for at, layer in enumerate(network.layers):
        into = network.into(at)
        longest = max((c.max_delay for c in into), default=0)
        shape = (layer.shape[0], layer.shape[1], layer.shape[2]) if len(layer.shape) == 3 else None
        result.append(
            Demand(
                name=layer.name,
                size=layer.size,
                axons=layer.ports
                * sum(network.source_size(c) for c in into if c.window is None and not c.shared),
                bits=layer.weight_bits,
                delays=longest > 0,
                max_delay=longest,
                synapses=sum(_synapses(c) for c in into),
                lines=_lines(into, layer.ports),
                shape=shape,
                windows=tuple(c.window for c in into if c.window is not None),
                flat=all(c.window is None for c in network.connections if c.source == at),
            )
        )
    return tuple(result)


def _lines(into: tuple[Connection, ...], ports: int) -> tuple[tuple[int, int], ...]:
    """(axons, synapses a target) of the axons whose row holds several synapses of a target."""
    counts: dict[int, int] = {}
    for source in sorted({c.source for c in into if c.shared}):
        mine = [c for c in into if c.source == source and c.window is None]
        synapses = sum(np.any(c.weight != 0, axis=0).astype(np.int64) for c in mine)
        for held, axons in zip(*np.unique(synapses, return_counts=True), strict=True):
            if held > 1:
                counts[int(held)] = counts.get(int(held), 0) + ports * int(axons)
    return tuple((axons, held) for held, axons in sorted(counts.items()))


def _synapses(c: Connection) -> int:
    return int(np.count_nonzero(c.weight)) if c.window is None else stored_synapses(c.weight, c.window)


def partition(demand: Demand, split: Split = "logged", most: int = NEURONS_PER_CORE) -> Partition:
    """Cores of a layer (LOIHI2.md §4), at most ``most`` neurons each.

    (C, H, W): slices of the largest power of two columns that fit, at most the smallest power of two
    that holds W. Else ``logged``, as two compiler logs show: from k = 1, while a core with ceil(N/k)
    neurons holds more than 12 000 units or ``most`` neurons, k ← max(k·ceil(units/12 000), k+1);
    ``packed``: the smallest k that fits. A core's memory, with the delay buffers, must suffice too (no
    log comes near that). Where even one column or neuron does not fit a core, one a core is returned.
    """
    if demand.shape is not None:
        return _sliced(demand, most)
    n = demand.size

    def fits(k: int) -> bool:
        per = -(-n // k)
        held = demand.units(per) <= SYNMEM_UNITS and per <= most
        return held and core_memory(demand, per) <= 1

    k = 1
    while not fits(k):
        if k >= n:
            return Partition(demand=demand, cores=n, per_core=1)
        if split == "packed":
            k += 1
        else:
            k = max(k * -(-demand.units(-(-n // k)) // SYNMEM_UNITS), k + 1)
    return Partition(demand=demand, cores=k, per_core=-(-n // k))


def _sliced(demand: Demand, most: int) -> Partition:
    assert demand.shape is not None
    channels, height, width = demand.shape
    column = channels * height

    def fits(columns: int) -> bool:
        held = columns * column
        enough = held <= most and demand.units(held) <= SYNMEM_UNITS
        return enough and core_memory(demand, held) <= 1

    columns = 1
    while columns < width and fits(2 * columns):
        columns *= 2
    return Partition(demand=demand, cores=-(-width // columns), per_core=columns * column, columns=columns)
