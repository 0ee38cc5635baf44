"""Cost of the reference: measured on the host, modelled for the Jetson Orin Nano (ENERGY.md §4)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge_reference import Reference
from nirbridge_reference.cost import jetson_model

ROOT = Path(__file__).resolve().parents[2]
GOLDEN = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "spinnaker2"
# latency [ms per batch], total and dynamic energy [mJ per sample] as the model is published in ENERGY.md
ROWS = {
    (256, 1): (25.66440816, 82.050019006484, 23.150202279284002),
    (512, 128): (163.90198895999998, 6.8071503753506555, 3.868438932669406),
    (1024, 64): (163.90198895999998, 15.306980287341311, 9.429557401978812),
}


@pytest.fixture
def run():
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=4)

    def cost(**options):
        program = Reference(**options).compile(graph)
        return program.cost(program.run(data.spikes))

    return cost


@pytest.mark.parametrize("row", ROWS)
def test_jetson_model_gives_the_published_model_rows(row):
    hidden, batch = row
    model = jetson_model(batch, hidden)
    found = (model["latency_s"] * 1e3, model["total_j"] * 1e3, model["dynamic_j"] * 1e3)
    assert found == pytest.approx(ROWS[row], rel=1e-6)


def test_golden_checks_of_the_model():
    path = GOLDEN / "checks.json"
    if not path.exists():
        pytest.skip(f"no golden {path.name}; NIRBRIDGE_GOLDEN names the folder")
    checks = [c for c in json.loads(path.read_text())["checks"] if c["kind"] == "gpu_model"]
    for check in checks:
        model = jetson_model(check["inputs"]["batch"], check["inputs"]["hidden"])
        expected = check["expected"]
        assert model["latency_s"] * 1e3 == pytest.approx(expected["latency_ms"], rel=check["rel_tol"])
        assert model["total_j"] * 1e3 == pytest.approx(expected["energy_total_mj"], rel=check["rel_tol"])
        assert model["dynamic_j"] * 1e3 == pytest.approx(expected["energy_dynamic_mj"], rel=check["rel_tol"])
        edp = model["latency_s"] * model["total_j"] * 1e6
        assert edp == pytest.approx(expected["edp_uj_s"], rel=check["rel_tol"])
    assert checks


def test_host_latency_is_measured_and_its_energy_unknown(run):
    cost = run()
    assert cost.energy is None
    assert cost.energy_terms[0].value is None
    assert cost.latency.basis == "measured"
    assert 0 < cost.latency.low <= cost.latency.value <= cost.latency.high


def test_jetson_cost_scales_with_steps_and_says_what_it_is(run):
    cost = run(device="jetson-orin-nano", batch=1)
    model = jetson_model(1, 24)
    assert cost.latency.value == pytest.approx(model["latency_s"] * 60 / 1000)
    assert cost.energy.value == pytest.approx(model["total_j"] * 60 / 1000)
    assert (cost.latency.per, cost.energy.per, cost.scope) == ("batch", "sample", "board")
    assert cost.extrapolated  # 24 hidden neurons lie outside the published rows
    assert cost.energy.basis == "fitted"
    assert len(cost.residuals) == 18
    assert max(abs(r.error_pct) for r in cost.residuals if r.quantity == "latency_s") == pytest.approx(
        8.5, abs=0.2
    )


def test_interval_is_the_band_of_the_leave_one_out_fits(run):
    cost = run(device="jetson-orin-nano", batch=1)
    assert cost.latency.high / cost.latency.value == pytest.approx(1.124)
    assert cost.energy.low / cost.energy.value == pytest.approx(1 - 0.111)


def test_jetson_quantities_are_per_sample_in_energy_and_per_batch_in_time(run):
    cost = run(device="jetson-orin-nano", batch=4)
    found = {t.name: t.quantity for t in (*cost.latency_terms, *cost.energy_terms)}
    expected = {"launch-floor": 0.06, "work": 4 * 24 * 0.06, "base": cost.latency.value / 4}
    expected |= {"neuron-updates": 24 * 0.06, "synaptic-ops": 24**2 * 0.06}
    assert {name: found[name] for name in expected} == pytest.approx(expected)
    model = jetson_model(4, 24)
    assert cost.energy.value == pytest.approx(model["total_j"] * 0.06)
    assert cost.energy.source.startswith("base: Shoesmith")
