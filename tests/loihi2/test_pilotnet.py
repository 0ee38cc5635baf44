"""PilotNet against a real chip: compiler logs, activity counters, step time, energy (LOIHI2.md §4 to §6)."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from dataclasses import replace
from functools import cache
from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge_loihi2.cost import residuals
from nirbridge_loihi2.mapping import Partition, demands, partition, place
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.pilotnet import Measured, measure, run

ROOT = Path(os.environ.get("NIRBRIDGE_GOLDEN") or Path(__file__).parents[2].parent / "shared" / "golden")
FOLDER = ROOT / "loihi2"
pytestmark = pytest.mark.skipif(
    not (FOLDER / "pilotnet.net").is_file(), reason=f"no pilotnet.net in {FOLDER}; set NIRBRIDGE_GOLDEN"
)
SDNN_BITS = {"conv1": 6, "conv2": 5, "conv3": 4, "conv4": 5, "conv5": 4,
             "dense1": 4, "dense2": 6, "dense3": 5, "dense4": 4}  # fmt: skip


@cache
def published() -> dict[str, Any]:
    found: dict[str, Any] = json.loads((FOLDER / "pilotnet.json").read_text())
    return found


@cache
def arrays() -> dict[str, np.ndarray]:
    with np.load(FOLDER / "pilotnet.npz", allow_pickle=False) as file:
        return {key: file[key] for key in file.files}


@cache
def measured() -> Measured:
    return measure(run(FOLDER / "pilotnet.net", steps=128))


def parts() -> dict[str, Partition]:
    network = read_net(FOLDER / "pilotnet.net", reset_interval=16, reset_offset=3).network
    found = [partition(demand) for demand in demands(network)]
    return dict(zip(published()["layers"], found, strict=True))


def rows() -> Iterator[tuple[str, str, list[int]]]:
    for name, text, *numbers in published()["published"]["mapping"]["rows"]:
        yield name, text, numbers


def test_every_row_of_the_lif_log() -> None:
    found = parts()
    placement = place(list(found.values()))
    for name, text, (axons, neurons, units, axon_map, _, cores) in rows():
        part = found[name]
        here = [core for core in placement.cores if core.node == part.demand.name]

        def mean(key: str, here: Any = here) -> float:
            return float(np.mean([core.detail[key] for core in here]))

        assert len(here) == part.cores == cores
        assert mean("axons_in") == axons
        assert int(mean("synmem_units")) == units
        assert int(mean("axon_map_real")) == axon_map
        if part.columns:
            channels, height, _ = part.demand.shape or (0, 0, 0)
            assert f"{part.columns}x{height}x{channels}" in text
            assert part.per_core == neurons
        else:
            assert part.demand.size // part.cores == neurons
        first, last = published()["core_ids"][name]
        assert [here[0].index, here[-1].index] == [first, last]
    assert len(placement.cores) == published()["published"]["mapping"]["total_cores"] == 74
    assert placement.fits


def test_every_row_of_the_sigma_delta_log() -> None:
    wanted = published()["published"]["mapping_sdnn"]
    logged = {name: numbers[-1] for name, _, numbers in rows()}
    found = {
        name: partition(replace(part.demand, bits=SDNN_BITS[name]))
        for name, part in parts().items()
        if name in SDNN_BITS
    }
    placement = place(list(found.values()))
    for name, part in found.items():
        here = [c for c in placement.cores if c.node == part.demand.name]
        assert len(here) == logged[name]
        assert int(np.mean([c.detail["synmem_units"] for c in here])) == wanted["synmem_units"][name]
    assert len(placement.cores) == wanted["total_cores"] == 61


def test_dummy_columns() -> None:
    found = parts()
    assert {name: part.dummies for name, part in found.items() if part.dummies} == {
        "input": 8 * 66 * 3, "conv1": 32 * 24, "conv2": 3 * 15 * 36, "conv4": 2 * 4 * 64,
        "conv5": 12 * 2 * 64,
    }  # fmt: skip
    expected = published()["expected"]
    assert sum(part.demand.size for part in found.values()) == expected["neurons"]
    assert measured().neurons == expected["neurons_with_dummy"]


def test_synaptic_operations_of_the_cores_against_the_chips_counters() -> None:
    mean = measured().core_synops[64:128].mean(axis=0)
    ours = 10_000 * mean[arrays()["chip_core"]]
    np.testing.assert_allclose(ours, arrays()["chip_core_synops"], rtol=0.01)
    assert mean.sum() == pytest.approx(published()["expected"]["synops_per_step_with_dummy_columns"], abs=0.1)


def test_time_of_a_step_follows_one_core() -> None:
    """The chip's steps 5 to 127 take 1.0206 ns a synaptic operation of a conv3 core, within 3.5 %."""
    model = 1.0206e-3 * measured().core_synops[4:127, 20]
    np.testing.assert_allclose(model, arrays()["chip_time_us"][4:127], rtol=0.035)


