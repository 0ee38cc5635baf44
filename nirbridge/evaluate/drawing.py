"""What the report draws of single samples: the raster, and the membrane at the first difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis import Divergence
from nirbridge.data import Dataset
from nirbridge.network import build
from nirbridge.protocols import Program
from nirbridge.recording import Recording
from nirbridge.report import Membrane, Raster
from nirbridge.spikes import Spikes

WINDOW = 40  # steps drawn on each side of the first difference
MOST_SPIKES = 4000  # drawn per raster and target, so that a page stays small


def rasters(
    runs: Sequence[tuple[str, Recording]], spiking: Sequence[str], seen: Divergence | None, data: Dataset
) -> tuple[Raster, ...]:
    """One sample, one node: what agrees with the first target, what is missing, what is extra.

    The sample and node are those of the first difference, else sample 0 and the first spiking node.
    A raster with too many spikes is cut after the step at which ``MOST_SPIKES`` are reached.
    """
    if not spiking or not runs:
        return ()
    node = seen.node if seen is not None else spiking[0]
    sample = seen.sample if seen is not None else 0
    first = runs[0][1]
    dt = first.dt
    base = _cells(first.aligned(node).select([sample]), dt)
    end = first.n_steps
    if len(base) > MOST_SPIKES:
        end = max(base[MOST_SPIKES][0], (seen.step + WINDOW) if seen is not None else 0)
    drawn = {}
    for spec, recording in runs[1:] or runs:
        other = _cells(recording.aligned(node).select([sample]), dt)
        a, b = {c for c in base if c[0] <= end}, {c for c in other if c[0] <= end}
        drawn[spec] = {
            "matched": [list(c) for c in sorted(a & b)],
            "missing": [list(c) for c in sorted(a - b)],
            "extra": [list(c) for c in sorted(b - a)],
        }
    label = None
    if data.labels is not None:
        label = data.classes[int(data.labels[sample])]
    return (
        Raster(
            sample=sample,
            label=label,
            node=node,
            neurons=first.spikes[node].n_units,
            steps=min(end + 1, first.n_steps),
            dt=dt,
            targets=drawn,
        ),
    )


def _cells(spikes: Spikes, dt: float) -> list[tuple[int, int]]:
    return list(zip(spikes.steps(dt).tolist(), spikes.units.tolist(), strict=True))


def membrane(
    found: Divergence,
    spec: str,
    first: tuple[nir.NIRGraph, Program],
    second: tuple[nir.NIRGraph, Program],
    sample: Spikes,
) -> tuple[Membrane | None, dict[str, Any]]:
    """V/θ of the differing neuron around the difference, and V/θ and the step's drive (in θ) at it.

    sample: the one sample. V is after reset, so the side that spiked shows v_reset there.
    """
    sides = [_traces(found, *side, sample) for side in (first, second)]
    if sides[0] is None or sides[1] is None:
        return None, {}
    start = max(found.step - WINDOW, 0)
    stop = found.step + WINDOW
    drawn = Membrane(
        target=spec,
        node=found.node,
        neuron=found.neuron,
        sample=found.sample,
        at_step=found.step,
        first_step=start,
        first=[round(float(x), 5) for x in sides[0][0][start:stop]],
        second=[round(float(x), 5) for x in sides[1][0][start:stop]],
    )
    values = {
        "v_first": float(sides[0][0][found.step]),
        "v_second": float(sides[1][0][found.step]),
        "input_first": float(sides[0][1][found.step]),
        "input_second": float(sides[1][1][found.step]),
    }
    return drawn, values


def _traces(
    found: Divergence, graph: nir.NIRGraph, program: Program, sample: Spikes
) -> tuple[NDArray[np.float64], NDArray[np.float64]] | None:
    """V/θ and x·b_s·b_m/θ of the neuron over aligned steps."""
    recording = program.run(sample, record=[f"{found.node}:v", f"{found.node}:x"])
    network = build(graph)
    p = network.populations[network.index(found.node)]
    lag = recording.lag.get(found.node, 0)
    theta = float(p.threshold[found.neuron])
    gain = float(p.b_m[found.neuron] * (p.b_s[found.neuron] if p.cuba else 1.0))
    v = np.asarray(recording.traces[f"{found.node}:v"], np.float64)[0, lag:, found.neuron] / theta
    x = np.asarray(recording.traces[f"{found.node}:x"], np.float64)[0, lag:, found.neuron] * gain / theta
    if not np.isfinite(theta) or theta == 0:
        return None
    return v, x
