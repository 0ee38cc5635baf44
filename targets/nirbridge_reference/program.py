"""A compiled graph on the reference: batches over threads, recordings, cost."""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Sequence
from typing import TYPE_CHECKING, Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Cost
from nirbridge.errors import BadInput
from nirbridge.network import Source
from nirbridge.placement import Core, Limit, Placement
from nirbridge.recording import Counts, Recording
from nirbridge.spikes import Spikes
from nirbridge_reference.cost import host_cost, jetson_cost
from nirbridge_reference.lower import Lowered
from nirbridge_reference.power import package_meter
from nirbridge_reference.profiles import delays_from_input, trace_units

if TYPE_CHECKING:
    from nirbridge_reference.cuda_run import CudaLoop
    from nirbridge_reference.inputs import Events
    from nirbridge_reference.loop import Loop
    from nirbridge_reference.target import Reference

QUANTITIES = {"v": 0, "i": 1, "x": 2}


class ReferenceProgram:
    """A graph lowered to tables, and the loop that runs them."""

    def __init__(self, target: Reference, lowered: Lowered, graph: nir.NIRGraph) -> None:
        self.target = target
        self.lowered = lowered
        self.graph = graph
        network = lowered.network
        self._outputs = network.of_kind("output")
        self._spiking_output = self._output_source()
        asked = target.semantics is not None
        self._lag = delays_from_input(lowered.network) if asked else (0,) * len(lowered.pops)
        self._output_lag = max((self._lag[at] for at in self._outputs), default=0)
        self._gpu: CudaLoop | None = None
        if target.backend == "cuda":
            from nirbridge_reference.cuda_run import CudaLoop

            self._loop: Loop | CudaLoop = CudaLoop(lowered, target.threads)
            self._gpu = self._loop
            self._meter = self._gpu.meter()
        else:
            from nirbridge_reference.loop import Loop

            self._loop = Loop(lowered, target.threads)
            self._meter = package_meter()

    @property
    def placement(self) -> Placement:
        """One process; its memory has no limit that this target knows."""
        network = self.lowered.network
        weights = self.lowered.weights.nbytes
        cores = tuple(
            Core(
                index=0,
                node=network.populations[at].name,
                first=0,
                neurons=network.populations[at].size,
                memory=0.0,
            )
            for at in network.neurons
        )
        limits = (Limit(name="weights", used=weights, limit=None, unit="byte", basis="measured"),)
        return Placement(target="reference", core_name="process", cores=cores, limits=limits, available=1)

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Run a batch; samples are independent and spread over threads, or blocks of a GPU."""
        from nirbridge_reference.inputs import spike_events

        n_steps = spikes.n_steps(self.lowered.network.semantics.dt)
        ticks = n_steps + max(self._lag, default=0)
        plan = self._plan(record)
        return self._run(spike_events(spikes, self.lowered, ticks), n_steps, ticks, plan, progress)

    def run_values(self, values: NDArray[np.floating], *, record: Sequence[str] = ()) -> Recording:
        """Run on numbers instead of spikes: values (n_samples, n_steps, units), added as they are."""
        from nirbridge_reference.inputs import value_events

        n_steps = values.shape[1]
        ticks = n_steps + max(self._lag, default=0)
        events = value_events(values, self.lowered, ticks)
        return self._run(events, n_steps, ticks, self._plan(record), None)

    def _run(
        self,
        events: Events,
        n_steps: int,
        ticks: int,
        plan: dict[str, Any],
        progress: Callable[[int], None] | None,
    ) -> Recording:
        spikes_alone = (
            self._spiking_output is not None and not np.isin(plan["traced"][:, 0], self._outputs).any()
        )
        outputs = 0 if spikes_alone else self._output_units()
        counted = self._meter.start()
        began = time.perf_counter()
        results = self._loop.run(events, ticks, plan, outputs, progress)
        wall = time.perf_counter() - began
        self._meter.stop(counted, wall)
        return self._recording(results, plan, n_steps, ticks, wall)

    def _output_units(self) -> int:
        return sum(self.lowered.network.populations[at].size for at in self._outputs)

    def cost(self, recording: Recording) -> Cost:
        """Measured on this host or its GPU, or modelled for the device that the target names."""
        if self.target.device == "jetson-orin-nano":
            return jetson_cost(self.lowered.network, recording, self.target.batch)
        energy = self._meter.energy(recording.wall_s or 0.0)
        if self._gpu is not None:
            from nirbridge_reference.cuda_cost import gpu_cost

            return gpu_cost(recording, str(self._gpu.device), self._gpu.threads, energy)
        return host_cost(recording, self.target.threads or os.cpu_count() or 1, energy)

    def _unit_of(self, trace: str) -> NDArray[np.floating]:
        """Factor from a trace of the reading that was asked for to the units of ``graph``."""
        low = self.lowered
        if self.target.semantics is None:
            return np.ones(1, low.dtype)
        node, _, quantity = trace.rpartition(":")
        v, x = trace_units(low.network, low.network.index(node))
        return (x if quantity == "x" else v).astype(low.dtype)

    def _output_source(self) -> int | None:
        """The spiking population that alone feeds the only Output, or None."""
        network = self.lowered.network
        if len(self._outputs) != 1:
            return None
        drive = network.drives[self._outputs[0]]
        if len(drive.inputs) == 1 and isinstance(drive.inputs[0], Source):
            at = drive.inputs[0].population
            kind = network.populations[at].kind
            if network.populations[at].spiking or kind == "input":
                return at
        return None

    def _plan(self, record: Sequence[str]) -> dict[str, Any]:
        network = self.lowered.network
        recorded = np.zeros(len(network.populations), dtype=np.bool_)
        traced: list[tuple[int, int, int]] = []
        names: list[tuple[str, int, int]] = []
        columns = 0
        nodes: list[str] = []
        for item in record:
            node, _, quantity = item.rpartition(":") if ":" in item else (item, "", "")
            at = network.index(node)
            if not quantity:
                if not network.populations[at].spiking and network.populations[at].kind != "input":
                    raise BadInput(
                        f"node '{node}' does not spike",
                        code="NB504",
                        fix=f"record its membrane with {node}:v",
                    )
                recorded[at] = True
                nodes.append(node)
            elif quantity in QUANTITIES:
                size = network.populations[at].size
                traced.append((at, QUANTITIES[quantity], columns))
                names.append((item, columns, size))
                columns += size
            else:
                raise BadInput(
                    f"'{item}' names no quantity", code="NB504", fix=f"record {node}:v, {node}:i or {node}:x"
                )
        if self._spiking_output is not None:
            recorded[self._spiking_output] = True
        return {
            "recorded": recorded,
            "traced": np.array(traced, dtype=np.int64).reshape(-1, 3),
            "names": names,
            "columns": columns,
            "nodes": nodes,
        }

    def _recording(
        self, results: list[tuple[Any, ...]], plan: dict[str, Any], n_steps: int, ticks: int, wall: float
    ) -> Recording:
        network = self.lowered.network
        dt = network.semantics.dt
        n = len(results)
        duration = ticks * dt
        tapes = [r[1] for r in results]
        sample = np.repeat(np.arange(n), [len(t) for t in tapes])
        tape = np.concatenate(tapes) if tapes else np.zeros((0, 4), np.int32)

        def spikes_of(at: int) -> Spikes:
            rows = tape[:, 1] == at
            chosen = tape[rows]
            offsets = np.searchsorted(sample[rows], np.arange(n + 1))
            graded = chosen[:, 3] if np.any(chosen[:, 3] != 1) else None
            return Spikes(
                chosen[:, 0] * dt, chosen[:, 2], offsets, network.populations[at].size, duration, graded
            )

        output: Spikes | NDArray[np.float32]
        if self._spiking_output is not None:
            output = spikes_of(self._spiking_output)
        else:
            units = sum(network.populations[at].size for at in self._outputs)
            output = _together([r[3] for r in results], ticks, units).astype(np.float32, copy=False)
        traces = {
            name: np.stack([r[2][:, column : column + size] for r in results]) * self._unit_of(name)
            for name, column, size in plan["names"]
        }
        counts: dict[str, Counts] = {}
        table = (
            np.stack([r[4] for r in results]) if n else np.zeros((0, len(network.populations), 3), np.int64)
        )
        for at, p in enumerate(network.populations):
            if p.kind == "output":
                continue
            counts[p.name] = {
                "spikes": table[:, at, 0],
                "synops": table[:, at, 1],
                "updates": table[:, at, 2],
                "saturated": np.zeros(n, np.int64),
            }
        return Recording(
            output=output,
            dt=dt,
            n_steps=n_steps,
            lag={p.name: lag for p, lag in zip(network.populations, self._lag, strict=True)},
            output_lag=self._output_lag,
            spikes={name: spikes_of(network.index(name)) for name in plan["nodes"]},
            traces=traces,
            counts=counts,
            wall_s=wall,
            sample_s=np.array([r[5] for r in results]) if self._gpu is None else None,
        )


def _together(parts: list[NDArray[np.floating]], steps: int, units: int) -> NDArray[np.floating]:
    """Arrays (steps, units) as one; no copy where they already lie one after the other."""
    if not parts:
        return np.zeros((0, steps, units), np.float32)
    whole = parts[0].base
    if whole is not None and whole.shape == (len(parts), steps, units):
        return whole
    return np.stack(parts)
