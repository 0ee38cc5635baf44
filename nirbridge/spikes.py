"""Spike trains of a batch, compressed by sample: the one type for spikes in memory.

`nir.EventData` pads every sample to the longest and dense grids grow with time, so both stand
only at a file's edge; everything inside nirbridge passes `Spikes`.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import ArrayLike, NDArray

from nirbridge.errors import BadInput

if TYPE_CHECKING:
    import nir

IntArray = NDArray[np.int64]


def step_of(times: NDArray[Any], dt: float) -> IntArray:
    """Step that each time falls in: ``floor(t/dt·(1+2^-23) + 1e-6)``.

    Right for float32 and float64 multiples of dt up to 10^6 steps, where a plain floor puts
    t = 0.3 at dt = 0.1 into step 2. ``times`` in seconds, any shape; ``dt`` in seconds.
    """
    scaled = np.asarray(times, dtype=np.float64) / dt
    return np.floor(scaled * (1 + 2.0**-23) + 1e-6).astype(np.int64)


def step_count(duration: float, dt: float) -> int:
    """Number of steps of ``dt`` [s] that cover ``duration`` [s]: ``ceil(duration/dt - 1e-6)``."""
    return max(int(np.ceil(duration / dt - 1e-6)), 0)


@dataclass(frozen=True, slots=True, eq=False)
class Spikes:
    """Spike trains of ``n_samples`` samples over ``n_units`` channels.

    times: (n,) float64, seconds, ascending within a sample.
    units: (n,) int32, 0 ≤ unit < n_units.
    offsets: (n_samples+1,) int64; sample b is ``times[offsets[b]:offsets[b+1]]``.
    n_units: number of channels.
    duration: seconds that every sample lasts; all times are below it.
    values: (n,) int32 for graded spikes, or None where every spike counts 1.

    Raises `BadInput` (NB501) where an array breaks these rules.
    """

    times: NDArray[np.float64]
    units: NDArray[np.int32]
    offsets: IntArray
    n_units: int
    duration: float
    values: NDArray[np.int32] | None = None

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        set_field(self, "times", np.ascontiguousarray(self.times, dtype=np.float64))
        set_field(self, "units", _whole("units", self.units, np.dtype(np.int32)))
        set_field(self, "offsets", _whole("offsets", self.offsets, np.dtype(np.int64)))
        set_field(self, "n_units", int(self.n_units))
        set_field(self, "duration", float(self.duration))
        if self.values is not None:
            set_field(self, "values", _whole("values", self.values, np.dtype(np.int32)))
        self._check()

    def _check(self) -> None:
        n = len(self.times)
        offsets = self.offsets
        if self.times.ndim != 1 or self.units.shape != (n,):
            raise _bad(f"times and units must be flat and equally long, got {n} and {self.units.shape}")
        if self.values is not None and self.values.shape != (n,):
            raise _bad(f"values must be ({n},) like times, got {self.values.shape}")
        if offsets.ndim != 1 or len(offsets) < 1 or offsets[0] != 0 or offsets[-1] != n:
            raise _bad(f"offsets must run from 0 to the number of spikes, {n}")
        if np.any(np.diff(offsets) < 0):
            raise _bad("offsets must not decrease")
        if not (np.isfinite(self.duration) and self.duration >= 0):
            raise _bad(f"the duration must be finite and not negative, got {self.duration} s")
        if n == 0:
            return
        if not np.all(np.isfinite(self.times)):
            raise _bad(f"spike {int(np.argmin(np.isfinite(self.times)))} has a time that is not finite")
        if self.times.min() < 0 or self.times.max() >= self.duration:
            raise _bad(
                f"spike times lie in [{self.times.min():g}, {self.times.max():g}] s, "
                f"expected [0, {self.duration:g}) s"
            )
        if self.units.min() < 0 or self.units.max() >= self.n_units:
            raise _bad(
                f"spike units lie in [{self.units.min()}, {self.units.max()}], expected [0, {self.n_units})"
            )
        falls = self.times[1:] < self.times[:-1]
        starts = offsets[1:-1]
        falls[starts[(starts > 0) & (starts < n)] - 1] = False
        if falls.any():
            raise _bad(f"times must ascend within a sample; spike {int(np.argmax(falls)) + 1} does not")

    @property
    def n_samples(self) -> int:
        return len(self.offsets) - 1

    def __len__(self) -> int:
        return self.n_samples

    def steps(self, dt: float) -> IntArray:
        """Step of each spike, (n,) int64, for steps of ``dt`` seconds (see `step_of`).

        A spike so close before the end that `step_of` rounds it up belongs to the last step.
        """
        return np.minimum(step_of(self.times, dt), max(self.n_steps(dt) - 1, 0))

    def n_steps(self, dt: float) -> int:
        """Number of steps of ``dt`` seconds that cover the duration."""
        return step_count(self.duration, dt)

    def counts(self) -> IntArray:
        """Number of spikes of each sample, (n_samples,)."""
        return np.diff(self.offsets)

    def select(self, samples: ArrayLike) -> Spikes:
        """The given samples, in the given order. ``samples``: indices or a boolean mask."""
        index = np.asarray(samples)
        if index.dtype == bool:
            index = np.flatnonzero(index)
        index = index.astype(np.int64)
        first, last = self.offsets[:-1][index], self.offsets[1:][index]
        offsets = np.concatenate([[0], np.cumsum(last - first)]).astype(np.int64)
        pieces = [slice(None, 0), *map(slice, first.tolist(), last.tolist())]

        def taken(array: NDArray[Any]) -> NDArray[Any]:  # by slices: an index for every spike is 8 bytes more
            return np.concatenate([array[piece] for piece in pieces])

        values = None if self.values is None else taken(self.values)
        return Spikes(taken(self.times), taken(self.units), offsets, self.n_units, self.duration, values)

    def with_units(self, n_units: int) -> Spikes:
        """The same spikes over ``n_units`` channels; raises `BadInput` if a unit lies beyond."""
        return Spikes(self.times, self.units, self.offsets, n_units, self.duration, self.values)

    def with_duration(self, duration: float) -> tuple[Spikes, int]:
        """The spikes before ``duration`` [s] as samples of that length, and how many were cut off."""
        keep = self.times < duration
        lost = int(len(keep) - keep.sum())
        if lost == 0:
            return Spikes(self.times, self.units, self.offsets, self.n_units, duration, self.values), 0
        offsets = np.concatenate([[0], np.cumsum(keep)])[self.offsets]
        values = None if self.values is None else self.values[keep]
        return Spikes(self.times[keep], self.units[keep], offsets, self.n_units, duration, values), lost

    @staticmethod
    def from_events(
        times: ArrayLike,
        units: ArrayLike,
        samples: ArrayLike,
        *,
        n_samples: int,
        n_units: int,
        duration: float,
        values: ArrayLike | None = None,
    ) -> Spikes:
        """Sort loose events (time [s], unit, sample index; each (n,)) into `Spikes`."""
        time = np.asarray(times, dtype=np.float64)
        sample = np.asarray(samples, dtype=np.int64)
        unit = _whole("units", units, np.dtype(np.int64))
        order = np.lexsort((unit, time, sample))
        offsets = np.searchsorted(sample[order], np.arange(n_samples + 1))
        graded = None if values is None else _whole("values", values, np.dtype(np.int32))[order]
        return Spikes(time[order], unit[order], offsets, n_units, duration, graded)

    @staticmethod
    def from_dense(grid: ArrayLike, dt: float) -> Spikes:
        """From a grid (n_samples, n_steps, n_units): a count c > 1 becomes c spikes at ``step·dt``.

        Raises `BadInput` for negative or fractional entries.
        """
        array = np.asarray(grid)
        if array.ndim != 3:
            raise _bad(f"a dense grid must be (samples, steps, units), got shape {array.shape}")
        if np.any(array < 0) or np.any(array != np.floor(array)):
            raise _bad("a dense grid must hold whole spike counts")
        sample, step, unit = np.nonzero(array)
        repeat = array[sample, step, unit].astype(np.int64)
        sample, step, unit = (np.repeat(x, repeat) for x in (sample, step, unit))
        offsets = np.searchsorted(sample, np.arange(array.shape[0] + 1))
        times = np.asarray(step * dt, dtype=np.float64)
        return Spikes(times, unit.astype(np.int32), offsets, array.shape[2], array.shape[1] * dt)

    def to_dense(self, dt: float) -> NDArray[np.int32]:
        """Counts on a grid (n_samples, n_steps, n_units); graded spikes add their values."""
        grid = np.zeros((self.n_samples, self.n_steps(dt), self.n_units), dtype=np.int32)
        sample = np.repeat(np.arange(self.n_samples), self.counts())
        np.add.at(grid, (sample, self.steps(dt), self.units), 1 if self.values is None else self.values)
        return grid

    @staticmethod
    def from_event_data(data: nir.EventData) -> Spikes:
        """From NIR's padded events, (n_samples, n_events) with index −1 as padding."""
        index = np.atleast_2d(np.asarray(data.idx))
        time = np.atleast_2d(np.asarray(data.time, dtype=np.float64))
        sample, column = np.nonzero((index >= 0) & np.isfinite(time))
        return Spikes.from_events(
            time[sample, column],
            index[sample, column],
            sample,
            n_samples=index.shape[0],
            n_units=int(data.n_neurons),
            duration=float(data.t_max),
        )

    def to_event_data(self) -> nir.EventData:
        """As NIR's padded events (index −1, time inf); graded values are refused."""
        import nir

        if self.values is not None:
            raise _bad("nir.EventData of graded spikes is not written; use an .npz file")
        width = int(self.counts().max(initial=0))
        index = np.full((self.n_samples, width), -1, dtype=np.int64)
        time = np.full((self.n_samples, width), np.inf)
        sample = np.repeat(np.arange(self.n_samples), self.counts())
        column = np.arange(len(self.times)) - self.offsets[sample]
        index[sample, column] = self.units
        time[sample, column] = self.times
        return nir.EventData(idx=index, time=time, n_neurons=self.n_units, t_max=self.duration)

    @staticmethod
    def join(parts: Sequence[Spikes]) -> Spikes:
        """One batch after the other; units and durations must agree."""
        if not parts:
            raise _bad("nothing to join: no batches were given")
        first = parts[0]
        if any(p.n_units != first.n_units or p.duration != first.duration for p in parts):
            raise _bad("batches to join must agree in units and duration")
        shifts = np.cumsum([0] + [len(p.times) for p in parts])
        offsets = np.concatenate(
            [[0]] + [p.offsets[1:] + shift for p, shift in zip(parts, shifts, strict=False)]
        )
        graded = [p.values for p in parts if p.values is not None]
        if graded and len(graded) != len(parts):
            raise _bad("graded and plain spikes cannot be joined")
        return Spikes(
            np.concatenate([p.times for p in parts]),
            np.concatenate([p.units for p in parts]),
            offsets,
            first.n_units,
            first.duration,
            np.concatenate(graded) if graded else None,
        )


def _whole(name: str, values: ArrayLike, dtype: np.dtype[Any]) -> NDArray[Any]:
    """The values as integers of ``dtype``; raises `BadInput` where that would change one."""
    given = np.asarray(values)
    with np.errstate(invalid="ignore"):
        result = np.ascontiguousarray(given, dtype=dtype)
    if given.dtype != dtype and not np.array_equal(result, given):
        raise _bad(f"{name} must be whole numbers that {dtype} can hold")
    return result


def _bad(message: str) -> BadInput:
    return BadInput(message, code="NB501", fix="see what the file holds with: nirbridge data info FILE")
