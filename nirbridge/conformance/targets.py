"""Laws of a target. Graphs are given as the file has them; the target's own passes run first."""

from __future__ import annotations

from itertools import pairwise
from typing import Any

import nir
import numpy as np

from nirbridge.analysis import agreement
from nirbridge.graph import digest, read_metadata
from nirbridge.network import build
from nirbridge.passes import Pipeline
from nirbridge.protocols import Program, Target
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes


def _lowered(target: Target, graph: nir.NIRGraph) -> nir.NIRGraph:
    return Pipeline(tuple(target.passes(graph)))(graph)


def _program(target: Target, graph: nir.NIRGraph) -> Program:
    return target.compile(_lowered(target, graph))


def _spiking(graph: nir.NIRGraph) -> list[str]:
    return [p.name for p in build(graph).populations if p.spiking]


def _require(condition: bool, message: str) -> None:
    if not condition:
        raise AssertionError(message)


def _equal(a: Recording, b: Recording, what: str) -> None:
    """Same spikes, outputs and counts, bit for bit."""
    for name in a.spikes:
        same = np.array_equal(a.spikes[name].times, b.spikes[name].times) and np.array_equal(
            a.spikes[name].units, b.spikes[name].units
        )
        _require(
            same and np.array_equal(a.spikes[name].offsets, b.spikes[name].offsets),
            f"{what}: spikes of '{name}'",
        )
    if isinstance(a.output, Spikes) or isinstance(b.output, Spikes):
        _require(isinstance(a.output, Spikes) and isinstance(b.output, Spikes), f"{what}: kind of output")
    else:
        _require(np.array_equal(a.output, b.output), f"{what}: output")
    for name, keys in a.counts.items():
        for key, values in keys.items():
            _require(np.array_equal(values, b.counts[name][key]), f"{what}: count '{key}' of '{name}'")


def check_no_input_no_spikes(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """Without input no neuron spikes (the graph must have no bias and no v_leak above threshold)."""
    quiet = Spikes(
        np.zeros(0),
        np.zeros(0, np.int32),
        np.zeros(spikes.n_samples + 1, np.int64),
        spikes.n_units,
        spikes.duration,
    )
    recording = _program(target, graph).run(quiet, record=_spiking(graph))
    for name, found in recording.spikes.items():
        _require(len(found.times) == 0, f"'{name}' spikes {len(found.times)} times without input")
    if not isinstance(recording.output, Spikes):
        _require(not np.any(recording.output), "the output moves without input")


def check_batch_equals_samples(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """A batch gives what its samples give one by one."""
    program = _program(target, graph)
    record = _spiking(graph)
    whole = program.run(spikes, record=record)
    parts = [program.run(spikes.select([b]), record=record) for b in range(spikes.n_samples)]
    _equal(whole, Recording.join(parts), "batch against samples")


def check_repeatable(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """The same run twice, and on a freshly compiled program, gives the same bits."""
    record = _spiking(graph)
    program = _program(target, graph)
    first = program.run(spikes, record=record)
    _equal(first, program.run(spikes, record=record), "second run")
    _equal(first, _program(target, graph).run(spikes, record=record), "second program")


def check_passes_idempotent(target: Target, graph: nir.NIRGraph) -> None:
    """The target's passes make the graph legal, and running them again changes nothing more."""
    once = _lowered(target, graph)
    errors = [f for f in target.check(once) if f.level == "error"]
    _require(not errors, f"after its own passes the target finds: {errors[0] if errors else ''}")
    twice = _lowered(target, once)
    _require(digest(once) == digest(twice), "the passes change their own result")
    _require(_history(once) == _history(twice), "an unchanged graph got a new history entry")


def _history(graph: nir.NIRGraph) -> list[Any]:
    metadata = read_metadata(graph)
    return [] if metadata is None else [h.model_dump() for h in metadata.history]


def check_leaves_its_input_alone(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """Passes, check, compile and run leave the caller's graph as it was."""
    before, metadata = digest(graph), dict(graph.metadata)
    target.check(graph)
    _program(target, graph).run(spikes)
    _require(digest(graph) == before and graph.metadata == metadata, "the caller's graph was changed")


def check_counts(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """Every node has its four counts per sample, none is negative, spike counts match the spikes."""
    recording = _program(target, graph).run(spikes, record=_spiking(graph))
    for name in _spiking(graph):
        found = recording.counts[name]
        for key in ("spikes", "synops", "updates", "saturated"):
            _require(key in found, f"'{name}' has no count '{key}'")
            _require(found[key].shape == (spikes.n_samples,), f"count '{key}' of '{name}' is not per sample")
            _require(bool((found[key] >= 0).all()), f"count '{key}' of '{name}' is negative")
        _require(
            np.array_equal(found["spikes"], recording.spikes[name].counts()),
            f"'{name}' counts other spikes than it records",
        )


def check_placement(target: Target, graph: nir.NIRGraph) -> None:
    """Every neuron sits on exactly one core and no limit is exceeded."""
    lowered = _lowered(target, graph)
    placement = target.compile(lowered).placement
    network = build(lowered)
    for at in network.neurons:
        p = network.populations[at]
        held = sorted((c.first, c.first + c.neurons) for c in placement.cores if c.node == p.name)
        _require(bool(held) and held[0][0] == 0 and held[-1][1] == p.size, f"'{p.name}' is not placed whole")
        gaps = any(a[1] != b[0] for a, b in pairwise(held))
        _require(not gaps, f"'{p.name}' has neurons on no core or on two")
    _require(placement.fits, "the placement exceeds a limit although the graph compiled")


def check_cost(target: Target, graph: nir.NIRGraph, spikes: Spikes) -> None:
    """Every figure has a basis and a source, lies inside its interval, and terms add up to the energy."""
    program = _program(target, graph)
    cost = program.cost(program.run(spikes))
    totals = [t for t in (cost.energy, cost.latency) if t is not None]
    for total in totals:
        _require(total.low <= total.value <= total.high, f"{total.value} lies outside its interval")
        _require(bool(total.source), "a total without a source")
    for term in (*cost.energy_terms, *cost.latency_terms):
        _require(bool(term.source) and bool(term.basis), f"term '{term.name}' has no basis or source")
        if term.value is not None and term.low is not None and term.high is not None:
            _require(term.low <= term.value <= term.high, f"term '{term.name}' lies outside its interval")
    if cost.energy is not None:
        total_value = sum(term.value or 0.0 for term in cost.energy_terms)
        _require(
            abs(total_value - cost.energy.value) <= 1e-6 * abs(cost.energy.value),
            "terms do not add up to the energy",
        )


def check_agrees_with_reference(
    target: Target, reference: Target, graph: nir.NIRGraph, spikes: Spikes, *, share: float
) -> None:
    """On the same lowered graph the target and the reference agree in at least ``share`` of spike cells."""
    lowered = _lowered(target, graph)
    record = _spiking(lowered)
    ours = target.compile(lowered).run(spikes, record=record)
    theirs = reference.compile(lowered).run(spikes, record=record)
    for name in record:
        found = agreement(name, theirs.aligned(name), ours.aligned(name), ours.dt)
        _require(found.share >= share, f"'{name}': {found.share:.4f} of spikes agree, expected {share}")
        _require(found.matched + found.missing > 0, f"'{name}' never spikes: this check says nothing")
