"""A compiled network on SpiNNaker2: batches over threads, recordings in graph units, cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from concurrent.futures import ThreadPoolExecutor
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost
from nirbridge.errors import BadInput
from nirbridge.network import queued
from nirbridge.placement import Placement
from nirbridge.recording import Counts, Recording
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.cost import cost_of
from nirbridge_spinnaker2.executed import executed_graph
from nirbridge_spinnaker2.lowering import Layer, Lowered
from nirbridge_spinnaker2.partition import Partition
from nirbridge_spinnaker2.probing import Plan, plan

if TYPE_CHECKING:
    from nirbridge_spinnaker2.target import Spinnaker2


class Spinnaker2Program:
    """A lowered network with its partition.

    lowered: integer weights, thresholds and offsets of every population; partition: its slices.
    """

    def __init__(self, target: Spinnaker2, lowered: Lowered, partition: Partition) -> None:
        from nirbridge_spinnaker2.arrays import neurons_of, slices_of, synapses_of

        self.target = target
        self.lowered = lowered
        self.partition = partition
        self._dtype: np.dtype[np.floating] = np.dtype(target.arithmetic)
        self._neurons = neurons_of(lowered, self._dtype)
        self._synapses = synapses_of(lowered, partition.slices)
        self._slices = slices_of(partition)
        self._graph: nir.NIRGraph | None = None

    @property
    def graph(self) -> nir.NIRGraph:
        """The graph as it is executed: inlined, weights q/w_scale, one tick a hop, V > θ, bias into V."""
        if self._graph is None:
            self._graph = executed_graph(self.lowered)
        return self._graph

    @property
    def placement(self) -> Placement:
        return self.partition.placement

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Run a batch of binary spikes for ``n_steps + depth of the output`` ticks.

        Several events of one channel in one tick add. Traces "node:v", "node:i", "node:x" (summed
        input without bias) are (samples, ticks, units) in units of ``graph``, in the arithmetic of the
        target. counts per node and sample: spikes, synops (stored entries reached, zeros included),
        updates, saturated (0: sums are 32-bit), spinnaker2_synops_nonzero, spinnaker2_peak_synops
        (most in one tick on one PE), and of the central cost corner spinnaker2_peak_cycles with
        _peak_pe and _peak_tick, and spinnaker2_overruns (ticks of PEs that miss the tick).
        """
        from nirbridge_spinnaker2.arrays import events_of
        from nirbridge_spinnaker2.kernels import N_COUNTS, Events, Out, Probes, run_samples

        self._check_input(spikes)
        semantics = self.lowered.network.semantics
        n_steps = spikes.n_steps(semantics.dt)
        ticks = n_steps + self._depth(self.lowered.layers[self.lowered.output])
        wanted = plan(self.lowered, record)
        n, layers = spikes.n_samples, self.lowered.layers

        def trace(columns: int) -> NDArray[np.floating]:
            return np.empty((n, ticks, columns), self._dtype)

        out = Out(
            trace(wanted.width["v"]),
            trace(wanted.width["i"]),
            trace(wanted.width["x"]),
            np.zeros((n, len(layers), N_COUNTS), np.int64),
        )
        probes = Probes(wanted.recorded, wanted.first["v"], wanted.first["i"], wanted.first["x"])
        network = (self._neurons, self._synapses, self._slices, probes)
        nothing = Events(np.zeros(1, np.int64), np.zeros(0, np.int32), np.zeros(0, np.int32))
        run_samples(0, 0, 0, nothing, *network, out)  # compiles, so that wall_s is running alone
        spikes = queued(spikes, semantics)
        events = events_of(spikes, semantics.dt)
        started = time.perf_counter()
        tapes: list[tuple[Any, Any, Any]] = []
        threads = self.target.threads or os.cpu_count() or 1
        size = max(1, min(64, -(-n // (4 * threads))))
        starts = range(0, n, size)
        with ThreadPoolExecutor(min(threads, max(len(starts), 1))) as pool:
            parts = pool.map(
                lambda at: run_samples(at, min(at + size, n), ticks, events, *network, out), starts
            )
            for at, tape in zip(starts, parts, strict=True):
                tapes.append(tape)
                if progress is not None:
                    progress(min(at + size, n))
        wall = time.perf_counter() - started
        return self._recording(spikes, wanted, tapes, out, n_steps, wall)

    def cost(self, recording: Recording) -> Cost:
        """Energy and latency per sample from the chip power model; samples run one after another."""
        return cost_of(self.lowered, self.partition, self.target, recording)

    def _depth(self, layer: Layer) -> int:
        return max(self.lowered.network.depth[layer.index], 0)

    def _lag(self, layer: Layer) -> int:
        """Ticks by which a layer comes later than the graph says: none where it says one tick a hop."""
        return 0 if self.lowered.network.semantics.feedforward_delay == 1 else self._depth(layer)

    def _check_input(self, spikes: Spikes) -> None:
        network = self.lowered.network
        node = network.populations[network.of_kind("input")[0]]
        if spikes.n_units > node.size:
            raise BadInput(
                f"the data have {spikes.n_units} units, node '{node.name}' (Input) has {node.size}",
                code="NB501",
                fix="use the data set that the graph was trained on, or one with as many channels",
            )
        if spikes.values is not None and np.any(spikes.values != 1):
            raise BadInput(
                f"the data hold graded spikes (values up to {int(spikes.values.max())}), "
                "expected plain ones: a packet adds its row of weights once",
                code="NB501",
                fix="repeat an event instead, or run on loihi2 or reference",
            )

    def _recording(
        self,
        spikes: Spikes,
        wanted: Plan,
        tapes: list[tuple[Any, Any, Any]],
        out: Any,
        n_steps: int,
        wall: float,
    ) -> Recording:
        network = self.lowered.network
        dt, node = network.semantics.dt, network.populations[network.of_kind("input")[0]]
        n = len(out.counts)
        ticks = n_steps + self._depth(self.lowered.layers[self.lowered.output])
        tick = np.concatenate([np.zeros(0, np.int32), *(tape[0] for tape in tapes)])
        neuron = np.concatenate([np.zeros(0, np.int32), *(tape[1] for tape in tapes)])
        sample = np.repeat(np.arange(n), np.concatenate([np.zeros(0, int), *(np.diff(t[2]) for t in tapes)]))

        def spikes_of(at: int) -> Spikes:
            start, stop = int(self._neurons.start[at]), int(self._neurons.start[at + 1])
            mine = (neuron >= start) & (neuron < stop)
            offsets = np.searchsorted(sample[mine], np.arange(n + 1))
            return Spikes(tick[mine] * dt, neuron[mine] - start, offsets, stop - start, ticks * dt)

        def traced(quantity: str, at: int) -> NDArray[np.floating]:
            layer = self.lowered.layers[at]
            column = int(wanted.first[quantity][at])
            return _in_graph_units(
                getattr(out, quantity)[:, :, column : column + layer.size], layer, quantity
            )

        output_layer = self.lowered.layers[self.lowered.output]
        output: Spikes | NDArray[np.float32]
        if output_layer.population.spiking:
            output = spikes_of(self.lowered.output)
        else:
            output = traced("v", self.lowered.output).astype(np.float32)
        return Recording(
            output=output,
            dt=dt,
            n_steps=n_steps,
            lag={layer.name: self._lag(layer) for layer in self.lowered.layers},
            output_lag=self._lag(output_layer),
            spikes={name: spikes_of(at) for name, at in wanted.spikes},
            traces={f"{name}:{quantity}": traced(quantity, at) for name, quantity, at in wanted.traces},
            counts={node.name: _input_counts(spikes), **self._counts(out.counts, ticks)},
            wall_s=wall,
        )

    def _counts(self, table: NDArray[np.int64], ticks: int) -> dict[str, Counts]:
        from nirbridge_spinnaker2 import kernels as k

        result: dict[str, Counts] = {}
        for at, layer in enumerate(self.lowered.layers):
            mine = table[:, at]
            result[layer.name] = {
                "spikes": mine[:, k.SPIKES],
                "synops": mine[:, k.SYNOPS],
                "updates": np.full(len(mine), layer.size * ticks, np.int64),
                "saturated": np.zeros(len(mine), np.int64),
                "spinnaker2_synops_nonzero": mine[:, k.NONZERO],
                "spinnaker2_peak_synops": mine[:, k.PEAK_SYNOPS],
                "spinnaker2_peak_cycles": mine[:, k.PEAK_CYCLES],
                "spinnaker2_peak_pe": mine[:, k.PEAK_SLICE] + self.partition.first_pe[at],
                "spinnaker2_peak_tick": mine[:, k.PEAK_TICK],
                "spinnaker2_overruns": mine[:, k.OVERRUNS],
            }
        return result


def _input_counts(spikes: Spikes) -> Counts:
    zero = np.zeros(spikes.n_samples, np.int64)
    return {"spikes": spikes.counts(), "synops": zero, "updates": zero, "saturated": zero}


def _in_graph_units(raw: NDArray[np.floating], layer: Layer, quantity: str) -> NDArray[np.floating]:
    """V/c, I·i_unit or a/w_scale, in the dtype of the run."""
    factor = {"v": 1.0 / layer.v_scale, "i": layer.i_unit, "x": np.array(1.0 / layer.w_scale)}[quantity]
    if quantity == "v" and raw.dtype == np.float64:
        return np.asarray(raw / layer.v_scale)
    return np.asarray(raw * factor.astype(raw.dtype))
