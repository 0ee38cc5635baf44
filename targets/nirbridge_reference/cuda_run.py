"""Batches of a lowered network on one GPU: tables kept there, samples in chunks that its memory holds."""

from __future__ import annotations

import warnings
from collections.abc import Callable
from typing import Any

import numpy as np
from numba import cuda
from numba.core.errors import NumbaPerformanceWarning
from numpy.typing import NDArray

from nirbridge.errors import DoesNotFit
from nirbridge.kernels.gpu import find_gpu
from nirbridge.placement import Core, Limit, Placement
from nirbridge_reference.cuda_kernel import run_batch
from nirbridge_reference.cuda_power import gpu_meter
from nirbridge_reference.cuda_tables import bytes_per_sample, room, tables, threads_for
from nirbridge_reference.finite import refuse_lost
from nirbridge_reference.inputs import Events
from nirbridge_reference.lower import KINDS, Lowered
from nirbridge_reference.power import Meter

Ints = NDArray[np.int64]
SHARE = 0.9  # of the free memory that is used: the allocator rounds up
LAUNCH = 1024  # most samples of a launch, so that progress is reported now and then
FIRST_TAPE = 4096  # rows of spikes kept per sample, until one needs more
NEURONS = tuple(KINDS[kind] for kind in ("i", "li", "if", "lif", "cubali", "cubalif"))


