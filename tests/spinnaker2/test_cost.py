"""Cost: power formula on real recordings, corners, scenarios, residuals, overruns."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest

from nirbridge_spinnaker2 import Spinnaker2
from nirbridge_spinnaker2.eventprop_run import eventprop_run
from nirbridge_spinnaker2.memory import coefficients
from nirbridge_spinnaker2.power import Scenario, idle_power
from nirbridge_spinnaker2.published import power_bracket

YINYANG = {
    "layers": (5, 120, 3),
    "ticks_forward": 30,
    "ticks_backward": 30,
    "tick_s": 1e-3,
    "spikes_per_sample": (5, 25.3, 1.2),
}


def cost_of(recurrent: Any, noise: Any, **options: Any) -> Any:
    program = Spinnaker2(**options).compile(recurrent())
    recording = program.run(noise())
    return program.cost(recording), recording, program


def test_energy_is_power_times_ticks(recurrent: Any, noise: Any) -> None:
    cost, recording, _ = cost_of(recurrent, noise)
    assert recording.ticks == 62
    assert (cost.latency.value, cost.latency.per, cost.energy.per) == (0.062, "sample", "sample")
    c = coefficients().corner_values()["central"]
    synops = sum(float(np.mean(recording.counts[name]["synops"])) for name in ("h", "o"))
    busy = 2 * 62 * c["c_tick"] + 62 * 45 * c["c_n"] + c["c_s"] * synops
    power = 75.2e-3 + 150 * 160.2e-3 / 152 + 2 * 489.5e-3 / 152
    expected = power * 0.062 + busy * 683.2e-3 / 152 / 300e6
    assert cost.energy.value == pytest.approx(expected, rel=1e-9)
    assert cost.energy.low <= cost.energy.value <= cost.energy.high
    assert sum(t.value for t in cost.energy_terms if t.value is not None) == pytest.approx(cost.energy.value)
    assert cost.static_share == pytest.approx(1 - cost.energy_terms[3].value / cost.energy.value)


def test_terms_and_basis(recurrent: Any, noise: Any) -> None:
    cost, _, _ = cost_of(recurrent, noise)
    terms = {t.name: t for t in cost.energy_terms}
    assert list(terms) == ["base", "idle-cores", "used-cores", "active-cycles", "spike-transport", "memory"]
    assert terms["spike-transport"].value is None and "unknown" in terms["spike-transport"].source
    assert terms["base"].basis == "published"
    assert cost.energy.basis == "assumed"
    assert cost.scope == "chip" and cost.batch == 1
    assert "after seeing the target" in cost.scenario["choice"]
    assert any("not bit-accurate to silicon" in note for note in cost.notes)
    assert any("the tick decides, not compute" in note for note in cost.notes)


def test_scenario_options(recurrent: Any, noise: Any) -> None:
    default, _, _ = cost_of(recurrent, noise)
    off, _, _ = cost_of(recurrent, noise, idle_pes="off")
    board, _, _ = cost_of(recurrent, noise, board_mw=80.0)
    slow, _, _ = cost_of(recurrent, noise, used_rail="0.5V")
    saved = 150 * 160.2e-3 / 152 * 0.062
    assert default.energy.value - off.energy.value == pytest.approx(saved)
    assert board.energy.value - default.energy.value == pytest.approx(0.08 * 0.062)
    assert board.scope == "board"
    assert slow.energy.value < default.energy.value
    assert f"unused PEs off {off.energy.value * 1e3:.4g} mJ" in " ".join(default.notes)
    doubled, _, _ = cost_of(recurrent, noise, tick_s=2e-3)
    assert doubled.latency.value == 2 * default.latency.value


def test_peak_cycles(recurrent: Any, noise: Any) -> None:
    _, recording, _ = cost_of(recurrent, noise)
    h, c = recording.counts["h"], coefficients().corner_values()["central"]
    expected = np.ceil(c["c_tick"] + 40 * c["c_n"] + c["c_s"] * h["spinnaker2_peak_synops"])
    np.testing.assert_array_equal(h["spinnaker2_peak_cycles"], expected)


def test_published_eventprop_run(recurrent: Any, noise: Any) -> None:
    """A consistency check: the scenario was chosen after seeing these rows."""
    cost, _, _ = cost_of(recurrent, noise)
    rows = {r.quantity: r for r in cost.residuals}
    assert rows["power_mw"].model == pytest.approx(433.585, abs=1e-3)
    assert rows["energy_per_sample_mj"].model == pytest.approx(1.2022, abs=1e-4)
    run = [r for r in cost.residuals if r.row.startswith("eventprop")]
    assert {r.role for r in run} == {"consistency"}
    assert all(-5 < r.error_pct <= 1e-9 for r in run)
    assert rows["time_ms"].error_pct == pytest.approx(0)


def test_the_chips_capacity_is_one_fact(recurrent: Any, noise: Any) -> None:
    """c_s is set so that 1024 neurons take 12 M synaptic operations a second: neither row tests the model."""
    cost, _, _ = cost_of(recurrent, noise)
    rows = {r.quantity: r for r in cost.residuals}
    assert rows["neurons_per_chip"].model == 151_552
    assert rows["synops_per_pe_s"].error_pct == pytest.approx(0)
    assert rows["synops_per_chip_s"].model == pytest.approx(1.824e9)
    capacity = ("neurons_per_chip", "synops_per_pe_s", "synops_per_chip_s")
    assert {rows[name].role for name in capacity} == {"calibration"}


def test_roles_and_contradictions_are_printed(recurrent: Any, noise: Any) -> None:
    notes = " ".join(cost_of(recurrent, noise)[0].notes)
    assert "0.45 W · 61 ms / 22 = 1.248 mJ, not 1.22" in notes
    assert "consistency: nearest published row" in notes and "433.6 for 438.2–455 mW (-2.9 %)" in notes
    assert "validation: EGRU run" in notes and "235 to 422 mW" in notes and "560 mW" in notes
    assert "validation: e-prop" in notes and "27 B a weight" in notes
    assert "calibration: 12 M synaptic operations" in notes
    assert "used PEs at 0.5 V" in notes


@pytest.mark.parametrize(
    ("batch", "power", "per_sample"),
    [(1, 246.5, 15.04), (10, 326.7, 1.99), (22, 433.6, 1.202), (36, 558.2, 0.961)],
)
def test_predicted_batches(batch: int, power: float, per_sample: float) -> None:
    values = coefficients().corner_values()["central"]
    run = eventprop_run(values, Scenario(), batch=batch, **YINYANG)  # type: ignore[arg-type]
    assert run["power_mw"] == pytest.approx(power, abs=0.06)
    assert run["energy_per_sample_mj"] == pytest.approx(per_sample, rel=3e-3)


def test_scenarios_of_the_published_run() -> None:
    values = coefficients().corner_values()["central"]
    off = eventprop_run(values, Scenario(idle_pes="off"), batch=22, **YINYANG)  # type: ignore[arg-type]
    warm = eventprop_run(values, Scenario(idle_pes="sleep-0.8V"), batch=22, **YINYANG)  # type: ignore[arg-type]
    low = eventprop_run(values, Scenario(used_rail="0.5V"), batch=22, **YINYANG)  # type: ignore[arg-type]
    assert off["power_mw"] == pytest.approx(367.2, abs=0.05)
    assert warm["power_mw"] == pytest.approx(570, abs=1)
    assert low["power_mw"] == pytest.approx(238, abs=1)


def test_bracket_of_150_pes() -> None:
    assert [1e3 * w for w in power_bracket(150, "0.5V")] == pytest.approx([235.4, 422.11], abs=0.01)
    assert 1e3 * power_bracket(150, "0.8V")[0] == pytest.approx(560.37, abs=0.01)


def test_coefficients_are_unrounded() -> None:
    corners = coefficients().corner_values()
    found = {name: corner["c_s"] for name, corner in corners.items()}
    assert found == pytest.approx({"low": 21.503333, "central": 19.713333, "high": 11.533333}, abs=1e-6)
    c = corners["central"]
    assert 1e12 * c["active_cycle_0v8"] == pytest.approx(14.982456140350877, rel=1e-12)
    assert 1e12 * c["active_cycle_0v5"] == pytest.approx(8.298245614035088, rel=1e-12)
    scenario = replace(Scenario(), idle_pes="sleep-0.8V")
    assert 1e3 * idle_power(c, scenario.idle_pes) == pytest.approx(3.2204, abs=1e-4)


def test_json(recurrent: Any, noise: Any) -> None:
    cost, _, _ = cost_of(recurrent, noise)
    assert cost.as_dict()["schema"] == "nirbridge.cost/1"


def test_an_assumption_is_not_put_down_to_a_paper(recurrent: Any, noise: Any) -> None:
    cost, _, _ = cost_of(recurrent, noise)
    assert cost.energy.basis == "assumed"
    assert cost.energy.source.startswith("idle-cores: our choice idle_pes=sleep-0.5V; a PE: Scholze")
    assert "latency is ticks × tick_s by definition: no interval" in cost.notes
    assert cost.latency.source == "ticks: option tick_s: the PEs are locked to the tick"
    board, _, _ = cost_of(recurrent, noise, board_mw=80.0)
    assert board.energy_terms[0].coefficient is None
    assert "no coefficient" in board.energy_terms[0].note
