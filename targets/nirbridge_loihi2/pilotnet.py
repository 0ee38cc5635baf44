"""PilotNet as it ran on a chip: the one published run with counters, step times and power.

The network is lava-dl's ``pilotnet_snn/network.net`` (d825ac5); on the chip its input stayed silent and
every layer was reset where step mod 16 = 4, 5, … in order (LOIHI2.md §4 to §6).
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from nirbridge.cost import Interval, over_corners
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import timing
from nirbridge_loihi2.cost import Activity
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.partition import Partition, demands, partition
from nirbridge_loihi2.simulate import Outcome, events, simulate
from nirbridge_loihi2.tables import tables

PERIOD = 16  # steps after which the network repeats itself, from about step 17 on


@dataclass(frozen=True, slots=True, eq=False)
class Run:
    """The chip's run: its slices, and what every layer and core did in each step."""

    parts: tuple[Partition, ...]
    outcome: Outcome


@dataclass(frozen=True, slots=True, eq=False)
class Measured:
    """Counts and model of the steady state, per step.

    core_synops: (steps, cores) in the chip's order, the last layer first, dummy columns included;
    neurons: with dummies; latency [s], dynamic energy [J] as intervals over the corners; phases:
    modelled seconds of the steps ≡ 0, 1, 2, 3 mod 4.
    """

    core_synops: NDArray[np.int64]
    neurons: int
    latency: Interval
    dynamic: Interval
    phases: Mapping[int, float]


def run(path: Path, steps: int = 128) -> Run:
    """Simulate the file as the chip ran it, on the cores that the compiler's rule gives it."""
    network = read_net(path, reset_interval=PERIOD, reset_offset=3).network
    parts = tuple(partition(demand) for demand in demands(network))
    nothing = Spikes.from_events([], [], [], n_samples=1, n_units=1, duration=1.0)
    (outcome,) = simulate(
        tables(network, [part.per_core for part in parts]), events(nothing, 1.0), steps, activity=True
    )
    return Run(parts, outcome)


def measure(found: Run) -> Measured:
    """The model's time and energy of a step, averaged over the second half of the run."""
    parts, outcome = found.parts, found.outcome
    n_layers, steps = len(parts), len(outcome.activity)
    late = slice(steps // 2, steps)
    on_cores = outcome.activity[:, 3 * n_layers :]
    by_layer = np.split(on_cores, np.cumsum([p.filled for p in parts])[:-1], axis=1)
    cores = np.concatenate(by_layer[::-1], axis=1)
    neurons = sum(p.demand.size + p.dummies for p in parts)
    busiest = max(p.held(0) for p in parts)
    synops, messages = outcome.busy[late, 0], outcome.busy[late, 1]
    corners = timing.coefficients().corner_values()
    bound = {name: timing.binding(values, synops, messages, busiest) for name, values in corners.items()}
    activity = Activity(
        cores=sum(p.cores for p in parts),
        ticks=1.0,
        synops=float(cores[late].sum(axis=1).mean()),
        updates=float(neurons),
        messages=float(outcome.activity[late, 2 * n_layers : 3 * n_layers].sum(axis=1).mean()),
        bound={name: tuple(counts.mean(axis=1)) for name, counts in bound.items()},
        busy_steps=1.0,
    )
    data = timing.coefficients()
    _, latency = over_corners(data, activity.seconds)
    _, dynamic = over_corners(data, lambda values: _dynamic(activity, values))
    central = corners["central"]
    seconds = np.array(timing.time_constants(central)) @ bound["central"] + central["t_c"] * activity.cores
    step = np.arange(steps)[late] + 1
    phases = {k: float(seconds[step % 4 == k].mean()) for k in range(4)}
    return Measured(cores, neurons, latency, dynamic, phases)


def _dynamic(activity: Activity, values: Mapping[str, float]) -> dict[str, float]:
    terms = activity.joules(values, "attributed")
    return {name: terms[name] for name in terms if name not in ("base", "used-cores")}
