"""Compare targets on the same samples: the first runs the file, the others what their passes make of it."""

from __future__ import annotations

import json
from collections.abc import Callable, Sequence
from dataclasses import dataclass, replace
from datetime import UTC, datetime
from importlib.metadata import version
from typing import Any

import nir
import numpy as np

from nirbridge.analysis import (
    Divergence,
    PassResult,
    Versus,
    WeightHistogram,
    agreement,
    applied,
    first_difference,
    histogram,
    paired_change,
)
from nirbridge.data import Dataset
from nirbridge.errors import Unsupported
from nirbridge.evaluate.beside import beside
from nirbridge.evaluate.drawing import membrane, rasters
from nirbridge.evaluate.partners import check_partners, named_like
from nirbridge.evaluate.running import Run, fit_duration, run
from nirbridge.evaluate.summary import data_summary, graph_summary, verdict
from nirbridge.graph import read_metadata
from nirbridge.network import build
from nirbridge.passes import QuantizeWeights
from nirbridge.plugins import load
from nirbridge.protocols import Target
from nirbridge.report import Beside, Membrane, Report, TargetResult
from nirbridge.spikes import Spikes

Progress = Callable[[str, int, int], None]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Side:
    """One target's run with the graph it ran and how that graph came about."""

    spec: str
    target: Target
    graph: nir.NIRGraph
    done: Run
    passes: tuple[PassResult, ...]
    weights: tuple[WeightHistogram, ...]


def compare(
    graph: nir.NIRGraph,
    targets: Sequence[tuple[str, Target]],
    data: Dataset,
    *,
    file: str = "",
    batch: int = 64,
    progress: Progress | None = None,
    commands: Sequence[str] = (),
    leave_out: bool = False,
    against: nir.NIRGraph | None = None,
) -> Report:
    """Run the graph on every target and hold each against the first, spike by spike.

    targets: (text that names it, target). against: what the first target runs instead, such as the float
    network that this one was trained from. leave_out: a target, not the first, that cannot take the graph
    is listed in `Report.refused` and the others run. The reference also runs every lowered graph, so that
    quantisation and arithmetic are told apart. progress: (target, samples done, samples). Raises
    `Unsupported` (NB202) where a spiking node of one side has no partner on the other.
    """
    spiking = _spiking(graph)
    if against is not None:
        against = named_like(against, graph)
        check_partners(graph, against)
    refused: dict[str, list[dict[str, Any]]] = {}
    if leave_out:
        for spec, target in targets[1:]:
            errors = [f for f in target.check(graph) if f.level == "error"]
            if errors:
                refused[spec] = [f.as_dict() for f in errors]
        targets = [item for item in targets if item[0] not in refused]
    sides = [
        _side(spec, target, (at == 0 and against) or graph, data, spiking, batch, progress, as_is=at == 0)
        for at, (spec, target) in enumerate(targets)
    ]
    first = sides[0]
    results, membranes = [], []
    for at, side in enumerate(sides):
        versus = None if at == 0 else _versus(first, side, data, spiking)
        if versus is not None and versus.first_difference is not None:
            versus, drawn = _explained(versus, first, side, data)
            membranes.append(drawn)
        lowered, lowered_accuracy = _lowered(side, data, spiking, batch, at)
        others = beside(
            graph,
            side.target,
            (side.graph, side.done),
            data,
            spiking,
            batch,
            lambda done: versus_of(first.done, done, data, spiking).spikes_agree,
        )
        results.append(_result(side, versus, lowered, lowered_accuracy, others))
    seen = next((r.versus.first_difference for r in results if r.versus and r.versus.first_difference), None)
    summary, cut = fit_duration(graph, data)
    return Report(
        graph=graph_summary(graph, file),
        data=data_summary(summary, cut),
        results=tuple(results),
        rasters=rasters([(side.spec, side.done.recording) for side in sides], spiking, seen, data),
        membranes=tuple(m for m in membranes if m is not None),
        weights=tuple(w for side in sides for w in side.weights),
        commands=tuple(commands),
        config=_config(graph),
        refused=refused,
        versions={name: version(name) for name in ("nirbridge", "nir", "numpy", "numba")},
        created=datetime.now(UTC).isoformat(timespec="seconds"),
    )


def _config(graph: nir.NIRGraph) -> str:
    """The trainer's options from the graph's metadata, as the section of a configuration."""
    metadata = read_metadata(graph)
    training = (metadata.training if metadata else None) or {}
    options = training.get("options")
    if not isinstance(options, dict):
        return ""
    lines = ["[trainer]", f'name = "{training.get("trainer", "")}"']
    lines += [f"{key} = {json.dumps(value)}" for key, value in options.items() if value is not None]
    return "\n".join([*lines, "", "[run]", f"seed = {training.get('seed', 0)}"])


