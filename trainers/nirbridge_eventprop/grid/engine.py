"""Loss and gradients of a batch on a grid, for any layers and connections."""

from __future__ import annotations

import os
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass
from typing import Literal

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput, Unsupported
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.losses import FirstSpikeLoss, Loss
from nirbridge_eventprop.grid import step, step_adjoint, substep, substep_adjoint
from nirbridge_eventprop.grid.arrays import CROSSING, LEAK, START, TAU_M, TAU_S, THETA, Tape, empty_tape
from nirbridge_eventprop.grid.network import GridNetwork
from nirbridge_eventprop.grid.score import membrane_score, spike_score, spike_times
from nirbridge_eventprop.grid.sums import Sums, new_sums

Floats = NDArray[np.float64]
Mode = Literal["step", "substep"]
ROOM = 1024  # spikes of a sample that a tape has room for at first


@dataclass(frozen=True, eq=False)
class GridBatch:
    """loss (samples,); readout (samples, n): logits or first spike times [s]; counts (samples, neurons).

    scores (samples, n): V at the steps' ends, summed with the weights asked for, or its maximum. spikes: by
    sample (step, neuron, time [s]) where asked for. clamped: spikes whose V' was clamped.
    """

    loss: Floats
    readout: Floats
    scores: Floats
    counts: NDArray[np.int32]
    spikes: list[tuple[NDArray[np.int64], NDArray[np.int64], Floats]]
    clamped: int


@dataclass(frozen=True, eq=False)
class _Events:
    """One sample's input: start (steps+1,) into unit and x [s] before the step's end; in order of units."""

    start: NDArray[np.int64]
    unit: NDArray[np.int64]
    x: Floats


