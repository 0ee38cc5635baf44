"""The cost model against the published rows of LOIHI2.md §5 and §6, and its own rules."""

from __future__ import annotations

import json
from types import SimpleNamespace

import numpy as np
import pytest

from nirbridge_loihi2 import Loihi2
from nirbridge_loihi2.cost import published_activity, residuals
from nirbridge_loihi2.timing import binding, coefficients, time_constants


@pytest.mark.parametrize(
    ("row", "quantity", "error", "role"),
    [
        ("256-b1", "latency", 0.0, "calibration"),
        ("512-b1", "latency", 1.3, "consistency"),
        ("1024-b1", "latency", -0.1, "calibration"),
        ("256-b1", "static", 0.2, "calibration"),
        ("512-b1", "static", -6.4, "consistency"),
        ("1024-b1", "static", 0.1, "calibration"),
        ("256-b1", "dynamic", -0.1, "calibration"),
        ("512-b1", "dynamic", 11.9, "consistency"),
        ("1024-b1", "dynamic", 1.3, "calibration"),
        ("pilotnet-mean-step", "latency", 0.0, "calibration"),
        ("pilotnet-phase-1", "latency", -13.0, "consistency"),
        ("pilotnet-phase-2", "latency", 29.0, "consistency"),
        ("pilotnet-phase-3", "latency", -12.0, "consistency"),
        ("pilotnet-phase-0", "latency", 11.0, "consistency"),
        ("pilotnet-dynamic-step", "dynamic", 0.4, "consistency"),
    ],
)
def test_residuals_against_published_rows(row: str, quantity: str, error: float, role: str) -> None:
    (found,) = [r for r in residuals() if (r.row, r.quantity) == (row, quantity)]
    assert found.error_pct == pytest.approx(error, abs=0.6)
    assert found.role == role


def test_static_power_of_the_held_out_row() -> None:
    """512: model static power 46.8 mW against 50.6 mW, −8 % (LOIHI2.md §6)."""
    values = coefficients().corner_values()["central"]
    activity = published_activity({"steps": 1024, "cores": 35})
    joules, seconds = activity.joules(values, "attributed"), sum(activity.seconds(values).values())
    power = (joules["base"] + joules["used-cores"]) / seconds
    assert power / (0.12e-3 / 2.37e-3) - 1 == pytest.approx(-0.08, abs=0.005)


def test_every_figure_has_a_basis_and_a_source() -> None:
    data = coefficients()
    assert {"t_0", "t_c", "t_s", "t_n", "t_m", "e_s", "e_u", "e_k", "P_0"} <= set(data.coefficients)
    assert all(item.counts for item in data.coefficients.values())


def test_cost_of_a_run(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent(n_in=700, n=256, n_out=20))
    spikes = build.random_spikes(2, n_in=700, steps=1022, rate=0.006)
    program = Loihi2().compile(graph)
    recording = program.run(spikes)
    cost = program.cost(recording)
    assert recording.ticks == 1024
    assert cost.latency.value == pytest.approx(2.331e-3, rel=1e-3)  # the published 700-256-20 row
    assert cost.energy is not None
    assert cost.energy.low < cost.energy.value < cost.energy.high
    assert cost.latency.low < cost.latency.value < cost.latency.high
    assert not cost.extrapolated
    assert sum(t.value or 0 for t in cost.energy_terms) == pytest.approx(cost.energy.value)
    assert sum(t.value or 0 for t in cost.latency_terms) == pytest.approx(cost.latency.value)
    counts = recording.counts
    synops = sum(c["synops"].mean() for c in counts.values())
    terms = {t.name: t for t in cost.energy_terms}
    assert terms["synaptic-ops"].value == pytest.approx(24e-12 * synops)
    assert terms["neuron-updates"].value == pytest.approx(56e-12 * 276 * 1024)
    assert counts["readout"]["loihi2_messages"].tolist() == counts["hidden"]["spikes"].tolist()
    into = counts["input"]["spikes"] + counts["hidden"]["spikes"]
    assert counts["hidden"]["loihi2_messages"].tolist() == (7 * into).tolist()
    assert cost.static_share == pytest.approx(
        sum(t.value or 0 for t in cost.energy_terms if t.kind == "static") / cost.energy.value
    )
    assert "bit-accurate to Lava's fixed-point process models, not to silicon" in cost.notes
    json.dumps(cost.as_dict())


def test_scope_chip_is_a_whole_idle_chip(build: SimpleNamespace) -> None:
    graph, spikes = build.quantised(build.recurrent()), build.random_spikes()
    attributed, chip = (Loihi2(static_scope=scope).compile(graph) for scope in ("attributed", "chip"))
    a, b = attributed.cost(attributed.run(spikes)), chip.cost(chip.run(spikes))
    assert (a.scope, b.scope) == ("attributed", "chip")
    assert a.energy is not None
    assert b.energy is not None
    assert b.energy.value > 3 * a.energy.value
    assert b.energy.value == pytest.approx(
        a.energy.value + (0.232 - 0.0307 - 0.00046 * 2) * a.latency.value, rel=1e-9
    )
    assert a.extrapolated  # two cores lie outside the published rows


def test_the_time_of_a_step_stands_in_the_term_that_binds_it() -> None:
    values = coefficients().corner_values()["central"]
    synops, messages = np.array([0, 5000, 100]), np.array([3, 2, 1000])
    found = binding(values, synops, messages, neurons=50)
    assert found.tolist() == [[1, 0, 0], [0, 5000, 0], [0, 0, 0], [0, 0, 1000]]
    t_0, t_s, t_n, t_m = time_constants(values)
    expected = [max(t_0, t_s * s, t_n * 50, t_m * m) for s, m in zip(synops, messages, strict=True)]
    assert np.array(time_constants(values)) @ found == pytest.approx(expected)
    crowded = binding(values, synops, messages, neurons=4000)
    assert crowded.tolist() == [[0] * 3, [0] * 3, [4000] * 3, [0] * 3]


def test_quantities_of_the_latency_are_what_the_coefficients_multiply(build: SimpleNamespace) -> None:
    program = Loihi2().compile(build.quantised(build.recurrent(n_in=700, n=256, n_out=20)))
    recording = program.run(build.random_spikes(2, n_in=700, steps=200, rate=0.3))
    cost = program.cost(recording)
    terms = {t.name: t for t in cost.latency_terms}
    busy = recording.counts["input"]["loihi2_busy_steps"].mean()
    assert busy > 0
    assert terms["base"].quantity == recording.ticks - busy
    cores = len(program.placement.cores)
    assert (terms["used-cores"].quantity, terms["used-cores"].quantity_unit) == (202 * cores, "core step")
    assert terms["synaptic-ops"].quantity > 0
    assert sum(t.value for t in cost.latency_terms) == pytest.approx(cost.latency.value)
