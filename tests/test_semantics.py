"""Semantics travel with the graph: fields, profiles, gains, what is refused."""

from __future__ import annotations

import json
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import GraphMetadata, equal, make, read_metadata, write_metadata
from nirbridge.semantics import PROFILES, Semantics, semantics_of, with_dt, with_semantics


def graph(metadata: dict[str, Any] | None = None) -> nir.NIRGraph:
    nodes = {
        "input": nir.Input(input_type={"input": np.array([2])}),
        "output": nir.Output(output_type={"output": np.array([2])}),
    }
    kept = {} if metadata is None else {"nirbridge": json.dumps(metadata)}
    return make(nodes, [("input", "output")], kept)


def stated(**more: Any) -> dict[str, Any]:
    return {"schema": "nirbridge.graph-metadata/1", "dt": 1e-3} | more


@pytest.mark.parametrize("profile", sorted(PROFILES))
def test_a_profile_is_its_named_differences(profile: str) -> None:
    named = Semantics.of_profile(profile, dt=1e-3)
    assert named.profile == profile
    assert named.overrides() == {}
    canonical = Semantics(dt=1e-3)
    differing = {f for f in canonical.__slots__ if getattr(named, f) != getattr(canonical, f)}
    assert differing == ({"profile", *PROFILES[profile]} if profile != "canonical" else set())


@pytest.mark.parametrize(
    ("profile", "options"),
    [
        ("canonical", {}),
        ("canonical", {"decay": "exact", "compare": ">=", "floor": "zero", "multi_spike": True}),
        ("genn", {"reset": "subtract", "time_unit": 1e-3}),
        ("spinnaker2", {"decay": "euler", "reset": "value"}),
        ("loihi", {"weight_scale": 32.0, "compare": ">="}),
    ],
)
def test_semantics_survive_the_metadata(profile: str, options: dict[str, Any]) -> None:
    semantics = Semantics.of_profile(profile, dt=2e-3, **options)
    carrying = with_semantics(graph(stated(readout="sum", mine=[1])), semantics)
    assert semantics_of(carrying) == semantics
    kept = read_metadata(carrying)
    assert kept is not None
    assert (kept.readout, kept.model_extra) == ("sum", {"mine": [1]})
    assert kept.semantics == {k: v for k, v in options.items() if k != "time_unit"}
    assert equal(carrying, graph())


@pytest.mark.parametrize(
    "options",
    [
        {"dt": 0.0},
        {"dt": -1e-3},
        {"dt": np.nan},
        {"dt": np.inf},
        {"dt": 1e-3, "time_unit": 0.0},
        {"dt": 1e-3, "decay": "Euler"},
        {"dt": 1e-3, "floor": "minus"},
        {"dt": 1e-3, "feedforward_delay": 2},
        {"dt": 1e-3, "profile": "braindrop"},
    ],
)
def test_a_value_that_a_field_does_not_take_is_refused(options: dict[str, Any]) -> None:
    with pytest.raises(UsageError) as caught:
        Semantics(**options)
    assert caught.value.code == "NB701"


@pytest.mark.parametrize(
    "options",
    [
        {"reset_at": "next-step"},
        {"emit": "before-update"},
        {"profile": "loihi", "decay": "exact"},
        {"profile": "loihi", "gain": "unit"},
        {"profile": "loihi", "reset": "subtract"},
        {"multi_spike": 1},
        {"weight_scale": 0.0},
        {"decay_scale": "4096"},
    ],
)
def test_fields_that_a_profile_has_no_use_for_are_refused(options: dict[str, Any]) -> None:
    with pytest.raises(ValueError):
        Semantics(dt=1e-3, **options)


@pytest.mark.parametrize("name", ["speed", "dT"])
def test_an_unknown_field_lists_the_known_ones(name: str) -> None:
    with pytest.raises(UsageError, match=f"unknown semantics field '{name}'") as caught:
        Semantics.of_profile("canonical", dt=1e-3, **{name: 1})
    assert caught.value.code == "NB701"
    assert "feedforward_delay" in str(caught.value.fix)
    with pytest.raises(UsageError, match="unknown semantics profile 'x'"):
        Semantics.of_profile("x", dt=1e-3)


