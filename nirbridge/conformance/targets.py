"""Laws of a target. Graphs are given as the file has them; the target's own passes run first."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from itertools import pairwise
from math import isclose
from typing import Any

import nir
import numpy as np

from nirbridge.analysis import agreement
from nirbridge.cost import Term, Total, load
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


def _watched(graph: nir.NIRGraph, traces: bool) -> list[str]:
    """Every spiking node, with its membrane where traces are asked for."""
    nodes = _spiking(graph)
    return [*nodes, *(f"{name}:v" for name in nodes)] if traces else nodes


def _same(a: Any, b: Any) -> bool:
    """Equal spikes, or equal arrays, bit for bit; never one of each kind."""
    if isinstance(a, Spikes) != isinstance(b, Spikes):
        return False
    if not isinstance(a, Spikes):
        return a is b or np.array_equal(a, b, equal_nan=True)
    fields = ("times", "units", "offsets", "n_units")
    graded = (a.values is None) == (b.values is None) and np.array_equal(
        [] if a.values is None else a.values, [] if b.values is None else b.values
    )
    return graded and all(np.array_equal(getattr(a, f), getattr(b, f)) for f in fields)


def _equal(a: Recording, b: Recording, what: str) -> None:
    """Same spikes, traces, outputs and counts, bit for bit."""
    _require(_same(a.output, b.output), f"{what}: output")
    for kind, mine, other in (("spikes", a.spikes, b.spikes), ("trace", a.traces, b.traces)):
        _require(set(mine) == set(other), f"{what}: other nodes have a {kind}")
        for name in mine:
            _require(_same(mine[name], other[name]), f"{what}: {kind} of '{name}'")
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
    output = recording.output
    if isinstance(output, Spikes):
        _require(len(output.times) == 0, f"the output spikes {len(output.times)} times without input")
    else:
        _require(not np.any(output), "the output moves without input")


def check_batch_equals_samples(
    target: Target, graph: nir.NIRGraph, spikes: Spikes, *, traces: bool = False
) -> None:
    """A batch gives what its samples give one by one; ``traces``: every "node:v" too."""
    program = _program(target, graph)
    record = _watched(graph, traces)
    whole = program.run(spikes, record=record)
    parts = [program.run(spikes.select([b]), record=record) for b in range(spikes.n_samples)]
    _equal(whole, Recording.join(parts), "batch against samples")


def check_repeatable(target: Target, graph: nir.NIRGraph, spikes: Spikes, *, traces: bool = False) -> None:
    """Two runs, and one of a fresh program, give the same bits; ``traces``: every "node:v" too."""
    record = _watched(graph, traces)
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
    """Every figure has a basis and a source, lies inside its interval, and terms add up to the totals.

    Where the target's package ships a ``coefficients.json``, a term's value is its quantity times the
    coefficient that it names, which that file or the cost's scenario holds.
    """
    program = _program(target, graph)
    cost = program.cost(program.run(spikes))
    known = _coefficients(target)
    for total, terms in ((cost.energy, cost.energy_terms), (cost.latency, cost.latency_terms)):
        if total is not None:
            _require(total.low <= total.value <= total.high, f"{total.value} lies outside its interval")
            _require(bool(total.source), "a total without a source")
        for term in terms:
            _check_term(term, None if known is None else {**cost.scenario, **known})
    if cost.energy is not None:
        _require(_adds_up(cost.energy, cost.energy_terms), "terms do not add up to the energy")
    if cost.latency_terms:
        _require(_adds_up(cost.latency, cost.latency_terms), "terms do not add up to the latency")


def _check_term(term: Term, known: Mapping[str, Any] | None) -> None:
    _require(bool(term.source) and bool(term.basis), f"term '{term.name}' has no basis or source")
    if term.value is None:
        return
    if term.low is not None and term.high is not None:
        _require(term.low <= term.value <= term.high, f"term '{term.name}' lies outside its interval")
    if known is None or term.coefficient is None:
        return
    name = f"term '{term.name}'"
    _require(term.coefficient in known, f"{name} names the unknown coefficient '{term.coefficient}'")
    _require(term.quantity is not None, f"{name} has a value and no quantity")
    product = (term.quantity or 0.0) * float(known[term.coefficient])
    _require(isclose(product, term.value, rel_tol=1e-6), f"{name} is no quantity times '{term.coefficient}'")


def _adds_up(total: Total, terms: Sequence[Term]) -> bool:
    return isclose(sum(term.value or 0.0 for term in terms), total.value, rel_tol=1e-6)


def _coefficients(target: Target) -> Mapping[str, float] | None:
    """Central values [SI] of the target's package; None where it ships no file."""
    try:
        return load(type(target).__module__.partition(".")[0]).corner_values()["central"]
    except (OSError, ImportError, TypeError):
        return None


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
