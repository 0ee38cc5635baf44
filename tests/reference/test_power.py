"""Energy of the host from power counters: a made tree of counters, their wrap, what is said without them."""

from __future__ import annotations

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge_reference import Reference, power
from nirbridge_reference.power import Energy, Meter, counters

RANGE = 1_000_000


def zone(root, name, label, energy=0):
    folder = root / name
    folder.mkdir(parents=True)
    (folder / "name").write_text(f"{label}\n")
    (folder / "energy_uj").write_text(f"{energy}\n")
    (folder / "max_energy_range_uj").write_text(f"{RANGE}\n")
    return folder / "energy_uj"


@pytest.fixture
def quick(monkeypatch):
    """Idle windows without waiting, during which no energy is counted."""
    monkeypatch.setattr(power, "IDLE_S", 0.0)


def test_packages_are_counted_and_their_parts_are_not(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0")
    zone(tmp_path, "intel-rapl:1", "package-1")
    zone(tmp_path, "intel-rapl:2", "psys")
    zone(tmp_path, "intel-rapl:0:0", "core")
    found, reason = counters(tmp_path)
    assert [c.path.name for c in found] == ["intel-rapl:0", "intel-rapl:1"] and reason == ""


def test_energy_of_a_run_over_two_packages_one_of_which_wraps(tmp_path, quick):
    a = zone(tmp_path, "intel-rapl:0", "package-0", 400_000)
    b = zone(tmp_path, "intel-rapl:1", "package-1", 900_000)
    meter = Meter(tmp_path)
    before = meter.start()
    a.write_text("650000")
    b.write_text("100000")
    meter.stop(before, 2.0)
    energy = meter.energy(2.0)
    assert isinstance(energy, Energy)
    assert energy.joules == pytest.approx(0.25 + 0.2)
    assert energy.packages == 2


def test_several_runs_add_and_a_foreign_recording_is_refused(tmp_path, quick):
    a = zone(tmp_path, "intel-rapl:0", "package-0")
    meter = Meter(tmp_path)
    for total in (100_000, 300_000, 600_000):
        before = meter.start()
        a.write_text(str(total))
        meter.stop(before, 0.25)
    assert meter.energy(0.5).joules == pytest.approx(0.5)
    assert meter.energy(0.75).joules == pytest.approx(0.6)
    assert "not of the runs" in meter.energy(0.6)
    assert "100 ms" in meter.energy(0.05)


def test_a_counter_that_cannot_be_read_says_so(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0").unlink()
    found, reason = counters(tmp_path)
    assert not found and "not readable" in reason
    assert "no power counter" in counters(tmp_path / "nothing")[1]


@pytest.mark.parametrize("counted", [True, False])
def test_cost_keeps_idle_as_its_own_term_or_says_why_energy_is_unknown(tmp_path, monkeypatch, quick, counted):
    monkeypatch.setattr(power, "POWERCAP", tmp_path)
    monkeypatch.setattr(power, "SHORTEST_S", 0.0)
    if counted:
        zone(tmp_path, "intel-rapl:0", "package-0")
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=4)
    program = Reference(threads=1).compile(graph)
    recording = program.run(data.spikes)
    if not counted:
        cost = program.cost(recording)
        assert cost.energy is None and "no power counter" in cost.energy_terms[0].source
        assert cost.latency.basis == "measured" and cost.latency.value > 0
        return
    wall = recording.wall_s
    known = Energy(6.0, wall, (0.5 / wall, 0.4 / wall, 0.7 / wall), 1)
    monkeypatch.setattr(program._meter, "energy", lambda seconds: known if seconds == wall else "other")
    cost = program.cost(recording)
    idle, run = cost.energy_terms
    assert (idle.kind, run.kind) == ("static", "dynamic")
    assert idle.value * 4 == pytest.approx(0.5) and run.value * 4 == pytest.approx(5.5)
    assert (run.low * 4, run.high * 4) == (pytest.approx(5.3), pytest.approx(5.6))
    assert cost.energy.value * 4 == pytest.approx(6.0)
    assert {cost.energy.basis, idle.basis, run.basis} == {"measured"}