def test_mean_step_and_energy_lie_inside_the_intervals() -> None:
    found, wanted = measured(), published()["published"]
    assert found.latency.low <= 1e-6 * wanted["mean_step_us"] <= found.latency.high
    assert found.latency.value == pytest.approx(1e-6 * wanted["mean_step_us"], rel=0.01)
    dynamic = wanted["dynamic_power_w"] * wanted["mean_step_us"] * 1e-6
    assert found.dynamic.low <= dynamic <= found.dynamic.high
    assert found.dynamic.value == pytest.approx(68.3e-6, rel=0.1)


def test_the_phases_are_printed_as_they_are() -> None:
    """The model is known to miss them by −13, +29, −12 and +11 %; they are held out of the fit."""
    found = {r.row: r for r in residuals() if r.row.startswith("pilotnet-phase")}
    assert {row: round(r.error_pct) for row, r in found.items()} == {
        "pilotnet-phase-1": -13, "pilotnet-phase-2": 29, "pilotnet-phase-3": -12, "pilotnet-phase-0": 11,
    }  # fmt: skip
    assert {r.role for r in found.values()} == {"consistency"}
    for row, seconds in measured().phases.items():
        assert 1e-3 * found[f"pilotnet-phase-{row}"].model == pytest.approx(seconds, rel=1e-3)


def command(capsys: pytest.CaptureFixture[str], *arguments: str) -> dict[str, Any]:
    """What an ordinary command prints as JSON."""
    from nirbridge.cli import main

    capsys.readouterr()
    assert main([*arguments, "--json"]) == 0
    found: dict[str, Any] = json.loads(capsys.readouterr().out)
    return found


def test_the_command_map_places_the_file_as_the_compiler_did(capsys: pytest.CaptureFixture[str]) -> None:
    found = command(capsys, "map", str(FOLDER / "pilotnet.net"), "--target", "loihi2")
    assert found["used"] == 74
    by_node: dict[str, list[dict[str, Any]]] = {}
    for core in found["cores"]:
        by_node.setdefault(core["node"], []).append(core)
    for (name, _, (axons, _, units, axon_map, _, cores)), node in zip(
        rows(), (f"layer{k}" for k in range(1, 11)), strict=True
    ):
        here = by_node[node]
        assert len(here) == cores
        assert [here[0]["index"], here[-1]["index"]] == published()["core_ids"][name]
        for key, wanted in (("axons_in", axons), ("synmem_units", units), ("axon_map_real", axon_map)):
            assert int(np.mean([core["detail"][key] for core in here])) == wanted


def test_the_command_run_gives_the_chips_counters_time_and_energy(capsys: pytest.CaptureFixture[str]) -> None:
    """Without input, by the ordinary cost: counters within 1 %, step time and energy in their intervals."""
    steps, wanted = 800, published()["published"]
    target = "loihi2:reset_interval=16,reset_offset=3"
    found = command(
        capsys, "run", str(FOLDER / "pilotnet.net"), "--target", target, "--steps", str(steps), "--profile"
    )
    counts = {key: value for node in found["counts"].values() for key, value in node.items()}
    ours = [10_000 / steps * counts[f"loihi2_core_synops_{core}"] for core in arrays()["chip_core"]]
    np.testing.assert_allclose(ours, arrays()["chip_core_synops"], rtol=0.01)
    latency, terms = found["cost"]["latency"], found["cost"]["energy_terms"]
    assert latency["low"] <= 1e-6 * wanted["mean_step_us"] * steps <= latency["high"]
    assert latency["value"] / steps == pytest.approx(1e-6 * wanted["mean_step_us"], rel=0.02)
    own = [term for term in terms if term["kind"] == "dynamic"]
    dynamic = {key: sum(term[key] for term in own) / steps for key in ("low", "value", "high")}
    assert dynamic["low"] <= wanted["dynamic_power_w"] * wanted["mean_step_us"] * 1e-6 <= dynamic["high"]
    assert dynamic["value"] == pytest.approx(68.3e-6, rel=0.1)
    phases = {r["row"]: round(r["error_pct"]) for r in found["cost"]["residuals"] if "phase" in r["row"]}
    assert sorted(phases.values()) == [-13, -12, 11, 29]
