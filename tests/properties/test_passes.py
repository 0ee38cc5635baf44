"""What every pass says stays equal does, on random graphs of every primitive through the reference."""

from __future__ import annotations

import sys
import warnings
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, assume, given, settings
from hypothesis import strategies as st

from nirbridge.errors import FindingWarning, Unsupported
from nirbridge.graph import copy, digest, equal, inline
from nirbridge.network import build
from nirbridge.passes import (
    FoldBatchnorm,
    FoldDelays,
    FoldInputWeight,
    FoldScale,
    FuseAffine,
    Inline,
    LowerDelays,
    Nest,
    QuantizeDecays,
    QuantizeWeights,
    RemoveDead,
    Rename,
    RescaleLif,
    RescaleTime,
    RoundDelays,
    SetNirVersion,
    ShiftReset,
    StrictThreshold,
    ToEuler,
    ToExact,
)
from nirbridge.protocols import Pass
from nirbridge.semantics import semantics_of
from nirbridge.validate import validate
from nirbridge_reference import Reference

sys.path.insert(0, str(Path(__file__).parent))
from graphs import graphs, input_size

usual = settings(
    max_examples=15,
    phases=[Phase.reuse, Phase.generate],  # shrinking a failure takes minutes: add Phase.shrink by hand
    deadline=None,
    suppress_health_check=list(HealthCheck),
)
SAMPLES, STEPS = 2, 25

# Passes whose law is about spikes: on any graph, unless they refuse it.
KEEP_SPIKES: tuple[Pass, ...] = (
    FoldBatchnorm(),
    FoldDelays(),
    FoldInputWeight(),
    FoldScale(),
    FuseAffine(),
    LowerDelays(),
    RemoveDead(),
    RescaleLif(),
    RescaleTime(unit="ms"),
    RescaleTime(unit="us"),
    RoundDelays(),
    ToEuler(),
    ToExact(),
)
EXACT: tuple[Pass, ...] = (Inline(), Nest())
OTHERS: tuple[Pass, ...] = (
    QuantizeDecays(bits=12),
    QuantizeWeights(bits=4),
    QuantizeWeights(scheme="mse", granularity="channel"),
    QuantizeWeights(scheme="power-of-two", granularity="tensor"),
    SetNirVersion(version="1.0.6"),
    StrictThreshold(),
    ShiftReset(),
)
ALL = (*KEEP_SPIKES, *EXACT, *OTHERS)
# Applied to their own result these change nothing, bit for bit.
IDEMPOTENT = tuple(p for p in ALL if not isinstance(p, QuantizeDecays | ToEuler | ToExact | RescaleLif))


def of(item: Pass) -> str:
    return f"{item.name}-{'-'.join(map(str, vars(item).values()))}".strip("-")


def applied(item: Pass, graph: nir.NIRGraph) -> nir.NIRGraph:
    """The pass's result; a graph that it refuses by name is no example."""
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore", FindingWarning)
            return item(graph)
    except Unsupported as error:
        assert error.code.startswith("NB")
        assert error.fix or item.name == "set-nir-version"
        assume(False)
        raise


def runs(*graphs: nir.NIRGraph, names: Iterable[dict[str, str]] = ()) -> list[dict[str, Any]]:
    """Spikes and V of every neuron that all graphs have, by the first one's name, and the output."""
    rng = np.random.default_rng(0)
    x = (rng.random((SAMPLES, STEPS, input_size(graphs[0]))) < 0.4).astype(float)
    maps = [*names, *[{}] * len(graphs)]
    found = []
    for graph, named in zip(graphs, maps, strict=False):
        network = build(graph)
        neurons = [network.populations[at] for at in network.neurons]
        record = [p.name for p in neurons if p.spiking] + [f"{p.name}:v" for p in neurons]
        done = Reference(threads=1).compile(graph).run_values(x, record=record)
        dt = network.semantics.dt
        back = {new: old for old, new in named.items()}
        values: dict[str, Any] = {"output": output_of(done, dt)}
        for p in neurons:
            name = back.get(p.name, p.name)
            values[f"{name}:v"] = done.traces[f"{p.name}:v"]
            if p.spiking:
                values[name] = done.spikes[p.name].to_dense(dt)
        found.append(values)
    return found


