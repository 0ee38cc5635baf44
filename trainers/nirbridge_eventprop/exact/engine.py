"""Loss and exact gradients of a batch in continuous time."""

from __future__ import annotations

import os
from collections.abc import Callable
from concurrent.futures import ThreadPoolExecutor
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes
from nirbridge_eventprop.exact.adjoint import adjoint
from nirbridge_eventprop.exact.arrays import Tape, empty_tape, trimmed
from nirbridge_eventprop.exact.forward import forward
from nirbridge_eventprop.exact.losses import FirstSpikeLoss, Loss
from nirbridge_eventprop.exact.network import EventNetwork
from nirbridge_eventprop.exact.score import membrane_score, spike_score
from nirbridge_eventprop.exact.sums import Sums, add_peaks, new_sums

Floats = NDArray[np.float64]
MOST_SPIKES = 1 << 22  # of one sample


@dataclass(frozen=True, kw_only=True)
class RateTerm:
    """Pulls a neuron's mean count N̄ to ``nu``: r = (rho_upper above, rho_lower below)·(N̄ − nu)."""

    rho_lower: float
    rho_upper: float
    nu: float

    def pull(self, counts: Floats) -> Floats:
        """r of each neuron from its mean count."""
        strength = np.where(counts > self.nu, self.rho_upper, self.rho_lower)
        return np.asarray(strength * (counts - self.nu))


@dataclass(frozen=True, eq=False)
class ExactBatch:
    """loss (samples,), readout (samples, n): logits or first spike times [s]; tapes; clamped slopes.

    counts (samples, neurons): spikes of every spiking neuron. tapes: none where they were not to be kept.
    """

    loss: Floats
    readout: Floats
    counts: NDArray[np.int64]
    tapes: list[Tape]
    clamped: int


@dataclass(eq=False)
class _Work:
    """A sample between its forward and its backward pass."""

    tape: Tape
    times: Floats
    units: NDArray[np.int64]
    drive: Floats
    rescue: Floats


