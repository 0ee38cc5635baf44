"""`to-euler`, `to-exact`, `rescale-time`, `strict-threshold`: figures of SEMANTICS.md §5 and refusals."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import digest, make, read_metadata
from nirbridge.network import build
from nirbridge.passes import RescaleTime, StrictThreshold, ToEuler, ToExact
from nirbridge.semantics import Semantics, semantics_of, with_semantics
from nirbridge.validate import validate

Random = Callable[..., nir.NIRGraph]


def cuba(tau_mem: float = 0.02, tau_syn: float = 0.005, dtype: Any = np.float64, **semantics: Any) -> Any:
    one = np.ones(1, dtype)
    nodes = {
        "input": nir.Input({"input": np.array([1])}),
        "late": nir.Delay(np.array([0.003])),
        "n": nir.CubaLIF(tau_syn=tau_syn * one, tau_mem=tau_mem * one, r=one, v_leak=0 * one,
                         v_threshold=one, v_reset=0 * one, w_in=one),
        "output": nir.Output({"output": np.array([1])}),
    }  # fmt: skip
    edges = [("input", "late"), ("late", "n"), ("n", "output")]
    return with_semantics(make(nodes, edges), Semantics(**{"dt": 1e-3, "decay": "exact", **semantics}))


def test_the_figures_of_the_reference() -> None:
    euler = ToEuler()(cuba())
    assert euler.nodes["n"].tau_mem[0] == pytest.approx(20.5041665e-3, rel=1e-8)
    assert euler.nodes["n"].tau_syn[0] == pytest.approx(5.51665557e-3, rel=1e-8)
    assert (euler.nodes["n"].r[0], euler.nodes["n"].w_in[0]) == (1.0, 1.0)
    assert semantics_of(euler).decay == "euler"
    back = ToExact()(euler)
    assert back.nodes["n"].tau_mem[0] == pytest.approx(0.02, rel=1e-12)
    assert semantics_of(back) == semantics_of(cuba())


@pytest.mark.parametrize("gain", ["matched", "euler", "dirac"])
def test_other_gains_are_made_up_for(gain: Any) -> None:
    before = cuba(gain=gain)
    p, q = (g.populations[g.index("n")] for g in (build(before), build(ToEuler()(before))))
    for field in ("a_m", "a_s", "b_m", "b_s"):
        np.testing.assert_allclose(getattr(q, field), getattr(p, field), rtol=1e-12)


def test_one_kind_for_both_where_the_synapse_has_its_own() -> None:
    before = cuba(decay_syn="euler")
    for item, kind in ((ToEuler(), "euler"), (ToExact(), "exact")):
        after = item(before)
        assert (semantics_of(after).decay, semantics_of(after).decay_syn) == (kind, None)
        p, q = (g.populations[g.index("n")] for g in (build(before), build(after)))
        np.testing.assert_allclose([q.a_m, q.a_s, q.b_m, q.b_s], [p.a_m, p.a_s, p.b_m, p.b_s], rtol=1e-12)


@pytest.mark.parametrize("item", [ToEuler(), ToExact()], ids=lambda item: item.name)
def test_what_is_so_already_stays(item: Any) -> None:
    graph = cuba(decay="euler" if item.name == "to-euler" else "exact")
    after = item(graph)
    assert digest(after) == digest(graph)
    assert after.metadata == graph.metadata


def test_short_time_constants_are_kept_above_dt_in_float64_or_refused() -> None:
    after = ToEuler()(cuba(tau_syn=2**-10 / 20, dt=2**-10, dtype=np.float32))  # in float32 τ would be dt
    assert after.nodes["n"].tau_syn.dtype == np.float64
    assert after.nodes["n"].tau_mem.dtype == np.float32
    assert [f for f in validate(after) if f.level == "error"] == []
    with pytest.raises(Unsupported, match="no time constant gives the decay of tau_syn") as caught:
        ToEuler()(cuba(tau_syn=1e-5))
    assert caught.value.code == "NB303"
    with pytest.raises(Unsupported, match="under exact steps"):
        ToExact()(cuba(tau_syn=1e-3, decay="euler"))


def test_a_profile_with_its_own_decay_is_refused() -> None:
    graph = with_semantics(cuba(), Semantics.of_profile("loihi", dt=1e-3))
    with pytest.raises(Unsupported, match="loihi has its own rule") as caught:
        ToExact()(graph)
    assert caught.value.code == "NB201"


@pytest.mark.parametrize("item", [ToEuler(), ToExact(), RescaleTime(), StrictThreshold()])
def test_without_dt_there_is_nothing_to_go_by(item: Any) -> None:
    graph = cuba()
    with pytest.raises(BadInput) as caught:
        item(make(graph.nodes, graph.edges))
    assert caught.value.code == "NB301"


def test_milliseconds() -> None:
    after = RescaleTime(unit="ms")(cuba(dtype=np.float32))
    assert after.nodes["n"].tau_mem[0] == np.float32(20) and after.nodes["n"].tau_syn[0] == np.float32(5)
    np.testing.assert_allclose(after.nodes["late"].delay, [3.0])
    assert (semantics_of(after).dt, semantics_of(after).time_unit) == (1e-3, 1e-3)
    back = RescaleTime(unit="s")(after)
    assert digest(back) == digest(cuba(dtype=np.float32))
    p, q = (g.populations[g.index("late")] for g in (build(cuba()), build(after)))
    assert p.delay_steps.tolist() == q.delay_steps.tolist() == [3]


@pytest.mark.parametrize("fields", [{"gain": "dirac"}, {"gain": "dirac", "order": "exact"}, {}])
def test_gains_in_file_units_are_made_up_for(fields: dict[str, Any]) -> None:
    before = cuba(**fields)
    p, q = (g.populations[g.index("n")] for g in (build(before), build(RescaleTime(unit="us")(before))))
    for field in ("a_m", "a_s", "b_m", "b_s"):
        np.testing.assert_allclose(getattr(q, field), getattr(p, field), rtol=1e-9)


def test_times_in_steps_become_seconds_for_good() -> None:
    from nirbridge.graph import GraphMetadata, write_metadata

    graph = write_metadata(cuba(tau_mem=20, tau_syn=5), GraphMetadata(dt=1e-3, time_unit=1e-3, in_steps=True))
    after = read_metadata(RescaleTime(unit="s")(graph))
    assert after is not None
    assert (after.time_unit, after.model_extra) == (1.0, {})


def test_integrators_whose_r_is_ignored_are_refused() -> None:
    one = np.ones(1)
    graph = cuba(gain="unit", integrate="time", decay="euler")
    nodes = {**graph.nodes, "n": nir.IF(r=one, v_threshold=one, v_reset=0 * one)}
    with pytest.raises(Unsupported, match="ignore r and w_in") as caught:
        RescaleTime(unit="ms")(make(nodes, graph.edges, graph.metadata))
    assert caught.value.code == "NB205"


def test_a_strict_threshold_is_the_float_below() -> None:
    graph = cuba(compare=">=", arithmetic="float32")
    node = StrictThreshold()(graph).nodes["n"]
    assert node.v_threshold.dtype == np.float32
    assert node.v_threshold[0] == np.nextafter(np.float32(1), np.float32(0))
    wide = with_semantics(graph, replace(semantics_of(graph), arithmetic="float64"))
    assert StrictThreshold()(wide).nodes["n"].v_threshold[0] == 1 - 2**-53


@pytest.mark.parametrize("arithmetic", ["float32", "float64"])
def test_a_membrane_at_the_threshold_still_spikes(arithmetic: Any) -> None:
    from nirbridge_reference import Reference

    one = np.ones(1)
    nodes = {**cuba().nodes, "n": nir.IF(r=one, v_threshold=3 * one, v_reset=0 * one)}
    semantics = Semantics(dt=1e-3, compare=">=", arithmetic=arithmetic)
    graph = with_semantics(make(nodes, [("input", "n"), ("n", "output"), ("late", "n")]), semantics)
    x = np.ones((1, 9, 1))

    def steps(net: nir.NIRGraph) -> list[int]:
        done = Reference(threads=1).compile(net).run_values(x, record=["n"])
        return np.flatnonzero(done.spikes["n"].to_dense(1e-3)).tolist()

    assert steps(graph) == steps(StrictThreshold()(graph)) == [2, 5, 8]
    assert steps(with_semantics(graph, replace(semantics, compare=">"))) == [3, 7]


@pytest.mark.parametrize(
    "fields", [{"reset": "subtract"}, {"multi_spike": True}, {"floor": "minus-threshold"}]
)
def test_where_the_old_threshold_still_counts_it_is_refused(fields: dict[str, Any]) -> None:
    with pytest.raises(Unsupported, match="the old threshold counts there too") as caught:
        StrictThreshold()(cuba(compare=">=", **fields))
    assert caught.value.code == "NB210"