def output_of(done: Any, dt: float) -> Any:
    return done.output if isinstance(done.output, np.ndarray) else done.output.to_dense(dt)


def assert_same(a: dict[str, Any], b: dict[str, Any], *, exact: bool = False, v: bool = True) -> None:
    """Every spike equal; V and graded output bit for bit, or within float rounding."""
    assert set(b) <= set(a)
    for name, value in b.items():
        if value.dtype.kind != "f" or exact:
            assert np.array_equal(a[name], value), name
        elif v or name == "output":
            # float32 traces; V may have grown large before it comes near 0 again
            scale = max(1.0, float(np.abs(a[name]).max(initial=0.0)))
            assert np.allclose(a[name], value, rtol=1e-5, atol=1e-5 * scale), name


@pytest.mark.parametrize("item", KEEP_SPIKES, ids=of)
@usual
@given(st.data())
def test_spike_times_stay(item: Pass, data: st.DataObject) -> None:
    graph = data.draw(graphs())
    before, after = runs(graph, applied(item, graph))
    assert_same(before, after)


@pytest.mark.parametrize("item", EXACT, ids=of)
@usual
@given(st.data())
def test_the_network_is_the_same_bit_for_bit(item: Pass, data: st.DataObject) -> None:
    graph = data.draw(graphs())
    after = item(graph)
    assert digest(inline(after)) == digest(inline(graph))
    assert_same(*runs(graph, after), exact=True)


@usual
@given(graphs(nested=True))
def test_nest_is_the_way_back_from_inline(graph: nir.NIRGraph) -> None:
    flat = Inline()(graph)
    assert not any(isinstance(node, nir.NIRGraph) for node in flat.nodes.values())
    back = Nest()(flat)
    assert equal(back, graph)
    for a, b in zip(inline(back).nodes.values(), inline(graph).nodes.values(), strict=True):
        assert a.metadata.keys() == b.metadata.keys()


@usual
@given(graphs(semantics={"decay": "exact"}))
def test_exact_to_euler_and_back_keeps_spikes_and_time_constants(graph: nir.NIRGraph) -> None:
    euler = applied(ToEuler(), graph)
    back = ToExact()(euler)
    assert (semantics_of(euler).decay, semantics_of(back).decay) == ("euler", "exact")
    first, second, third = runs(graph, euler, back)
    assert_same(first, second)
    assert_same(first, third)
    flat = inline(graph)
    for name, node in flat.nodes.items():
        for field in ("tau", "tau_mem", "tau_syn"):
            if hasattr(node, field):
                np.testing.assert_allclose(getattr(back.nodes[name], field), getattr(node, field), rtol=1e-10)
                step = 1e-3 / semantics_of(graph).time_unit
                factor = 1 - step / getattr(euler.nodes[name], field)
                np.testing.assert_allclose(factor, np.exp(-step / getattr(node, field)), rtol=1e-10)


@usual
@given(graphs(dtype=np.float32))
def test_in_float32_the_decays_stay_within_its_rounding(graph: nir.NIRGraph) -> None:
    old, new = build(graph), build(applied(ToEuler(), graph))
    for at in old.neurons:
        p = old.populations[at]
        q = new.populations[new.index(p.name)]
        for field in ("a_m", "a_s", "b_m", "b_s"):
            np.testing.assert_allclose(getattr(q, field), getattr(p, field), rtol=3e-6, atol=1e-7)


@usual
@given(graphs(semantics={"compare": ">=", "reset": "value"}), st.sampled_from(["float32", "float64"]))
def test_a_strict_threshold_keeps_every_bit(graph: nir.NIRGraph, arithmetic: str) -> None:
    from dataclasses import replace

    from nirbridge.semantics import with_semantics

    graph = with_semantics(graph, replace(semantics_of(graph), arithmetic=arithmetic))
    after = StrictThreshold()(graph)
    assert semantics_of(after).compare == ">"
    assert_same(*runs(graph, after), exact=True)