class CudaLoop:
    """The compiled kernel with one network's tables on the device.

    threads: of a block, at most 1024; 0 takes one for each neuron of the widest population. Results do not
    depend on it. Raises `DoesNotFit` (NB607) where the tables exceed the device's free memory.
    """

    def __init__(self, low: Lowered, threads: int) -> None:
        self.low = low
        self.threads = threads or threads_for(low)
        self.device = find_gpu().device
        own = tables(low, self.threads)
        fixed = (
            own.ops, own.pops, low.weights, low.sparse_start, low.sparse_target,
            own.into_start, own.into_source, own.into_weight, low.bias, low.first_bias, low.parameters,
            low.delay, low.flags,
        )  # fmt: skip
        self.table_bytes = sum(array.nbytes for array in fixed)
        free = self._free()
        if self.table_bytes > free:
            raise self._too_large("the tables of the network", self.table_bytes, free)
        (
            self._ops, self._pops, self._weights, self._sparse_start, self._sparse_target, self._into_start,
            self._into_source, self._into_weight, self._bias, self._first_bias, self._par, self._delay,
            self._flags,
        ) = (cuda.to_device(np.ascontiguousarray(array)) for array in fixed)  # fmt: skip
        nothing = {"recorded": np.zeros(len(low.pops), np.bool_), "traced": np.zeros((0, 3), np.int64),
                   "columns": 0}  # fmt: skip
        inputs = int(np.sum(low.pops[:, 0] == KINDS["input"]))
        self.run(Events.empty(inputs, low.dtype), 0, nothing, 0)  # compiles, so that a run's time is its own

    def meter(self) -> Meter:
        """Of the energy that the GPU takes while batches run."""
        return gpu_meter(getattr(cuda.current_context(), "device", None))  # the simulator has none

    def run(
        self,
        events: Events,
        n_steps: int,
        plan: dict[str, Any],
        outputs: int,
        progress: Callable[[int], None] | None = None,
    ) -> list[tuple[Any, ...]]:
        """(tape rows, tape, trace, output, counts) of every sample, as `loop.Loop.run` gives them.

        Samples run together, so none has a time of its own. A sample whose spikes do not fit on its tape
        is run again with a tape as long as needed. Raises `DoesNotFit` (NB607) where not even one sample
        fits into the device's free memory, `BadInput` (NB510) where a sample's numbers are lost.
        """
        results: list[tuple[Any, ...]] = [()] * events.n_samples
        capacity = FIRST_TAPE if plan["recorded"].any() else 1
        todo = np.arange(events.n_samples)
        lengths = (events.start[:, :, -1] - events.start[:, :, 0]).sum(axis=1)
        done = 0
        while len(todo):
            batch = todo[: self._fits(lengths[todo], n_steps, plan["columns"], outputs, capacity)]
            rows, *arrays = self._launch(events, batch, n_steps, plan, outputs, capacity)
            over = rows > capacity
            for at in np.flatnonzero(~over):
                v, current, tape, trace, output, counts = (array[at] for array in arrays)
                refuse_lost(self.low.network, v, current, counts[:, 3], int(batch[at]))
                results[batch[at]] = (int(rows[at]), tape[: rows[at]].copy(), trace, output, counts)
            todo = np.concatenate([batch[over], todo[len(batch) :]])
            capacity = max(capacity, int(rows.max()))
            done += int(np.count_nonzero(~over))
            if progress is not None:
                progress(done)
        return results

    def _fits(self, lengths: Ints, n_steps: int, columns: int, outputs: int, capacity: int) -> int:
        """How many of the next samples, of ``lengths`` events, run together."""
        each = bytes_per_sample(self.low, n_steps, int(lengths.max()), columns, outputs, capacity)
        free = self._free()
        if each > free:
            raise self._too_large(f"one sample of {n_steps} steps", each, free)
        return int(min(free / each, LAUNCH, len(lengths)))

    def _launch(
        self,
        events: Events,
        batch: Ints,
        n_steps: int,
        plan: dict[str, Any],
        outputs: int,
        capacity: int,
    ) -> tuple[NDArray[Any], ...]:
        """Run the samples ``batch`` in one launch: (rows, V, I, tape, trace, output, counts) by sample."""
        n, low = len(batch), self.low
        start = events.start[batch]
        first, last = start[:, :, 0].reshape(-1), start[:, :, -1].reshape(-1)
        chosen = np.concatenate([np.zeros(0, np.int64), *map(np.arange, first, last)])
        moved = np.cumsum(last - first) - last
        window = start + moved.reshape(*start.shape[:2], 1)
        work = [cuda.device_array((n, size), dtype) for size, dtype in room(low).values()]
        trace = cuda.device_array((n, n_steps, plan["columns"]), low.dtype)
        output = cuda.device_array((n, n_steps, outputs), low.dtype)
        tape = cuda.device_array((n, capacity, 4), np.int32)
        counts = cuda.to_device(np.zeros((n, len(low.pops), 3), np.int64))
        rows = cuda.device_array(n, np.int64)
        with warnings.catch_warnings():  # a batch smaller than the GPU is the user's to choose
            warnings.simplefilter("ignore", NumbaPerformanceWarning)
            run_batch[n, self.threads](
                n_steps, cuda.to_device(window), cuda.to_device(events.unit[chosen]),
                cuda.to_device(events.value[chosen]), self._ops, self._pops, self._weights,
                self._sparse_start, self._sparse_target, self._into_start, self._into_source,
                self._into_weight, self._bias, self._first_bias, low.network.semantics.dt, self._par,
                self._delay, self._flags, cuda.to_device(plan["traced"]),
                cuda.to_device(plan["recorded"]), *work, trace, output, tape, counts, rows,
            )  # fmt: skip
        activity = counts.copy_to_host()
        updates = np.where(np.isin(low.pops[:, 0], NEURONS), low.pops[:, 2] * n_steps, 0)
        whole = np.insert(activity, 2, updates, axis=2)
        arrays = (rows, work[0], work[1], tape, trace, output)
        return *(array.copy_to_host() for array in arrays), whole

    def _free(self) -> float:
        """Bytes of device memory that may be used."""
        context = cuda.current_context()
        if hasattr(context, "memory_manager"):  # the simulator has none
            context.memory_manager.deallocations.clear()  # arrays of earlier launches are freed late
        return SHARE * float(context.get_memory_info().free)

    def _too_large(self, what: str, needed: float, free: float) -> DoesNotFit:
        network = self.low.network
        cores = tuple(
            Core(index=0, node=network.populations[at].name, first=0,
                 neurons=network.populations[at].size, memory=needed / free if free else 1.0)
            for at in network.neurons
        )  # fmt: skip
        limit = Limit(name="device memory", used=needed, limit=free, unit="byte", basis="measured")
        return DoesNotFit(
            f"{what} needs {needed / 2**20:.1f} MiB on {self.device}, {free / 2**20:.1f} MiB are free",
            code="NB607",
            fix="record fewer traces, run fewer steps, or use reference:backend=cpu",
            placement=Placement(
                target="reference", core_name="GPU", cores=cores, limits=(limit,), available=1
            ),
        )