class Engine:
    """A network with its loss on a grid.

    mode: ``step`` or ``substep`` (EVENTPROP.md §3). slope: in ``step``, where V' at a spike is taken. floor:
    V' at a spike counts as at least slope_floor·θ/τm. sigma: weight of the rescue term for hidden neurons
    silent in a sample, wake: of the label's output where it is silent. sensitive: gradients by time
    constants and leak, too. inside: in ``substep``, input spikes keep their time within the step; else they
    count at its start. shards: partial sums of a batch; results depend on it, not on ``threads`` (0: all
    cores).
    """

    def __init__(
        self,
        network: GridNetwork,
        loss: Loss,
        *,
        mode: Mode,
        slope: Literal["start", "crossing"] = "crossing",
        slope_floor: float = 1e-2,
        sigma: float = 0.0,
        wake: float = 0.0,
        sensitive: bool = True,
        inside: bool = False,
        threads: int = 1,
        shards: int = 1,
    ) -> None:
        _fits(network, loss, mode)
        self.network = network
        self.loss = loss
        self.mode: Mode = mode
        self.slope = CROSSING if slope == "crossing" else START
        self.slope_floor = slope_floor
        self.sigma = sigma
        self.wake = wake if network.spiking_output else 0.0
        self.sensitive = sensitive
        self.inside = inside
        self.sums = [new_sums(network) for _ in range(shards)]
        self._pool = ThreadPoolExecutor(min(threads or os.cpu_count() or 1, shards))
        self._room = ROOM

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def total(self) -> Sums:
        """The shards' sums of the last batch, added in order."""
        total = new_sums(self.network)
        for sums in self.sums:
            total += sums
        return total

    def run(
        self,
        spikes: Spikes,
        labels: NDArray[np.int64] | None,
        *,
        regular: NDArray[np.floating] | None = None,
        learn: bool = True,
        read: Floats | Literal["max"] | None = None,
        keep: bool = False,
        as_step: bool = False,
    ) -> GridBatch:
        """Run a batch; with ``learn`` the sums of its samples' gradients are left in ``sums``.

        labels: None or −1: no loss. regular (neurons,): r/θ of the rate term. read (steps,): weights of V at
        the steps' ends in ``scores``, or ``max``. keep: return the spikes. as_step: run the network of mode
        `step`, whatever the mode.
        """
        n = spikes.n_samples
        width, neurons = self.network.n_outputs, len(self.network.cells.theta)
        given = np.full(n, -1) if labels is None else labels
        loss, readout, scores = np.zeros(n), np.zeros((n, width)), np.zeros((n, width))
        counts = np.zeros((n, neurons), np.int32)
        kept: list[tuple[NDArray[np.int64], NDArray[np.int64], Floats] | None] = [None] * n
        clamped = np.zeros(n, np.int64)
        pull = np.zeros(neurons) if regular is None else np.asarray(regular, np.float64)
        mode: Mode = "step" if as_step else self.mode
        steps = spikes.n_steps(self.network.dt)

        def shard(s: int) -> None:
            sums = self.sums[s]
            if learn:
                sums.clear()
            for b in range(n * s // len(self.sums), n * (s + 1) // len(self.sums)):
                events = self._events(spikes, b, steps, mode)
                tape, used = self._tape(events, steps, mode, learn)
                counts[b] = np.bincount(tape.unit[:used], minlength=neurons)
                if keep:
                    at = np.repeat(np.arange(steps), np.diff(tape.start))
                    kept[b] = (
                        at,
                        tape.unit[:used].copy(),
                        spike_times(tape, self.network.dt, mode == "substep"),
                    )
                if isinstance(read, np.ndarray) and not self.network.spiking_output:
                    scores[b] = read @ tape.read
                elif read is not None:
                    scores[b] = tape.read.max(axis=0)
                loss[b], readout[b], clamped[b] = self._finish(
                    events, tape, used, steps, mode, int(given[b]), pull, learn, sums
                )

        list(self._pool.map(shard, range(len(self.sums))))
        found = [item for item in kept if item is not None]
        return GridBatch(loss, readout, scores, counts, found, int(clamped.sum()))

    def _events(self, spikes: Spikes, b: int, steps: int, mode: Mode) -> _Events:
        dt = self.network.dt
        mine = slice(int(spikes.offsets[b]), int(spikes.offsets[b + 1]))
        times, units = spikes.times[mine], spikes.units[mine].astype(np.int64)
        step_of = np.minimum(np.floor(times / dt * (1 + 2.0**-23) + 1e-6).astype(np.int64), steps - 1)
        x = np.full(len(times), dt)
        if self.inside and mode == "substep":
            before = (step_of + 1) * dt - times
            x = np.where(before < dt * (1 - 1e-6), np.maximum(before, 0.0), dt)
        order = np.lexsort((units, step_of))
        start = np.searchsorted(step_of[order], np.arange(steps + 1)).astype(np.int64)
        return _Events(start, units[order], x[order])

    def _tape(self, events: _Events, steps: int, mode: Mode, learn: bool) -> tuple[Tape, int]:
        network = self.network
        reads = 0 if network.spiking_output else network.n_outputs
        sensitive = self.sensitive and learn
        while True:
            room = self._room
            tape = empty_tape(steps, len(network.cells.theta), reads, room, sensitive)
            peaks = self.sigma > 0 or self.wake > 0
            common = (network.cells, network.wires, tape)
            if mode == "step":
                used = step.forward(
                    steps,
                    network.dt,
                    events.start,
                    events.unit,
                    *common,
                    self.slope,
                    sensitive,
                    peaks,
                )
            else:
                used = substep.forward(
                    steps, network.dt, events.start, events.unit, events.x, *common, sensitive, peaks
                )
            if used <= room:
                return tape, int(used)
            self._room = max(self._room, 2 * room, min(int(used), 8 * room))

    def _finish(
        self, events: _Events, tape: Tape, used: int, steps: int, mode: Mode, label: int, pull: Floats,
        learn: bool, sums: Sums,
    ) -> tuple[float, Floats, int]:  # fmt: skip
        """(loss, read-out, clamped slopes) of a sample; with ``learn`` adds its gradients to ``sums``."""
        network = self.network
        dt, neurons = network.dt, len(network.cells.theta)
        drive, rescue = np.zeros(used), np.zeros(neurons)
        impulse = np.zeros_like(tape.mean)
        value, known = 0.0, max(label, 0)
        if isinstance(self.loss, FirstSpikeLoss):
            times = spike_times(tape, dt, mode == "substep")
            value, readout = spike_score(network, self.loss, tape, times, steps * dt, known, drive)
        else:
            value, readout, impulse = membrane_score(self.loss, tape, dt, known)
        if label < 0:
            return 0.0, readout, 0
        if self.sigma or self.wake:
            rescue[: network.n_hidden] = -self.sigma
            if self.wake:
                rescue[network.n_hidden + label] = -self.wake
            gap = np.maximum(network.cells.theta - tape.peak, 0.0)
            rescue[(tape.last >= 0) | (gap == 0.0)] = 0.0
            value -= float(rescue @ gap)
        if not learn:
            return value, readout, 0
        sums.cell[THETA] -= rescue
        if mode == "step" and self.sensitive and rescue.any():
            for row, column in ((TAU_M, 0), (TAU_S, 1), (LEAK, 2)):
                sums.cell[row] += rescue * tape.peak_sense[:, column]
        where = (events.start, events.unit) if mode == "step" else (events.start, events.unit, events.x)
        undo = step_adjoint.backward if mode == "step" else substep_adjoint.backward
        clamped = undo(
            steps, dt, *where, network.cells, network.wires, tape, impulse, drive, pull, rescue,
            self.slope_floor, self.sensitive, sums.weight, sums.delay, sums.cell,
        )  # fmt: skip
        return value, readout, int(clamped)


def _fits(network: GridNetwork, loss: Loss, mode: Mode) -> None:
    """Raise where the loss does not fit the read-out or the mode does not do what the network asks."""
    if isinstance(loss, FirstSpikeLoss) != network.spiking_output:
        kind = "a spiking" if network.spiking_output else "a non-spiking"
        raise BadInput(
            f"loss '{type(loss).__name__}' does not fit {kind} read-out",
            code="NB505",
            fix="use a loss on first spikes with a LIF read-out, one on the membrane with an LI read-out",
        )
    if mode == "substep" and network.cells.refractory:
        raise Unsupported(
            "mode 'substep' has no refractory time", code="NB201", fix="use mode=step, or time=exact"
        )
    for c in network.connections:
        if mode == "step" and c.pre >= c.post and c.latency < 1:
            raise Unsupported(
                f"the connection from layer {c.pre} to layer {c.post} closes a loop without latency",
                code="NB108",
                fix="give it a latency of one step",
            )
