"""What a run did, as the counts and spikes of a `Recording`."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from nirbridge.placement import Placement
from nirbridge.recording import Counts
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import kernels, timing
from nirbridge_loihi2.layers import IntegerNetwork
from nirbridge_loihi2.partition import Partition
from nirbridge_loihi2.simulate import Events, Outcome


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Placed:
    """An integer network on its cores; parts are its layers' slices, names their names."""

    network: IntegerNetwork
    tables: kernels.Tables
    parts: tuple[Partition, ...]
    placement: Placement
    names: tuple[str, ...]


def counts_of(placed: Placed, outcomes: Sequence[Outcome], ticks: int) -> dict[str, Counts]:
    """Counts of every layer, (n_samples,) each: those of the contract, and ``loihi2_`` ones.

    What the chip's counters show has dummy columns in it: ``loihi2_core_synops`` on all cores of a
    layer, ``loihi2_core_synops_17`` on core 17.
    """
    n = len(outcomes)
    layers = placed.network.layers
    table = np.zeros((0, len(layers), kernels.N_COUNTS), np.int64)
    on_cores = np.zeros((0, placed.tables.n_cores), np.int64)
    if n:
        table, on_cores = np.stack([o.counts for o in outcomes]), np.stack([o.core_synops for o in outcomes])
    counts: dict[str, Counts] = {}
    for k, (name, layer) in enumerate(zip(placed.names, layers, strict=True)):
        counts[name] = {
            "spikes": table[:, k, kernels.SPIKES],
            "synops": table[:, k, kernels.SYNOPS],
            "updates": np.full(n, layer.size * ticks, np.int64),
            "saturated": table[:, k, kernels.CLIPS],
            "loihi2_u_wraps": table[:, k, kernels.WRAPS],
            "loihi2_input_overflows": table[:, k, kernels.OVERFLOWS],
            "loihi2_messages": table[:, k, kernels.MESSAGES],
            **_of_cores(placed, on_cores, k, ticks),
        }
        if not layer.spiking:
            counts[name]["loihi2_max_abs_v"] = table[:, k, kernels.PEAK]
    return counts


def _of_cores(placed: Placed, on_cores: NDArray[np.int64], layer: int, ticks: int) -> Counts:
    part = placed.parts[layer]
    first = int(placed.tables.core_at[layer])
    numbers = [core.index for core in placed.placement.cores if core.node == part.demand.name]
    mine = on_cores[:, first : first + part.filled]
    found: Counts = {
        "loihi2_core_synops": mine.sum(axis=1),
        "loihi2_dummy_updates": np.full(len(mine), part.dummies * ticks, np.int64),
    }
    for number, synops in zip(numbers, mine.T, strict=False):  # trailing cores may stay empty
        found[f"loihi2_core_synops_{number}"] = synops.copy()
    return found


def work_of(placed: Placed, outcomes: Sequence[Outcome]) -> Counts:
    """What each time constant multiplies in the steps that it bounds, for every corner; chip-wide."""
    most = max(part.held(0) for part in placed.parts)
    corners = timing.coefficients().corner_values()
    names = [f"loihi2_bound_{what}_{corner}" for corner in corners for what in timing.BOUND]
    found: Counts = {name: np.zeros(len(outcomes), np.int64) for name in names}
    found["loihi2_busiest_synops"] = np.zeros(len(outcomes), np.int64)
    found["loihi2_busy_steps"] = np.zeros(len(outcomes), np.int64)
    for b, outcome in enumerate(outcomes):
        synops, messages = outcome.busy.T.astype(np.int64)
        for corner, values in corners.items():
            bound = timing.binding(values, synops, messages, most)
            for what, row in zip(timing.BOUND, bound, strict=True):
                found[f"loihi2_bound_{what}_{corner}"][b] = row.sum()
            if corner == "central":
                found["loihi2_busy_steps"][b] = np.count_nonzero(bound[0] == 0)
        found["loihi2_busiest_synops"][b] = synops.sum()
    return found


def input_counts(inputs: Events, work: Mapping[str, NDArray[np.int64]]) -> Counts:
    """Counts of the input: its messages, and what is counted for the whole chip."""
    nothing = np.zeros(len(inputs.at), np.int64)
    return {
        "spikes": inputs.counts,
        "synops": nothing,
        "updates": nothing,
        "saturated": nothing,
        "loihi2_input_merged": inputs.merged,
        **work,
    }


def spikes_of(placed: Placed, outcomes: Sequence[Outcome], layer: int, dt: float, duration: float) -> Spikes:
    """The kept spikes of a layer, graded where it sends values other than 1."""
    first, last = placed.tables.first[layer], placed.tables.first[layer + 1]
    mine = [(o.neuron >= first) & (o.neuron < last) for o in outcomes]
    offsets = np.concatenate([[0], np.cumsum([m.sum() for m in mine])]).astype(np.int64)
    empty = np.zeros(0, np.int32)
    step, neuron, value = (
        np.concatenate([empty, *(getattr(o, name)[m] for o, m in zip(outcomes, mine, strict=True))])
        for name in ("step", "neuron", "value")
    )
    graded = value.astype(np.int32) if np.any(value != 1) else None
    units = (neuron - first).astype(np.int32)
    return Spikes(step * dt, units, offsets, int(last - first), duration, graded)
