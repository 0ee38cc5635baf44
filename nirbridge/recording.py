"""What a run produced: output, probed spikes and traces, and the activity counts that cost models read."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import Literal, get_args

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes

Readout = Literal["mean", "exp-mean", "sum", "max", "count", "first-spike", "last"]
READOUTS: tuple[Readout, ...] = get_args(Readout)
Counts = dict[str, NDArray[np.int64]]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Recording:
    """The result of `Program.run` on a batch.

    output: `Spikes` where the output node spikes, else float32 (n_samples, ticks, units).
    dt: seconds of model time per tick.
    n_steps: steps of input; a target that delays by hops runs ``ticks ≥ n_steps``.
    lag: ticks by which a node's events come later than the graph's own semantics say, per node;
        ``output_lag`` is the output's own.
    spikes: probed nodes -> `Spikes` in the target's own time (tick·dt).
    traces: "node:v" -> float array (n_samples, ticks, units), in units of ``program.graph``.
    counts: node -> {"spikes", "synops", "updates", "saturated", further with the target's
        prefix} -> (n_samples,) int64. ``synops`` counts stored synapses reached by spikes that
        arrive at the node.
    wall_s: seconds that the run took on this machine, without compiling; None if not measured.
    sample_s: (n_samples,) seconds that each sample took on its thread; None if not measured.
    """

    output: Spikes | NDArray[np.float32]
    dt: float
    n_steps: int
    lag: Mapping[str, int] = field(default_factory=dict)
    output_lag: int = 0
    spikes: Mapping[str, Spikes] = field(default_factory=dict)
    traces: Mapping[str, NDArray[np.floating]] = field(default_factory=dict)
    counts: Mapping[str, Counts] = field(default_factory=dict)
    wall_s: float | None = None
    sample_s: NDArray[np.float64] | None = None

    @property
    def n_samples(self) -> int:
        return self.output.n_samples if isinstance(self.output, Spikes) else len(self.output)

    @property
    def ticks(self) -> int:
        """Ticks that were executed."""
        if isinstance(self.output, Spikes):
            return self.output.n_steps(self.dt)
        return int(self.output.shape[1])

    def aligned(self, node: str) -> Spikes:
        """Spikes of a probed node moved to zero feed-forward delay: ``n_steps`` steps, ``lag`` removed."""
        if node not in self.spikes:
            raise BadInput(
                f"node '{node}' was not recorded; recorded: {', '.join(self.spikes) or 'none'}",
                code="NB504",
                fix=f"run again with --record {node}",
            )
        return _shifted(self.spikes[node], self.lag.get(node, 0), self.n_steps, self.dt)

    def aligned_output(self) -> Spikes | NDArray[np.float32]:
        """The output moved to zero feed-forward delay, ``n_steps`` steps long."""
        lag = self.output_lag
        if isinstance(self.output, Spikes):
            return _shifted(self.output, lag, self.n_steps, self.dt)
        return self.output[:, lag : lag + self.n_steps]

    def scores(self, readout: Readout) -> NDArray[np.float64]:
        """Score of each class, (n_samples, units), by the named read-out of the aligned output.

        With K steps k = 0 … K−1 and output x: ``sum`` Σx, ``mean`` Σx/K, ``exp-mean``
        Σx·e^(−(k+½)/K)/K (Nowotny et al. 2022, arXiv 2212.01232), ``max`` max x, ``count`` the number
        of spikes, ``first-spike`` minus the first spike's step (minus K where there is none), ``last`` the
        x of the last step. A graded spike counts its value in x.
        """
        out = self.aligned_output()
        steps = max(self.n_steps, 1)
        if isinstance(out, Spikes):
            sample = np.repeat(np.arange(out.n_samples), out.counts())
            step = out.steps(self.dt)
            if readout == "first-spike":
                first = np.full((out.n_samples, out.n_units), float(steps))
                np.minimum.at(first, (sample, out.units), step)
                return -first
            total = np.zeros((out.n_samples, out.n_units))
            if readout in ("max", "last"):
                grid = out.to_dense(self.dt)
                if not grid.size:
                    return total
                return np.asarray(grid.max(axis=1) if readout == "max" else grid[:, -1], dtype=np.float64)
            weight = np.exp(-(step + 0.5) / steps) if readout == "exp-mean" else np.ones(len(step))
            if out.values is not None and readout != "count":
                weight = weight * out.values
            np.add.at(total, (sample, out.units), weight)
            return total / steps if readout in ("mean", "exp-mean") else total
        if readout in ("count", "first-spike"):
            raise BadInput(
                f"read-out '{readout}' needs an output that spikes, got values",
                code="NB505",
                fix="use one of mean, exp-mean, sum, max, last",
            )
        values = np.asarray(out, dtype=np.float64)
        if readout == "max":
            return np.asarray(values.max(axis=1))
        if readout == "last":
            return values[:, -1] if values.shape[1] else np.zeros((len(values), values.shape[2]))
        if readout == "exp-mean":
            weight = np.exp(-(np.arange(self.n_steps) + 0.5) / steps)
            return np.asarray(np.einsum("bku,k->bu", values, weight) / steps)
        total = np.asarray(values.sum(axis=1))
        return total / steps if readout == "mean" else total

    def predictions(self, readout: Readout) -> NDArray[np.int64]:
        """Predicted class of each sample, (n_samples,): the largest score, the first on a tie."""
        return np.asarray(np.argmax(self.scores(readout), axis=1), dtype=np.int64)

    @staticmethod
    def join(parts: Sequence[Recording]) -> Recording:
        """One recording of consecutive batches; counts, spikes and traces follow the samples."""
        first = parts[0]
        if len(parts) == 1:
            return first
        outputs = [p.output for p in parts]
        output: Spikes | NDArray[np.float32]
        spiking = [o for o in outputs if isinstance(o, Spikes)]
        if spiking:
            output = Spikes.join(spiking)
        else:
            output = np.concatenate([o for o in outputs if not isinstance(o, Spikes)])
        walls = [p.wall_s for p in parts]
        singles = [p.sample_s for p in parts if p.sample_s is not None]
        return Recording(
            output=output,
            dt=first.dt,
            n_steps=first.n_steps,
            lag=first.lag,
            output_lag=first.output_lag,
            spikes={k: Spikes.join([p.spikes[k] for p in parts]) for k in first.spikes},
            traces={k: np.concatenate([p.traces[k] for p in parts]) for k in first.traces},
            counts={
                node: {k: np.concatenate([p.counts[node][k] for p in parts]) for k in keys}
                for node, keys in first.counts.items()
            },
            wall_s=None if any(w is None for w in walls) else float(sum(w for w in walls if w is not None)),
            sample_s=np.concatenate(singles) if len(singles) == len(parts) else None,
        )


def _shifted(spikes: Spikes, lag: int, n_steps: int, dt: float) -> Spikes:
    """The spikes of steps lag … lag+n_steps−1, moved ``lag`` steps earlier."""
    step = spikes.steps(dt) - lag
    keep = (step >= 0) & (step < n_steps)
    offsets = np.concatenate([[0], np.cumsum(keep)])[spikes.offsets]
    values = None if spikes.values is None else spikes.values[keep]
    times = np.asarray(step[keep] * dt, dtype=np.float64)
    return Spikes(times, spikes.units[keep], offsets, spikes.n_units, n_steps * dt, values)