class Engine:
    """A network with its loss.

    sigma, wake: weights of θ − max V where a hidden neuron, or the label's output, is silent in a sample.
    rate: see `RateTerm`. slope_floor: V' at a spike counts as at least slope_floor·θ/τm.
    sensitive: gradients by time constants and leak, too. shards: partial
    sums of a batch; results depend on it, not on ``threads`` (0: all cores).
    """

    def __init__(
        self,
        network: EventNetwork,
        loss: Loss,
        *,
        sigma: float = 0.0,
        wake: float = 0.0,
        rate: RateTerm | None = None,
        slope_floor: float = 1e-2,
        sensitive: bool = True,
        threads: int = 1,
        shards: int = 1,
    ) -> None:
        if isinstance(loss, FirstSpikeLoss) != network.spiking_output:
            kind = "a spiking" if network.spiking_output else "a non-spiking"
            raise BadInput(
                f"loss '{type(loss).__name__}' does not fit {kind} read-out",
                code="NB505",
                fix="use a loss on first spikes with a LIF read-out, one on the membrane with an LI read-out",
            )
        self.network = network
        self.loss = loss
        self.sigma = sigma
        self.wake = wake if network.spiking_output else 0.0
        self.rate = rate
        self.slope_floor = slope_floor
        self.sensitive = sensitive
        self.sums = new_sums(network)
        self._shards = [new_sums(network) for _ in range(shards)]
        self._pool = ThreadPoolExecutor(min(threads or os.cpu_count() or 1, shards))
        self._room = (256, 256 if network.wires.delayed.any() else 1)
        hidden = network.layers[:-1] if network.spiking_output else network.layers
        self._hidden = sum(len(layer.tau_mem) for layer in hidden if layer.spiking)
        # neurons whose largest V a rescue term may ask for
        self._watched = (
            0 if sigma else self._hidden,
            len(network.cells) if self.wake else self._hidden if sigma else 0,
        )

    def close(self) -> None:
        """End the threads."""
        self._pool.shutdown()

    def run(
        self,
        spikes: Spikes,
        labels: NDArray[np.int64],
        *,
        learn: bool = True,
        regular: NDArray[np.floating] | None = None,
        keep: bool = True,
    ) -> ExactBatch:
        """Run a batch; with ``learn`` the sums of its samples' gradients are left in ``sums``.

        regular (neurons,): r_j/θ_j of a rate term; without it that of ``rate`` and of this batch's counts.
        keep: return the tapes. Raises `BadInput` (NB510) where a sample has more than four million spikes.
        """
        n = spikes.n_samples
        width = self.network.n_outputs
        loss, readout = np.zeros(n), np.zeros((n, width))
        counts = np.zeros((n, len(self.network.cells)), np.int64)
        work: list[_Work | None] = [None] * n
        clamped = np.zeros(n, np.int64)
        for sums in self._shards:
            sums.clear()

        def first(b: int, sums: Sums) -> None:
            mine = slice(int(spikes.offsets[b]), int(spikes.offsets[b + 1]))
            item, loss[b], readout[b] = self._forward(
                spikes.times[mine], spikes.units[mine], spikes.duration, int(labels[b]), learn, sums
            )
            counts[b] = np.bincount(item.tape.spikes["unit"], minlength=counts.shape[1])
            if learn or keep:
                work[b] = item

        def second(b: int, sums: Sums) -> None:
            item = work[b]
            assert item is not None
            clamped[b] = self._backward(item, spikes.duration, pull, sums)
            if not keep:
                work[b] = None

        self._each(n, first)
        pull = np.zeros(counts.shape[1])
        if regular is not None:
            pull[: self._hidden] = regular[: self._hidden]
        elif self.rate is not None and n:
            pull[:] = self.rate.pull(counts.mean(axis=0)) / self.network.cells["theta"]
            pull[self._hidden :] = 0.0
        if learn:
            self._each(n, second)
            self.sums.clear()
            for sums in self._shards:
                self.sums += sums
        return ExactBatch(
            loss, readout, counts, [item.tape for item in work if item is not None], int(clamped.sum())
        )

    def _each(self, n: int, act: Callable[[int, Sums], None]) -> None:
        def shard(s: int) -> None:
            for b in range(n * s // len(self._shards), n * (s + 1) // len(self._shards)):
                act(b, self._shards[s])

        list(self._pool.map(shard, range(len(self._shards))))

    def _forward(
        self, times: Floats, units: NDArray[np.int32], end: float, label: int, learn: bool, sums: Sums
    ) -> tuple[_Work, float, Floats]:
        """Tape, loss and what the loss tells each spike; a read-out's own gradients go to ``sums``."""
        network = self.network
        order = np.lexsort((units, times))
        order = order[times[order] < end]
        times, which = np.asarray(times, np.float64)[order], units[order].astype(np.int64)
        tape = self._tape(times, which, end, learn)
        drive = np.zeros(len(tape.spikes))
        if isinstance(self.loss, FirstSpikeLoss):
            value, readout = spike_score(network, self.loss, tape, end, label, drive)
        else:
            value, readout = membrane_score(
                network, self.loss, tape, times, which, end, label, drive, sums if learn else None,
                self.sensitive,
            )  # fmt: skip
        rescue = np.zeros(len(network.cells))
        rescue[: self._hidden] = self.sigma
        if self.wake:
            rescue[network.slices[-1].start + label] = self.wake
        rescue[tape.ends["last"] >= 0] = 0.0
        value += float(rescue @ (network.cells["theta"] - tape.ends["peak"]))
        return _Work(tape, times, which, drive, rescue), value, readout

    def _tape(self, times: Floats, units: NDArray[np.int64], end: float, learn: bool) -> Tape:
        spikes, waiting = self._room
        network = self.network
        while True:
            arrivals = spikes * 4 if waiting > 1 else 0
            tape = empty_tape(len(network.cells), len(times), spikes, arrivals)
            found = forward(
                times, units, end, network.wires, network.cells, tape, waiting, self.sensitive and learn,
                self._watched,
            )  # fmt: skip
            events, used, arrived, most = (int(x) for x in found)
            if used <= spikes and arrived <= arrivals and most <= waiting:
                return trimmed(tape, events, used, arrived)
            if spikes > MOST_SPIKES:
                raise BadInput(
                    f"a sample makes more than {MOST_SPIKES} spikes",
                    code="NB510",
                    fix="lower the recurrent weights or the learning rate",
                )
            grow = used > spikes or arrived > arrivals
            spikes, waiting = (
                (4 * spikes if grow else spikes),
                (max(4 * waiting, most) if most > waiting else waiting),
            )
            self._room = (max(self._room[0], spikes), max(self._room[1], waiting))

    def _backward(self, item: _Work, end: float, regular: Floats, sums: Sums) -> int:
        network = self.network
        add_peaks(sums, item.rescue, item.tape.ends)
        return int(
            adjoint(
                item.times, item.units, end, network.wires, network.cells, item.tape, item.drive, regular,
                item.rescue, self.slope_floor, sums.weight, sums.delay, sums.cell,
            )
        )  # fmt: skip
