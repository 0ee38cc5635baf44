"""Cost of the reference: measured on the host, modelled for the Jetson Orin Nano (ENERGY.md §4)."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.cli import main
from nirbridge.io import write_dataset, write_graph
from nirbridge_reference import Reference, power
from nirbridge_reference.cost import coefficients, jetson_model

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


# the published table: total and dynamic energy [mJ per sample], latency [ms per batch], energy-delay product
# [µJ·s]; then model/published − 1 in percent as ENERGY.md §4 states it: latency, total, dynamic, product
PUBLISHED = {
    "256-b1": ((82.3, 23.8, 25.5, 2102.0), (0.6, -0.3, -2.7, 0.3)),
    "512-b1": ((85.0, 25.3, 26.0, 2214.8), (0.8, 0.4, -0.3, 1.2)),
    "1024-b1": ((92.0, 29.1, 27.4, 2522.5), (-0.4, 1.3, 5.2, 0.9)),
    "256-b128": ((3.7, 1.9, 103.3, 384.6), (-8.5, -5.4, -4.9, -13.4)),
    "512-b128": ((6.5, 3.7, 156.4, 1018.2), (4.8, 4.7, 4.6, 9.7)),
    "1024-b64": ((15.5, 9.7, 161.2, 2506.6), (1.7, -1.2, -2.8, 0.4)),
}


@pytest.mark.parametrize("row", PUBLISHED)
def test_residuals_of_every_published_row_are_in_the_cost(run, row):
    cost = run(device="jetson-orin-nano", batch=1)
    found = {r.quantity: r for r in cost.residuals if r.row.startswith(f"{row}-")}
    (total, dynamic, latency, product), errors = PUBLISHED[row]
    middle = {"latency_s": latency, "total_j": total, "dynamic_j": dynamic, "edp_js": total * latency}
    assert set(found) == set(middle)
    for (name, value), error in zip(middle.items(), errors, strict=True):
        item = found[name]
        assert sum(item.published) / 2 == pytest.approx(value, rel=2e-4)
        assert item.error_pct == pytest.approx(error, abs=0.051), name
        assert item.role == "calibration" and "2503.04341" in item.source
    # the column of the product was made from unrounded figures
    low, high = found["edp_js"].published
    assert low <= product <= high


def test_the_bands_of_the_fits_are_in_the_cost_with_basis_and_source(run):
    cost = run(device="jetson-orin-nano", batch=1)
    found = {band.quantity: band.error_pct for band in cost.bands}
    assert found == {"latency": 12.4, "total": 11.1, "dynamic": 21.1, "edp": 24.0}
    assert {band.basis for band in cost.bands} == {"fitted"}
    assert all("2503.04341" in band.source for band in cost.bands)
    assert [band["quantity"] for band in cost.as_dict()["bands"]] == list(found)
    for fit in coefficients().fits:  # no row in the fit is further off than the band says
        assert max(map(abs, fit.residual_pct)) <= max(fit.leave_one_out_band_pct)


def test_a_run_prints_the_bands_and_why_an_energy_is_unknown(tmp_path, capsys, monkeypatch):
    monkeypatch.setattr(power, "POWERCAP", tmp_path / "nothing")
    write_graph(tmp_path / "n.nir", conformance.example_graph(np.random.default_rng(5)))
    data = conformance.example_data(np.random.default_rng(6), samples=2)
    write_dataset(tmp_path / "d.npz", data)
    command = ["run", str(tmp_path / "n.nir"), "--data", str(tmp_path / "d.npz"), "--target"]
    assert main([*command, "reference:device=jetson-orin-nano,batch=1"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "latency ±12.4 %, total ±11.1 %, dynamic ±21.1 %, edp ±24 %; fitted: largest error of 6" in shown
    assert main([*command, "reference"]) == 0
    shown = " ".join(capsys.readouterr().out.split())
    assert "energy unknown: no power counter of a processor package" in shown


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