@usual
@given(graphs(semantics={"v_init": "leak", "reset": "value"}))
def test_a_shifted_reset_keeps_spikes_where_v_starts_at_the_leak(graph: nir.NIRGraph) -> None:
    flat = inline(graph)
    assume(not any(isinstance(n, nir.IF) and np.any(n.v_reset) for n in flat.nodes.values()))
    with warnings.catch_warnings():
        warnings.simplefilter("error", FindingWarning)
        after = ShiftReset()(graph)
    for node in after.nodes.values():
        assert not np.any(np.asarray(getattr(node, "v_reset", 0.0)))
    assert_same(*runs(graph, after), v=False)


@usual
@given(graphs(semantics={"reset": "subtract"}))
def test_where_the_threshold_is_subtracted_v_reset_plays_no_part(graph: nir.NIRGraph) -> None:
    assert_same(*runs(graph, ShiftReset()(graph)), exact=True)


@usual
@given(st.data())
def test_renaming_changes_names_only(data: st.DataObject) -> None:
    graph = data.draw(graphs(nested=False))
    names = sorted(graph.nodes)
    some = data.draw(st.lists(st.sampled_from(names), min_size=1, unique=True))
    turned = dict(zip(some, [*some[1:], "fresh"], strict=True))  # each takes the next one's name
    item = Rename(names="/".join(f"{a}={b}" for a, b in turned.items()))
    after = item(graph)
    assert len(after.nodes) == len(graph.nodes)
    assert {after.nodes[b].metadata["nirbridge_from"] for b in turned.values()} == set(some)
    inputs = sorted(n for n in names if isinstance(graph.nodes[n], nir.Input))
    assume(inputs == sorted(inputs, key=lambda n: turned.get(n, n)))  # units are counted in this order
    assert_same(*runs(graph, after, names=({}, turned)))
    assert equal(Rename(names="/".join(f"{b}={a}" for a, b in turned.items()))(after), graph)


@usual
@given(graphs())
def test_folded_delays_and_lowered_ones_give_the_same_spikes(graph: nir.NIRGraph) -> None:
    folded = applied(FoldDelays(), graph)
    lowered = applied(LowerDelays(), folded)
    assert digest(folded) == digest(lowered)
    assert_same(*runs(graph, lowered))


@usual
@given(graphs(resets=False), st.sampled_from(["1.0.5", "1.0.6", "1.0.8"]))
def test_an_older_version_has_the_digest(graph: nir.NIRGraph, version: Any) -> None:
    assert digest(applied(SetNirVersion(version=version), graph)) == digest(graph)


@pytest.mark.parametrize("item", ALL, ids=of)
@usual
@given(st.data())
def test_a_pass_keeps_validity_and_its_input(item: Pass, data: st.DataObject) -> None:
    graph = data.draw(graphs(dtype=data.draw(st.sampled_from([np.float32, np.float64]))))
    kept, metadata = copy(graph), dict(graph.metadata)
    old = Counter(f.code for f in validate(graph) if f.level == "error")
    after = applied(item, graph)
    new = Counter(f.code for f in validate(after) if f.level == "error")
    assert new <= old
    assert equal(graph, kept)
    assert graph.metadata == metadata
    assert [n.metadata for n in graph.nodes.values()] == [n.metadata for n in kept.nodes.values()]


@pytest.mark.parametrize("item", IDEMPOTENT, ids=of)
@usual
@given(st.data())
def test_a_second_time_nothing_changes(item: Pass, data: st.DataObject) -> None:
    graph = data.draw(graphs(dtype=data.draw(st.sampled_from([np.float32, np.float64]))))
    once = applied(item, graph)
    twice = applied(item, once)
    assert equal(twice, once)
    assert twice.metadata == once.metadata
