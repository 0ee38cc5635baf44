"""Where a target leaves the reference, layer by layer: as the network runs, and each layer by itself."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import asdict, dataclass
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis import Divergence, agreement, first_difference
from nirbridge.data import Dataset
from nirbridge.errors import Unsupported
from nirbridge.evaluate.running import fit_duration
from nirbridge.evaluate.single_layer import alone
from nirbridge.graph import inline
from nirbridge.graph.delays import fold
from nirbridge.network import Network, Source, build
from nirbridge.plugins import load
from nirbridge.protocols import Target
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes

Progress = Callable[[int], None]


@dataclass(frozen=True, slots=True, kw_only=True)
class LayerDiagnosis:
    """One layer of a target against the reference on the same graph.

    reference_rate, rate: spikes per neuron and sample. agree: share of spike cells in common as the
    network runs; alone: the same with the layer fed with the reference's own input spikes, so that
    only its own arithmetic differs. Both None for a layer that does not spike, which has ``v_error``:
    largest difference of V, alone, over the largest V. counts: per sample, with the network running:
    ``saturated`` and the target's own (prefixed). first: the first spike that differs as it runs.
    """

    node: str
    type: str
    neurons: int
    reference_rate: float | None
    rate: float | None
    agree: float | None
    alone: float | None
    v_error: float | None
    counts: dict[str, float]
    first: Divergence | None

    def as_dict(self) -> dict[str, Any]:
        """Plain values for JSON."""
        return asdict(self)


def diagnose(
    graph: nir.NIRGraph,
    target: Target,
    data: Dataset,
    *,
    batch: int = 64,
    progress: Progress | None = None,
) -> tuple[LayerDiagnosis, ...]:
    """Hold every layer of the graph, as the target's passes left it, against the reference.

    Layers come in execution order. A layer that cannot stand alone on the target has None there.
    progress is called with the number of layers done.
    """
    network = build(fold(inline(graph)), keep_delays=True)
    data = fit_duration(graph, data)[0]
    reference: Target = load("targets", "reference")()
    order = _order(network)
    layers = [network.populations[at] for at in order]
    spiking = [p.name for p in layers if p.spiking]
    silent = [p.name for p in layers if not p.spiking]
    theirs = _recorded(graph, reference, data, [*spiking, *(f"{name}:v" for name in silent)], batch)
    ours = _recorded(graph, target, data, spiking, batch)
    dt = theirs.dt
    found = []
    for done, (at, p) in enumerate(zip(order, layers, strict=True), start=1):
        apart = _alone(network, at, target, theirs, data, batch)
        cells = len(data) * p.size
        rates: list[float | None] = [None, None]
        agree = share = v_error = first = None
        if p.spiking:
            a, b = theirs.aligned(p.name), ours.aligned(p.name)
            rates = [len(s.times) / max(cells, 1) for s in (a, b)]
            agree = agreement(p.name, a, b, dt).share
            first = first_difference({p.name: a}, {p.name: b}, dt)
            if apart is not None:
                share = agreement(p.name, a, apart.aligned(p.name), dt).share
        elif apart is not None:
            v_error = _v_error(theirs.traces[f"{p.name}:v"], apart.aligned_output())
        kept = {
            key: float(np.mean(values)) if len(values) else 0.0
            for key, values in ours.counts[p.name].items()
            if key == "saturated" or "_" in key
        }
        found.append(
            LayerDiagnosis(
                node=p.name,
                type=type(p.node).__name__,
                neurons=p.size,
                reference_rate=rates[0],
                rate=rates[1],
                agree=agree,
                alone=share,
                v_error=v_error,
                counts=kept,
                first=first,
            )
        )
        if progress is not None:
            progress(done)
    return tuple(found)


def _order(network: Network) -> tuple[int, ...]:
    """Neurons in execution order; by their arcs from the Input where every arc costs a step."""
    if network.semantics.feedforward_delay == 0:
        return network.neurons
    far = len(network.populations)
    depth = [far if d < 0 else d for d in network.depth]
    return tuple(sorted(network.neurons, key=depth.__getitem__))


def _v_error(reference: NDArray[Any], ours: Spikes | NDArray[Any]) -> float | None:
    if isinstance(ours, Spikes):
        return None
    largest = float(np.abs(reference).max(initial=0.0))
    return float(np.abs(reference - ours).max(initial=0.0)) / largest if largest else 0.0


def _recorded(graph: nir.NIRGraph, target: Target, data: Dataset, record: list[str], batch: int) -> Recording:
    program = target.compile(graph)
    return Recording.join([program.run(part.spikes, record=record) for part in data.batches(batch)])


def _alone(
    network: Network, at: int, target: Target, theirs: Recording, data: Dataset, batch: int
) -> Recording | None:
    """The layer by itself on the target, fed with the reference's spikes of everything that enters it."""
    p = network.populations[at]
    try:
        graph, sources = alone(network, at)
        spikes = _joined(network, sources, theirs, data.spikes)
        return _recorded(graph, target, data.with_spikes(spikes), [p.name] if p.spiking else [], batch)
    except Unsupported:
        return None


def _joined(network: Network, sources: Sequence[Source], theirs: Recording, inputs: Spikes) -> Spikes:
    """The spikes of all sources side by side, those that a loop delays one step later."""
    dt, base = theirs.dt, network.semantics.feedforward_delay
    times, units, samples, values = [], [], [], []
    first = 0
    for item in sources:
        source = network.populations[item.population]
        if source.kind != "input" and not source.spiking:
            raise Unsupported(f"'{source.name}' sends no spikes", code="NB202")
        spikes = inputs if source.kind == "input" else theirs.aligned(source.name)
        when = (spikes.steps(dt) + item.delay - base) * dt
        kept = when < inputs.duration - dt / 2
        times.append(when[kept])
        units.append(spikes.units[kept] + first)
        samples.append(np.repeat(np.arange(spikes.n_samples), spikes.counts())[kept])
        graded = np.ones(len(spikes.times), np.int32) if spikes.values is None else spikes.values
        values.append(graded[kept])
        first += source.size
    value = np.concatenate(values)
    return Spikes.from_events(
        np.concatenate(times), np.concatenate(units), np.concatenate(samples),
        n_samples=inputs.n_samples, n_units=first, duration=inputs.duration,
        values=value if np.any(value != 1) else None,
    )  # fmt: skip