def _spiking(graph: nir.NIRGraph) -> list[str]:
    network = build(graph)
    return [p.name for p in network.populations if p.spiking]


def _side(
    spec: str,
    target: Target,
    graph: nir.NIRGraph,
    data: Dataset,
    spiking: list[str],
    batch: int,
    progress: Progress | None,
    *,
    as_is: bool,
) -> Side:
    lowered, passes, steps = (graph, (), []) if as_is else applied(target.passes(graph), graph)
    if set(spiking) != set(_spiking(lowered)):
        lowered = named_like(lowered, graph)
    unpaired = set(spiking) ^ set(_spiking(lowered))
    if unpaired:
        raise Unsupported(
            f"target '{spec}': spiking node '{min(unpaired)}' has no partner after its passes",
            code="NB202",
            fix="a pass must keep the names of spiking nodes, or note them in metadata['nirbridge_from']",
        )
    weights = [
        histogram(name, spec, before.nodes[name], after.nodes[name])
        for item, before, after in steps
        if isinstance(item, QuantizeWeights)
        for name, node in after.nodes.items()
        if isinstance(node, nir.Linear | nir.Affine | nir.Conv1d | nir.Conv2d)
    ]
    each = None if progress is None else lambda n: progress(spec, n, len(data))
    done = run(lowered, target, data, record=spiking, batch=batch, progress=each)
    return Side(
        spec=spec, target=target, graph=lowered, done=done, passes=tuple(passes), weights=tuple(weights)
    )


def _aligned(done: Run, names: list[str]) -> dict[str, Spikes]:
    return {name: done.recording.aligned(name) for name in names}


def _versus(first: Side, second: Side, data: Dataset, spiking: list[str]) -> Versus:
    return versus_of(first.done, second.done, data, spiking)


def versus_of(first: Run, second: Run, data: Dataset, spiking: list[str]) -> Versus:
    """How the second run differs from the first, over the named spiking nodes."""
    dt = first.recording.dt
    a, b = _aligned(first, spiking), _aligned(second, spiking)
    shares = tuple(agreement(name, a[name], b[name], dt) for name in spiking)
    matched = sum(s.matched for s in shares)
    total = matched + sum(s.missing + s.extra for s in shares)
    change = None
    if data.labels is not None:
        change = paired_change(first.predictions, second.predictions, data.labels)
    return Versus(
        agreement=shares,
        spikes_agree=matched / total if total else 1.0,
        first_difference=first_difference(a, b, dt),
        change=change,
        same_predictions=float((first.predictions == second.predictions).mean()),
    )


def _explained(versus: Versus, first: Side, second: Side, data: Dataset) -> tuple[Versus, Membrane | None]:
    """Run the one sample of the first difference again with traces, on both sides."""
    found = versus.first_difference
    if found is None:
        return versus, None
    one = fit_duration(first.graph, data.select([found.sample]))[0].spikes
    drawn, values = membrane(
        found, second.spec, (first.graph, first.done.program), (second.graph, second.done.program), one
    )
    explained: Divergence = replace(found, **values)
    return replace(versus, first_difference=explained), drawn


def _lowered(
    side: Side, data: Dataset, spiking: list[str], batch: int, at: int
) -> tuple[Versus | None, float | None]:
    """This target against the reference on the same lowered graph: what its arithmetic alone changes."""
    if at == 0 or side.target.name == "reference":
        return None, None
    reference: Any = load("targets", "reference")()
    if reference.check(side.graph):
        return None, None
    done = run(side.graph, reference, data, record=spiking, batch=batch)
    return versus_of(done, side.done, data, spiking), done.accuracy


def _result(
    side: Side,
    versus: Versus | None,
    lowered: Versus | None,
    lowered_accuracy: float | None,
    others: tuple[Beside, ...],
) -> TargetResult:
    done = side.done
    counts = {
        node: {key: float(np.mean(values)) for key, values in keys.items()}
        for node, keys in done.recording.counts.items()
    }
    sizes = {p.name: p.size for p in build(side.graph).populations}
    return TargetResult(
        target=side.spec,
        n_samples=done.recording.n_samples,
        correct=done.correct,
        accuracy=done.accuracy,
        accuracy_se=done.accuracy_se,
        verdict=verdict(side.spec, done, versus),
        passes=side.passes,
        versus=versus,
        lowered=lowered,
        lowered_accuracy=lowered_accuracy,
        cost=done.cost.as_dict(),
        placement=done.program.placement.as_dict(),
        findings=tuple(f.as_dict() for f in side.target.check(side.graph)),
        spikes_per_neuron={
            name: counts[name]["spikes"] / max(sizes[name], 1) for name in counts if name in sizes
        },
        counts=counts,
        beside=others,
    )