def test_dt_is_never_guessed() -> None:
    for ask in (semantics_of, lambda g: with_dt(g, None, 1e-3)):
        with pytest.raises(BadInput) as caught:
            ask(graph())
        assert caught.value.code == "NB301"
        assert "--dt" in str(caught.value.fix)


@pytest.mark.parametrize(
    "metadata",
    [
        stated(profile="braindrop"),
        stated(semantics={"decay": "sometimes"}),
        stated(semantics={"colour": "red"}),
        stated(semantics={"dt": 1.0}),
        stated(semantics={"reset_at": "next-step"}),
        stated(semantics={"weight_scale": "64"}),
    ],
)
def test_semantics_in_a_file_that_cannot_be_used_are_a_bad_file(metadata: dict[str, Any]) -> None:
    with pytest.raises(BadInput) as caught:
        semantics_of(graph(metadata))
    assert (caught.value.code, caught.value.exit_code) == ("NB401", 3)


def test_a_stated_dt_is_written_and_may_not_contradict() -> None:
    bare = graph()
    assert with_dt(bare, None, None) is bare
    written = with_dt(bare, 2e-3, 1e-3)
    assert semantics_of(written) == Semantics(dt=2e-3, time_unit=1e-3)
    assert bare.metadata == {}
    assert semantics_of(with_dt(written, 2e-3, None)) == semantics_of(written)
    for dt, unit, words in ((1e-3, None, "--dt 0.001 s"), (None, 1.0, "--unit 1 s")):
        with pytest.raises(BadInput, match=f"{words} contradicts the graph's own") as caught:
            with_dt(written, dt, unit)
        assert caught.value.code == "NB305"


def test_stating_dt_keeps_the_other_fields() -> None:
    semantics = Semantics.of_profile("genn", dt=1e-3, reset="subtract")
    assert semantics_of(with_dt(with_semantics(graph(), semantics), 1e-3, 1.0)) == semantics


TAU, DT = np.array([5.0, 20.0, 1.5]), 1e-3


@pytest.mark.parametrize("unit", [1.0, 1e-3])
@pytest.mark.parametrize(("decay", "decay_syn"), [("euler", None), ("exact", None), ("exact", "euler")])
def test_decay_and_gain_are_the_stated_formulas(decay: Any, decay_syn: Any, unit: float) -> None:
    base = Semantics(dt=DT, time_unit=unit, decay=decay, decay_syn=decay_syn)
    ratio = DT / (TAU * unit)
    factor = {"euler": 1 - ratio, "exact": np.exp(-ratio)}
    a_m, a_s = factor[decay], factor[decay_syn or decay]
    assert np.allclose(base.decay_factor(TAU), a_m, rtol=1e-15)
    assert np.allclose(base.decay_factor(TAU, synapse=True), a_s, rtol=1e-15)
    expected = {  # gain -> membrane of LIF, membrane of CubaLIF, synapse
        "matched": (1 - a_m, 1 - a_m, 1 - a_s),
        "euler": (ratio, ratio, ratio),
        "unit": (np.ones(3),) * 3,
        "dirac": (1 / TAU, 1 - a_m, 1 / TAU),
    }
    for gain, (lif, cuba, synapse) in expected.items():
        semantics = replace(base, gain=gain)  # type: ignore[arg-type]
        assert np.allclose(semantics.input_gain(TAU, synapse=False, cuba=False), lif, rtol=1e-13)
        assert np.allclose(semantics.input_gain(TAU, synapse=False, cuba=True), cuba, rtol=1e-13)
        assert np.allclose(semantics.input_gain(TAU, synapse=True, cuba=True), synapse, rtol=1e-13)


def test_writing_metadata_leaves_the_graph_alone() -> None:
    bare = graph()
    write_metadata(bare, GraphMetadata(dt=1.0))
    assert bare.metadata == {}
