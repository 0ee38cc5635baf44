"""What the report draws of single samples: the raster, and the membrane at the first difference."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.analysis import Divergence
from nirbridge.data import Dataset
from nirbridge.errors import NirbridgeError
from nirbridge.network import Population, build
from nirbridge.protocols import Program
from nirbridge.recording import Recording
from nirbridge.report import Membrane, Raster
from nirbridge.semantics import Semantics
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

    sample: the one sample. The drawn V is after reset; that at the difference is before the spike test on a
    side whose membrane is known to follow the graph's own step, and after it on another.
    """
    sides = [
        _traces(found, *side, sample, spiked=found.spiked == which)
        for which, side in (("first", first), ("second", second))
    ]
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
        "v_first": sides[0][2],
        "v_second": sides[1][2],
        "input_first": float(sides[0][1][found.step]),
        "input_second": float(sides[1][1][found.step]),
    }
    return drawn, values


def _traces(
    found: Divergence, graph: nir.NIRGraph, program: Program, sample: Spikes, *, spiked: bool
) -> tuple[NDArray[np.float64], NDArray[np.float64], float] | None:
    """V/θ and x·b_s·b_m/θ of the neuron over aligned steps, and V/θ in the step of the difference: before
    the spike test where the neuron spiked and that is known."""
    names = [f"{found.node}:{quantity}" for quantity in "vxi"]
    try:
        recording = program.run(sample, record=names)
    except NirbridgeError:  # a target without a trace of I
        recording = program.run(sample, record=names[:2])
    network = build(graph)
    p = network.populations[network.index(found.node)]
    lag = recording.lag.get(found.node, 0)
    theta = float(p.threshold[found.neuron])
    if not np.isfinite(theta) or theta == 0:
        return None
    v, x, *i = (
        np.asarray(recording.traces[name], np.float64)[0, lag:, found.neuron]
        for name in names
        if name in recording.traces
    )
    known = spiked and lag == 0
    tested = _tested(p, network.semantics, found, v, x, i[0] if i else None) if known else None
    gain = float(p.b_m[found.neuron] * (p.b_s[found.neuron] if p.cuba else 1.0))
    at = float(v[found.step]) if tested is None else tested
    return v / theta, x * gain / theta, at / theta


def _tested(
    p: Population,
    semantics: Semantics,
    found: Divergence,
    v: NDArray[np.float64],
    x: NDArray[np.float64],
    i: NDArray[np.float64] | None,
) -> float | None:
    """V before the spike test of the differing step: ``a_m·V + leak + b_m·drive`` of the traces.

    None where that does not give the trace in the steps before it: another rule made it.
    """
    n, steps = found.neuron, slice(0, found.step + 1)
    drive = x
    if p.cuba:
        if i is None:
            return None
        late = np.concatenate([p.i_start[n : n + 1], i[:-1]])
        drive = {"current-first": i, "voltage-first": late}.get(semantics.order, i / p.a_s[n])
    before = np.concatenate([p.v_start[n : n + 1], v[:-1]])
    tested = (p.a_m[n] * before + p.leak[n] + p.b_m[n] * drive)[steps]
    calm = tested < p.threshold[n]
    calm[-1] = False
    known = np.allclose(tested[calm], v[steps][calm], rtol=0, atol=1e-4 * abs(p.threshold[n]))
    return float(tested[-1]) if known and calm.any() else None
