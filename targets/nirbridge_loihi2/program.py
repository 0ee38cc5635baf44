"""A graph compiled for Loihi 2: batches over threads, recordings in the graph's own units, cost."""

from __future__ import annotations

import time
from collections.abc import Callable, Sequence
from dataclasses import replace
from typing import TYPE_CHECKING

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost
from nirbridge.errors import BadInput
from nirbridge.network import Network, queued
from nirbridge.placement import Placement
from nirbridge.recording import Counts, Recording
from nirbridge.spikes import Spikes
from nirbridge_loihi2.cost import chip_cost
from nirbridge_loihi2.counts import Placed, counts_of, input_counts, spikes_of, work_of
from nirbridge_loihi2.lowering import BIAS_MANTISSA, Lowered
from nirbridge_loihi2.mapping import Partition
from nirbridge_loihi2.simulate import Events, Outcome, State, events, simulate
from nirbridge_loihi2.tables import tables

if TYPE_CHECKING:
    from nirbridge_loihi2.target import Loihi2

_STATE: dict[str, State] = {"v": "v", "i": "u", "x": "a"}


class Loihi2Program:
    """Integers, placement and the compiled loop of one graph."""

    def __init__(
        self,
        target: Loihi2,
        graph: nir.NIRGraph,
        network: Network,
        lowered: Lowered,
        parts: Sequence[Partition],
        placement: Placement,
    ) -> None:
        self.target, self.graph, self.placement = target, graph, placement
        self.lowered, self.parts = lowered, tuple(parts)
        self._network = network
        self._layer = {network.populations[at].name: k for k, at in enumerate(lowered.populations)}
        (at,) = network.of_kind("input")
        self._input, self._channels = network.populations[at].name, network.populations[at].size
        (at,) = network.of_kind("output")
        self._output_lag = lowered.lag[at]
        self._placed = Placed(
            network=lowered.network,
            tables=tables(lowered.network, [part.per_core for part in parts]),
            parts=self.parts,
            placement=placement,
            names=tuple(self._layer),
        )
        nothing = Spikes.from_events([], [], [], n_samples=1, n_units=1, duration=0.0)
        simulate(self._placed.tables, events(nothing, 1.0), 1, threads=1)  # compiles before any run is timed

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Run a batch for its steps plus as many as the output is late.

        An input channel sends one message a step, a graded spike that carries the number of events or
        the sum of their values (``loihi2_input_merged`` counts the further events); under profile ``genn``
        further events wait for the next free step. record: "h" for
        spikes, "h:v", "h:i", "h:x" for float32 traces in the graph's units. progress: called with the
        number of samples done so far. Counts of a layer hold what the chip's counters show:
        ``loihi2_core_synops`` on all its cores, ``loihi2_core_synops_17`` on core 17, both with dummy
        columns, which ``synops`` leaves out. The input's spike count is that of the messages that the host
        sends, late copies of a delay line included (``loihi2_late_messages`` counts those alone).
        """
        dt = self._network.semantics.dt
        n_steps = spikes.n_steps(dt)
        ticks = n_steps + self._output_lag
        inputs = events(queued(self._checked(spikes), self._network.semantics), dt)
        self._check_biases(inputs)
        sent = self.lowered.inputs.messages(inputs, ticks)
        output = self._output_layer
        spiking = self.lowered.network.layers[output].spiking
        nodes, wanted = self._plan(record)
        keep = {self._layer[name] for name in nodes if name != self._input}
        traces = dict.fromkeys((layer, state) for _, layer, state in wanted)
        if spiking:
            keep.add(output)
        else:
            traces[output, "v"] = None
        began = time.perf_counter()
        outcomes = simulate(
            self._placed.tables,
            sent,
            ticks,
            keep=sorted(keep),
            traces=list(traces),
            threads=self.target.threads,
            progress=progress,
        )
        wall = time.perf_counter() - began
        return Recording(
            output=self._spikes(outcomes, output, ticks * dt)
            if spiking
            else self._trace(outcomes, output, "v", ticks),
            dt=dt,
            n_steps=n_steps,
            lag={p.name: lag for p, lag in zip(self._network.populations, self.lowered.lag, strict=True)},
            output_lag=self._output_lag,
            spikes={
                name: self._sent(inputs, ticks)
                if name == self._input
                else self._spikes(outcomes, self._layer[name], ticks * dt)
                for name in nodes
            },
            traces={name: self._trace(outcomes, layer, state, ticks) for name, layer, state in wanted},
            counts=self._counts(outcomes, sent, ticks),
            wall_s=wall,
        )

    def cost(self, recording: Recording) -> Cost:
        """Modelled energy and latency per sample (LOIHI2.md §5 and §6)."""
        cost = chip_cost(recording, len(self.placement.cores), self.target.static_scope, self.target.board)
        late = self.lowered.inputs.n_late
        if late == 0:
            return cost
        note = f"a delay line: the host sends {late} input channels late; each copy is a message"
        return replace(cost, notes=(*cost.notes, note))

    @property
    def _output_layer(self) -> int:
        (at,) = self._network.of_kind("output")
        (source,) = self._network.drives[at].inputs
        assert not isinstance(source, int)
        return self.lowered.populations.index(source.population)

    def _checked(self, spikes: Spikes) -> Spikes:
        channels = self._channels
        if spikes.n_units > channels:
            raise BadInput(
                f"the data have {spikes.n_units} units, the graph's input has {channels}",
                code="NB501",
                fix="use the data set that the graph was trained on, or one with as many channels",
            )
        return spikes

    def _check_biases(self, inputs: Events) -> None:
        """Values that the host writes as bias mantissas have 13 bits."""
        most = int(np.abs(inputs.value).max(initial=0))
        driven = [layer.name for layer in self.lowered.network.layers if layer.driven]
        if driven and most > BIAS_MANTISSA:
            raise BadInput(
                f"the data send {most} on one channel in one step, and '{driven[0]}' takes it as a bias "
                f"mantissa, expected at most {BIAS_MANTISSA}",
                code="NB501",
                fix="scale the values down, or put a Linear with integer weights behind the Input",
            )

    def _plan(self, record: Sequence[str]) -> tuple[list[str], list[tuple[str, int, State]]]:
        nodes: list[str] = []
        wanted: list[tuple[str, int, State]] = []
        for item in record:
            node, colon, quantity = item.rpartition(":") if ":" in item else (item, "", "")
            if node not in self._layer and node != self._input:
                raise BadInput(
                    f"no neuron node '{node}' in this graph",
                    code="NB504",
                    fix=f"record one of {', '.join([self._input, *self._layer])}",
                )
            if not colon and (node == self._input or self._spiking(node)):
                nodes.append(node)
            elif colon and quantity in self._quantities(node):
                wanted.append((item, self._layer[node], _STATE[quantity]))
            else:
                kinds = ", ".join(f"{node}:{q}" for q in self._quantities(node)) or node
                raise BadInput(f"'{item}' cannot be recorded", code="NB504", fix=f"record {kinds}")
        return nodes, wanted

    def _spiking(self, node: str) -> bool:
        return self.lowered.network.layers[self._layer[node]].spiking

    def _quantities(self, node: str) -> tuple[str, ...]:
        if node == self._input:
            return ()
        cuba = self._network.populations[self.lowered.populations[self._layer[node]]].cuba
        return ("v", "i", "x") if cuba else ("v", "x")

    def _trace(
        self, outcomes: Sequence[Outcome], layer: int, state: State, ticks: int
    ) -> NDArray[np.float32]:
        """V, I or x of a layer in the graph's units, (samples, ticks, n) float32."""
        scaling = self.lowered.scaling[layer]
        n = self.lowered.network.layers[layer].size
        factor = {
            "v": np.full(n, scaling.quantum / 64),
            "u": scaling.current,
            "a": np.full(n, scaling.scale),
        }[state]
        shift = scaling.input_bias if state == "a" else np.zeros(n)
        result = np.empty((len(outcomes), ticks, n), np.float32)
        for b, outcome in enumerate(outcomes):
            result[b] = outcome.traces[layer, state] * factor + shift
        return result

    def _spikes(self, outcomes: Sequence[Outcome], layer: int, duration: float) -> Spikes:
        return spikes_of(self._placed, outcomes, layer, self._network.semantics.dt, duration)

    def _sent(self, inputs: Events, ticks: int) -> Spikes:
        """The messages that the input sent, one a channel and step."""
        dt = self._network.semantics.dt
        per_step = np.diff(inputs.at, axis=1)
        step = np.concatenate([np.repeat(np.arange(row.size), row) for row in per_step] or [np.zeros(0)])
        offsets = np.concatenate([[0], np.cumsum(per_step.sum(axis=1))])
        unit = inputs.unit.astype(np.int32)
        values = inputs.value.astype(np.int32) if np.any(inputs.value != 1) else None
        return Spikes(step * dt, unit, offsets, self._channels, ticks * dt, values)

    def _counts(self, outcomes: Sequence[Outcome], inputs: Events, ticks: int) -> dict[str, Counts]:
        late = {"loihi2_late_messages": self.lowered.inputs.late_counts(inputs)}
        own = input_counts(inputs, {**late, **work_of(self._placed, outcomes)})
        return {self._input: own, **counts_of(self._placed, outcomes, ticks)}
