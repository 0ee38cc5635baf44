"""A target: a network as dense matrices, stepped in numpy."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import ClassVar

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost, Total
from nirbridge.errors import BadInput, Finding, NirbridgeError, Unsupported
from nirbridge.network import Network, Synapses, build, synapses
from nirbridge.passes import RescaleLif
from nirbridge.placement import Core, Placement
from nirbridge.protocols import Pass
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes

KINDS = {"input", "output", "lif", "li", "cubalif", "cubali"}
FIELDS = {"decay", "decay_syn", "gain", "compare", "reset", "feedforward_delay", "arithmetic"}


@dataclass(frozen=True)
class Dense:
    """Runs Linear, Affine and (Cuba)LIF networks in float64; short instead of fast."""

    name: ClassVar[str] = "dense"

    def passes(self, graph: nir.NIRGraph) -> Sequence[Pass]:
        """Gains go into the weights, so that the loop below has none."""
        return (RescaleLif(),)

    def check(self, graph: nir.NIRGraph) -> list[Finding]:
        try:
            _lowered(graph)
        except NirbridgeError as error:
            own = Finding(code=error.code, level="error", message=error.message, fix=error.fix)
            return list(error.findings) or [own]
        return []

    def compile(self, graph: nir.NIRGraph) -> DenseProgram:
        return DenseProgram(graph, *_lowered(graph))


def _lowered(graph: nir.NIRGraph) -> tuple[Network, list[tuple[Synapses, ...]]]:
    network = build(graph)
    semantics = network.semantics
    if semantics.profile != "canonical" or not set(semantics.overrides()) <= FIELDS:
        raise Unsupported("target 'dense' does not step as this graph's semantics ask", code="NB201")
    for p in network.populations:
        if p.kind not in KINDS:
            what = f"node '{p.name}' ({type(p.node).__name__}) does not run on target 'dense'"
            raise Unsupported(what, code="NB201", fix=f"supported: {', '.join(sorted(KINDS))}")
    return network, [synapses(network, at) for at in range(len(network.populations))]


class DenseProgram:
    """Populations in execution order, each with the synapses that reach it."""

    def __init__(self, graph: nir.NIRGraph, network: Network, arcs: list[tuple[Synapses, ...]]) -> None:
        self.graph, self.network, self.arcs = graph, network, arcs

    @property
    def placement(self) -> Placement:
        neurons = [self.network.populations[at] for at in self.network.neurons]
        cores = tuple(Core(index=0, node=p.name, first=0, neurons=p.size, memory=0.0) for p in neurons)
        return Placement(target="dense", core_name="process", cores=cores, limits=(), available=1)

    def run(
        self, spikes: Spikes, *, record: Sequence[str] = (), progress: Callable[[int], None] | None = None
    ) -> Recording:
        """Run all samples side by side; records spikes, no traces."""
        network, dt = self.network, self.network.semantics.dt
        (source,), (sink,) = network.of_kind("input"), network.of_kind("output")
        if spikes.n_units > network.populations[source].size:
            raise BadInput(f"the data have {spikes.n_units} units, too many for the graph", code="NB501")
        began = time.perf_counter()
        given = spikes.with_units(network.populations[source].size).to_dense(dt).astype(np.float64)
        steps = given.shape[1]
        before = [np.zeros((len(given), p.size)) for p in network.populations]
        v, current = [z.copy() for z in before], [z.copy() for z in before]
        sent = [np.zeros((len(given), steps, p.size), np.int32) for p in network.populations]
        synops = [np.zeros(len(given), np.int64) for _ in network.populations]
        output = np.zeros((len(given), steps, network.populations[sink].size), np.float32)
        for t in range(steps):
            now = list(before)
            for at, p in enumerate(network.populations):
                x = np.zeros((len(given), p.size))
                for arc in self.arcs[at]:
                    z = before[arc.source] if arc.delay else now[arc.source]
                    x += z if arc.weight is None else z @ arc.weight.T
                    x += 0.0 if arc.bias is None else arc.bias
                    synops[at] += np.count_nonzero(z, axis=1) * (1 if arc.weight is None else p.size)
                if p.kind == "input":
                    now[at] = given[:, t]
                elif p.kind == "output":
                    output[:, t] = x
                else:
                    if p.cuba:
                        x = current[at] = p.a_s * current[at] + p.b_s * x
                    v[at] = p.a_m * v[at] + p.leak + p.b_m * x
                    now[at] = self._fire(at, v[at]) if p.spiking else v[at]
                    sent[at][:, t] = now[at] if p.spiking else 0
            before = now
        if progress is not None:
            progress(len(given))
        return Recording(
            output=output,
            dt=dt,
            n_steps=steps,
            spikes={name: Spikes.from_dense(sent[network.index(name)], dt) for name in record},
            counts={
                network.populations[at].name: {
                    "spikes": sent[at].sum(axis=(1, 2)),
                    "synops": synops[at],
                    "updates": np.full(len(given), steps * network.populations[at].size),
                    "saturated": np.zeros(len(given), np.int64),
                }
                for at in network.neurons
            },
            wall_s=time.perf_counter() - began,
        )

    def _fire(self, at: int, v: NDArray[np.float64]) -> NDArray[np.float64]:
        """Spikes of a population as 0 and 1; resets ``v`` in place."""
        p, semantics = self.network.populations[at], self.network.semantics
        fired = v >= p.threshold if semantics.compare == ">=" else v > p.threshold
        reset = v - p.threshold if semantics.reset == "subtract" else np.broadcast_to(p.v_reset, v.shape)
        v[fired] = reset[fired]
        return fired.astype(np.float64)

    def cost(self, recording: Recording) -> Cost:
        """The latency that was measured; no energy, because none was."""
        s = (recording.wall_s or 0.0) / max(recording.n_samples, 1)
        latency = Total(
            value=s, low=s, high=s, unit="s", basis="measured", source="wall time of this run", per="sample"
        )
        return Cost(
            target="dense",
            energy=None,
            latency=latency,
            energy_terms=(),
            latency_terms=(),
            scope="host",
            batch=recording.n_samples,
            ticks=recording.ticks,
            tick_s=recording.dt,
        )
