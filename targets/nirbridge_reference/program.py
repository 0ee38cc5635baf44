"""A compiled graph on the reference: batches over threads, recordings, cost."""

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
from nirbridge.network import Source
from nirbridge.placement import Core, Limit, Placement
from nirbridge.recording import Counts, Recording
from nirbridge.spikes import Spikes
from nirbridge_reference.cost import host_cost, jetson_cost
from nirbridge_reference.events import events_of
from nirbridge_reference.lower import Lowered
from nirbridge_reference.profiles import delays_from_input, trace_units

if TYPE_CHECKING:
    from nirbridge_reference.cuda_run import CudaLoop
    from nirbridge_reference.target import Reference

QUANTITIES = {"v": 0, "i": 1, "x": 2}


class ReferenceProgram:
    """A graph lowered to tables, and the loop that runs them."""

    def __init__(self, target: Reference, lowered: Lowered, graph: nir.NIRGraph) -> None:
        from nirbridge_reference.kernels import run_sample

        self.target = target
        self.lowered = lowered
        self.graph = graph
        self._run_sample = run_sample
        network = lowered.network
        self._inputs = network.of_kind("input")
        self._outputs = network.of_kind("output")
        self._spiking_output = self._output_source()
        asked = target.semantics is not None
        self._lag = delays_from_input(lowered.network) if asked else (0,) * len(lowered.pops)
        self._output_lag = max((self._lag[at] for at in self._outputs), default=0)
        self._gpu: CudaLoop | None = None
        if target.backend == "cuda":
            from nirbridge_reference.cuda_run import CudaLoop

            self._gpu = CudaLoop(lowered, target.threads)
            _, unit, value = self._no_events()
            self._gpu.run(np.zeros((1, 1), np.int64), unit, value, 0, self._plan(()), self._output_units())
        else:
            self._one(0, *self._no_events(), self._plan(()), 1)  # compiles: a run's time is its own

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
        n_steps = spikes.n_steps(self.lowered.network.semantics.dt)
        ticks = n_steps + max(self._lag, default=0)
        return self._run(*events_of(spikes, self.lowered.network, ticks), n_steps, ticks, record, progress)

    def run_values(self, values: NDArray[np.floating], *, record: Sequence[str] = ()) -> Recording:
        """Run on numbers instead of spikes: values (n_samples, n_steps, units), added as they are."""
        n, n_steps, units = values.shape
        size = sum(self.lowered.network.populations[at].size for at in self._inputs)
        if units != size:
            raise BadInput(
                f"the values have {units} units, the graph's input has {size}",
                code="NB501",
                fix="give an array (samples, steps, inputs)",
            )
        places = self._input_places()
        ticks = n_steps + max(self._lag, default=0)
        sample, step, unit = np.nonzero(values)
        key = sample * ticks + step
        start = np.searchsorted(key, np.arange(n)[:, None] * ticks + np.arange(ticks + 1)[None, :])
        value = values[sample, step, unit].astype(self.lowered.dtype)
        return self._run(start, places[unit], value, n_steps, ticks, record, None)

    def _input_places(self) -> NDArray[np.int64]:
        """Index of every input unit into the state arrays."""
        pops = self.lowered.pops
        return np.concatenate([np.arange(pops[at, 1], pops[at, 1] + pops[at, 2]) for at in self._inputs])

    def _run(
        self,
        start: NDArray[np.int64],
        unit: NDArray[np.int64],
        value: NDArray[np.floating],
        n_steps: int,
        ticks: int,
        record: Sequence[str],
        progress: Callable[[int], None] | None,
    ) -> Recording:
        plan = self._plan(record)
        value = value.astype(self.lowered.dtype, copy=False)
        began = time.perf_counter()
        if self._gpu is not None:
            together = self._gpu.run(start, unit, value, ticks, plan, self._output_units(), progress)
            return self._recording(together, plan, n_steps, ticks, time.perf_counter() - began)
        threads = self.target.threads or os.cpu_count() or 1
        jobs = range(len(start))
        capacity = 4096

        def job(b: int) -> tuple[Any, ...]:
            window = start[b]
            entered = time.perf_counter()
            result = self._one(ticks, window, unit, value, plan, capacity)
            if result[0] > capacity:
                result = self._one(ticks, window, unit, value, plan, result[0])
            return (*result, time.perf_counter() - entered)

        results: list[tuple[Any, ...]] = []
        with ThreadPoolExecutor(threads) as pool:
            for result in pool.map(job, jobs):
                results.append(result)
                if progress is not None:
                    progress(len(results))
        wall = time.perf_counter() - began
        return self._recording(results, plan, n_steps, ticks, wall)

    def _output_units(self) -> int:
        return sum(self.lowered.network.populations[at].size for at in self._outputs)

    def cost(self, recording: Recording) -> Cost:
        """Measured on this host or its GPU, or modelled for the device that the target names."""
        if self.target.device == "jetson-orin-nano":
            return jetson_cost(self.lowered.network, recording, self.target.batch)
        if self._gpu is not None:
            from nirbridge_reference.cuda_cost import gpu_cost

            return gpu_cost(recording, str(self._gpu.device), self._gpu.threads)
        return host_cost(recording, self.target.threads or os.cpu_count() or 1)

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

    def _no_events(self) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.floating]]:
        return np.zeros(1, np.int64), np.zeros(0, np.int64), np.zeros(0, self.lowered.dtype)

    def _one(
        self,
        n_steps: int,
        start: NDArray[np.int64],
        unit: NDArray[np.int64],
        value: NDArray[np.floating],
        plan: dict[str, Any],
        capacity: int,
    ) -> tuple[Any, ...]:
        low = self.lowered
        trace = np.empty((n_steps, plan["columns"]), low.dtype)
        output = np.empty((n_steps, self._output_units()), low.dtype)
        tape = np.empty((capacity, 4), np.int32)
        counts = np.zeros((len(low.pops), 3), np.int64)
        rows = self._run_sample(
            n_steps,
            start,
            unit,
            value,
            low.ops,
            low.pops,
            low.weights,
            low.sparse_start,
            low.sparse_target,
            low.bias,
            low.first_bias,
            low.network.semantics.dt,
            low.parameters,
            low.delay,
            low.ring_size,
            low.flags,
            plan["traced"],
            trace,
            output,
            plan["recorded"],
            tape,
            counts,
        )
        return rows, tape[: min(rows, capacity)], trace, output, counts

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
            output = (
                np.stack([r[3] for r in results]).astype(np.float32)
                if n
                else np.zeros((0, ticks, units), np.float32)
            )
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
