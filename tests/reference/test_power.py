"""Energy of the host and of a GPU from their counters: made ones, their wrap, what is said without them."""

from __future__ import annotations

import dataclasses

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge_reference import Reference, cuda_power, power
from nirbridge_reference.cuda_cost import gpu_cost
from nirbridge_reference.cuda_power import gpu_meter
from nirbridge_reference.power import Energy, package_meter, packages

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
    found, reason = packages(tmp_path)
    assert [c.path.name for c in found] == ["intel-rapl:0", "intel-rapl:1"] and reason == ""


def test_energy_of_a_run_over_two_packages_one_of_which_wraps(tmp_path, quick):
    a = zone(tmp_path, "intel-rapl:0", "package-0", 400_000)
    b = zone(tmp_path, "intel-rapl:1", "package-1", 900_000)
    meter = package_meter(tmp_path)
    before = meter.start()
    a.write_text("650000")
    b.write_text("100000")
    meter.stop(before, 2.0)
    energy = meter.energy(2.0)
    assert isinstance(energy, Energy)
    assert energy.joules == pytest.approx(0.25 + 0.2)
    assert "2 processor package" in energy.counted


def test_several_runs_add_and_a_foreign_recording_is_refused(tmp_path, quick):
    a = zone(tmp_path, "intel-rapl:0", "package-0")
    meter = package_meter(tmp_path)
    for total in (100_000, 300_000, 600_000):
        before = meter.start()
        a.write_text(str(total))
        meter.stop(before, 0.25)
    assert meter.energy(0.5).joules == pytest.approx(0.5)
    assert meter.energy(0.75).joules == pytest.approx(0.6)
    assert "not of the runs" in meter.energy(0.6)
    assert "100 ms" in meter.energy(0.05)


def test_a_counter_without_permission_or_that_stops_being_readable_says_so(tmp_path, quick, monkeypatch):
    zone(tmp_path, "intel-rapl:0", "package-0")
    file = zone(tmp_path, "intel-rapl:1", "package-1")
    meter = package_meter(tmp_path)
    before = meter.start()
    read_text = type(file).read_text

    def denied(self, *arguments):
        if self == file:
            raise PermissionError(13, "Permission denied")
        return read_text(self, *arguments)

    monkeypatch.setattr(type(file), "read_text", denied)
    meter.stop(before, 2.0)
    assert meter.energy(2.0) == "a power counter could no longer be read (PermissionError)"
    found, reason = packages(tmp_path)
    assert found == [] and "intel-rapl:1/energy_uj is not readable (PermissionError)" in reason


def test_a_counter_that_cannot_be_read_says_so(tmp_path):
    zone(tmp_path, "intel-rapl:0", "package-0").unlink()
    found, reason = packages(tmp_path)
    assert not found and "not readable" in reason
    assert "no power counter" in packages(tmp_path / "nothing")[1]


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
    known = Energy(6.0, wall, (0.5 / wall, 0.4 / wall, 0.7 / wall), "a counter")
    monkeypatch.setattr(program._meter, "energy", lambda seconds: known if seconds == wall else "other")
    cost = program.cost(recording)
    idle, run = cost.energy_terms
    assert (idle.kind, run.kind) == ("static", "dynamic")
    assert idle.value * 4 == pytest.approx(0.5) and run.value * 4 == pytest.approx(5.5)
    assert (run.low * 4, run.high * 4) == (pytest.approx(5.3), pytest.approx(5.6))
    assert cost.energy.value * 4 == pytest.approx(6.0)
    assert {cost.energy.basis, idle.basis, run.basis} == {"measured"}


class Nvml:
    """NVML of one GPU, as ctypes would call it: 300 J a read; ``code`` is what the counter returns."""

    def __init__(self, code=0):
        self.code, self.asked, self.millijoules = code, b"", 0

    def nvmlInit_v2(self):
        return 0

    def nvmlDeviceGetHandleByPciBusId_v2(self, address, handle):
        self.asked, handle._obj.value = address, 77
        return 0

    def nvmlDeviceGetTotalEnergyConsumption(self, handle, found):
        assert handle.value == 77
        self.millijoules += 300_000
        found._obj.value = self.millijoules
        return self.code


class Device:
    def get_device_identity(self):
        return {"pci_domain_id": 0, "pci_bus_id": 0x3B, "pci_device_id": 0}


@pytest.fixture
def recording():
    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=4)
    found = Reference(threads=1).compile(graph).run(data.spikes)
    return dataclasses.replace(found, wall_s=2.0)


def test_energy_of_a_gpu_is_that_of_its_own_counter(monkeypatch, recording):
    monkeypatch.setattr(cuda_power, "IDLE_S", 0.01)
    library = Nvml()
    meter = gpu_meter(Device(), library)
    assert library.asked == b"00000000:3b:00.0"
    before = meter.start()
    meter.stop(before, 2.0)
    assert "100" in meter.energy(0.5) and "1000 ms" in meter.energy(0.5)
    energy = meter.energy(2.0)
    assert energy.joules == pytest.approx(300) and energy.seconds == 2.0
    cost = gpu_cost(recording, "a GPU", 128, energy)
    assert cost.energy.value == pytest.approx(300 / 4) and cost.energy.per == "sample"
    assert cost.energy.basis == cost.latency.basis == "measured"
    assert (cost.latency.value, cost.latency.per, cost.scope) == (2.0, "batch", "board")
    assert [term.name for term in cost.energy_terms] == ["idle", "run"]
    assert "00000000:3b:00.0" in cost.energy.source and "without the host" in cost.notes[1]


@pytest.mark.parametrize(
    ("device", "library", "words"),
    [
        (Device(), Nvml(code=3), "nvmlDeviceGetTotalEnergyConsumption says not supported by this GPU"),
        (Device(), Nvml(code=4), "no permission"),
        (Device(), Nvml(code=999), "error 999"),
        (Device(), object(), "nvmlInit_v2"),
        (object(), None, "simulator"),
    ],
)
def test_without_a_counter_of_the_gpu_the_latency_alone_is_stated(recording, device, library, words):
    meter = gpu_meter(device, library)
    meter.stop(meter.start(), 2.0)
    cost = gpu_cost(recording, "a GPU", 128, meter.energy(2.0))
    assert cost.energy is None and cost.latency.value == 2.0
    (term,) = cost.energy_terms
    assert term.value is None and "no energy counter of the GPU" in term.source and words in term.source
