"""The published energy table: GPU model, residuals, fits that leave a row out (ENERGY.md §3, §4)."""

from __future__ import annotations

import json
import os
from itertools import combinations
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from numpy.typing import NDArray

from nirbridge_reference.cost import jetson_model

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "spinnaker2"
ROWS = [row for path in SHARED.glob("energy_table.json") for row in json.loads(path.read_text())["rows"]]
GPU = [row for row in ROWS if "model" in row]
STATIC_W = 2.295
PUBLISHED = {
    "latency": "latency_ms_per_batch",
    "energy_total": "energy_total_mj_per_sample",
    "energy_dynamic": "energy_dynamic_mj_per_sample",
    "edp": "edp_recomputed_uj_s",
}


def _id(row: dict[str, Any]) -> str:
    return f"spinnaker2-energy-table-{row['device']}-{row['hidden']}-b{row['batch']}"


def figures(latency_ms: float, dynamic_mj_batch: float, batch: int) -> dict[str, float]:
    """Latency [ms per batch], energies [mJ per sample] and EDP [µJ·s] of a model."""
    total = (dynamic_mj_batch + STATIC_W * latency_ms) / batch
    return {
        "latency": latency_ms,
        "energy_total": total,
        "energy_dynamic": dynamic_mj_batch / batch,
        "edp": total * latency_ms,
    }


def nonnegative(a: NDArray[np.float64], y: NDArray[np.float64]) -> NDArray[np.float64]:
    """x ≥ 0 that minimises |a·x/y − 1|²: the best of the unconstrained fits of all sets of columns."""
    scaled, best, least = a / y[:, None], np.zeros(a.shape[1]), float(len(y))
    for n in range(1, a.shape[1] + 1):
        for columns in combinations(range(a.shape[1]), n):
            x = np.zeros(a.shape[1])
            x[list(columns)] = np.linalg.lstsq(scaled[:, columns], np.ones(len(y)), rcond=None)[0]
            error = float(((scaled @ x - 1) ** 2).sum())
            if (x >= 0).all() and error < least:
                best, least = x, error
    return best


def without(left_out: dict[str, Any]) -> dict[str, float]:
    """The row's figures by a fit to the other rows."""
    rows = [row for row in GPU if row is not left_out]
    latency = np.array([row["latency_ms_per_batch"] for row in rows])
    work = np.array([row["batch"] * row["hidden"] for row in rows], float)
    square = np.array([row["batch"] * row["hidden"] ** 2 for row in rows], float)
    dynamic = np.array([row["energy_dynamic_mj_per_sample"] * row["batch"] for row in rows])
    a = nonnegative(np.stack([np.ones(len(rows)), work], axis=1), latency)
    e = nonnegative(np.stack([latency, work, square], axis=1), dynamic)
    batch, hidden = left_out["batch"], left_out["hidden"]
    found = a @ [1.0, batch * hidden]
    return figures(found, float(e @ [found, batch * hidden, batch * hidden**2]), batch)


@pytest.mark.parametrize("row", GPU, ids=_id)
def test_model_and_residuals(row: dict[str, Any]) -> None:
    model = jetson_model(row["batch"], row["hidden"])
    found = figures(1e3 * model["latency_s"], 1e3 * model["dynamic_j"] * row["batch"], row["batch"])
    names = {
        "latency_ms": "latency",
        "energy_total_mj": "energy_total",
        "energy_dynamic_mj": "energy_dynamic",
    }
    for key, name in (*names.items(), ("edp_uj_s", "edp")):
        assert found[name] == pytest.approx(row["model"][key], abs=1e-4)
    assert 1e3 * model["total_j"] == pytest.approx(row["model"]["energy_total_mj"], abs=1e-4)
    for name, published in PUBLISHED.items():
        error = 100 * (found[name] / row[published] - 1)
        assert error == pytest.approx(row["residual_pct"][name], abs=0.01), name


@pytest.mark.parametrize("row", GPU, ids=_id)
def test_each_row_predicted_without_it(row: dict[str, Any]) -> None:
    found = without(row)
    for name, published in PUBLISHED.items():
        error = 100 * (found[name] / row[published] - 1)
        assert error == pytest.approx(row["leave_one_out_pct"][name], abs=0.05), name


@pytest.mark.parametrize("row", ROWS, ids=_id)
def test_products_and_static_power(row: dict[str, Any]) -> None:
    latency, energy = row["latency_ms_per_batch"], row["energy_total_mj_per_sample"]
    assert energy * latency == pytest.approx(row["edp_recomputed_uj_s"], rel=1e-4)
    static = (energy - row["energy_dynamic_mj_per_sample"]) * row["batch"] / latency
    assert static == pytest.approx(row["static_power_w"], abs=1e-4)
