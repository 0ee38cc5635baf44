"""Placement against the figures of LOIHI2.md §4: two compiler logs and the published row sizes."""

from __future__ import annotations

import json
import os
import re
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest

from nirbridge_loihi2 import Loihi2
from nirbridge_loihi2.fit import fit_findings
from nirbridge_loihi2.mapping import CHIPS, CORES_PER_CHIP, Demand, partition, place
from nirbridge_loihi2.partition import SYNMEM_UNITS, core_memory
from nirbridge_loihi2.weights import import_rule, stored

ROOT = Path(os.environ.get("NIRBRIDGE_GOLDEN", Path(__file__).parents[2].parent / "shared" / "golden"))
PILOTNET = ROOT / "loihi2" / "pilotnet.json"


@pytest.mark.parametrize(
    ("hidden", "split", "cores"),
    [(256, "logged", 8), (512, "logged", 35), (1024, "logged", 95),
     (256, "packed", 8), (512, "packed", 20), (1024, "packed", 58)],
)  # fmt: skip
def test_cores_of_the_keyword_rows(hidden: int, split: str, cores: int) -> None:
    layers = [
        Demand(name="hidden", size=hidden, axons=700 + hidden, bits=8),
        Demand(name="output", size=20, axons=hidden, bits=8),
    ]
    parts = [partition(d, split) for d in layers]  # type: ignore[arg-type]
    assert sum(p.cores for p in parts) == cores
    placement = place(parts)
    assert placement.fits
    assert len(placement.cores) == cores
    assert placement.cores[0].node == "output"
    assert sum(core.neurons for core in placement.cores) == hidden + 20


def test_dense_layers_of_the_compiler_log() -> None:
    """dense1 … dense4 of PilotNet: 12, 1, 1, 1 cores, units as logged, dense1 split as logged."""
    if not PILOTNET.is_file():
        pytest.skip(f"no {PILOTNET}; set NIRBRIDGE_GOLDEN")
    published = json.loads(PILOTNET.read_text())["published"]
    rows = {row[0]: row for row in published["mapping"]["rows"]}
    bits = {"dense1": 3, "dense2": 4, "dense3": 5, "dense4": 6}
    for name, (axons, size) in {"dense1": (2560, 100), "dense2": (100, 50), "dense3": (50, 10),
                                "dense4": (10, 1)}.items():  # fmt: skip
        part = partition(Demand(name=name, size=size, axons=axons, bits=bits[name]))
        assert part.cores == rows[name][7]
        units = [part.demand.units(part.neurons(k)) for k in range(part.cores) if part.neurons(k)]
        mean = sum(units + [0] * (part.cores - len(units))) / part.cores
        assert round(mean) == rows[name][4]
    first = Demand(name="dense1", size=100, axons=2560, bits=3)
    assert [first.units(100), first.units(17)] == published["mapping"]["violations_units"]
    assert partition(first, "packed").cores == 7
    sdnn = published["mapping_sdnn"]["synmem_units"]
    assert Demand(name="dense2", size=50, axons=100, bits=6).units(50) == sdnn["dense2"]
    assert Demand(name="dense1", size=100, axons=2560, bits=4).units(100) == 66560  # as its log says


def test_core_memory_of_dense_cores_against_the_chip() -> None:
    arrays = ROOT / "loihi2" / "pilotnet.npz"
    if not arrays.is_file():
        pytest.skip(f"no {arrays}; set NIRBRIDGE_GOLDEN")
    with np.load(arrays, allow_pickle=False) as file:
        chip = file["chip_core_memory"]
    parts = [
        partition(Demand(name=f"dense{k + 1}", size=size, axons=axons, bits=bits))
        for k, (axons, size, bits) in enumerate([(2560, 100, 3), (100, 50, 4), (50, 10, 5), (10, 1, 6)])
    ]
    ours = [core.memory for core in place(parts).cores]
    np.testing.assert_allclose(ours, chip[: len(ours)], atol=0.0045)


def test_import_rule_and_stored_weights() -> None:
    int8 = np.array([[-128, 127, 3]])
    assert import_rule(int8).bits == 8
    assert import_rule(int8).exponent == -1
    assert import_rule(np.zeros((2, 2), int)).bits == 8
    assert import_rule(np.array([[129, -3]])).bits == 9
    assert stored(np.array([[-300, 300, 7]])).tolist() == [[-256, 254, 6]]
    assert stored(np.array([[-300, -7]])).tolist() == [[-255, -7]]
    assert stored(np.array([[300, 7]]), bits=4).tolist() == [[240, 0]]


def test_limits_name_headroom_and_basis(build: SimpleNamespace) -> None:
    placement = Loihi2().compile(build.quantised(build.recurrent())).placement
    limits = {limit.name: limit for limit in placement.limits}
    assert limits["cores"].used == 2
    assert limits["cores"].limit == 120
    assert all(limit.headroom is not None and limit.basis for limit in placement.limits)
    detail = placement.cores[1].detail
    assert detail["axons_in"] == 52
    assert detail["synmem_units"] == 52 * -(-(20 + 32 * 20) // 64)


def test_several_chips_are_filled_evenly() -> None:
    demand = Demand(name="a", size=6000, axons=1000, bits=8)
    part = partition(demand, "packed")
    placement = place([part], "kapoho-point")
    by_chip: dict[float, int] = {}
    for core in placement.cores:
        by_chip[core.detail["chip"]] = by_chip.get(core.detail["chip"], 0) + 1
    assert len(by_chip) == -(-part.cores // CORES_PER_CHIP) > 1
    assert max(by_chip.values()) - min(by_chip.values()) <= 1
    neurons = [core.neurons for core in placement.cores]
    assert max(neurons) - min(neurons[:-1]) == 0
    assert placement.fits


def test_what_does_not_fit_says_by_how_much_and_what_would() -> None:
    parts = [partition(Demand(name="hidden", size=2600, axons=2000, bits=8))]
    (over,) = fit_findings(parts, place(parts), Loihi2())
    excess = parts[0].cores - CORES_PER_CHIP
    assert f"cores: {parts[0].cores} used, {excess} above the limit of 120 cores" in over.message
    assert over.fix is not None
    packed = partition(parts[0].demand, "packed").cores
    assert f"loihi2:split=packed takes {packed} cores, which is still too much" in over.fix
    assert "loihi2:board=kapoho-point has 960 cores" in over.fix
    assert "layer 'hidden'" in over.fix
    assert fit_findings(parts, place(parts, "kapoho-point"), Loihi2(board="kapoho-point")) == []
    assert CHIPS == {"oheo-gulch": 1, "kapoho-point": 8, "hala-point": 1152}


def test_a_column_that_does_not_fit_a_core() -> None:
    tall = Demand(name="tall", size=64 * 70 * 10, axons=0, bits=8, shape=(64, 70, 10))
    parts = [partition(tall)]
    (over,) = fit_findings(parts, place(parts), Loihi2())
    assert over.code == "NB603"
    assert "neurons a core: 4,480 used, 385 above the limit of 4,095" in over.message


def test_every_option_that_is_offered_is_enough() -> None:
    few = Loihi2(neurons_per_core=2)
    demand = Demand(name="hidden", size=256, axons=956, bits=8)
    parts = [partition(demand, few.split, few.neurons_per_core)]
    (over,) = fit_findings(parts, place(parts), few)
    assert over.fix is not None and "packed" not in over.fix
    assert f"loihi2:neurons_per_core=4095 takes {partition(demand).cores} cores, which fits" in over.fix
    wide = Demand(name="hidden", size=1024, axons=1724, bits=8)
    parts = [partition(replace(wide, size=1400))]
    (over,) = fit_findings(parts, place(parts), Loihi2())
    bits = int(re.findall(r"weights of (\d) bits", str(over.fix))[0])
    assert partition(replace(wide, size=1400, bits=bits)).cores <= CORES_PER_CHIP
    assert partition(replace(wide, size=1400, bits=bits + 1)).cores > CORES_PER_CHIP


@pytest.mark.parametrize("extra", [{}, {"delays": True, "max_delay": 62}])
def test_too_many_sources_for_one_neuron_say_how_many_fit(extra: dict[str, Any]) -> None:
    demand = Demand(name="h", size=3, axons=20_000, bits=8, **extra)
    found = fit_findings([partition(demand)], place([partition(demand)]), Loihi2())
    assert {over.code for over in found} == {"NB602", "NB604"}
    most = int(str(found[0].fix).split("at most ")[1].split()[0].replace(",", ""))
    for axons, fits in ((most, True), (most + 1, False)):
        parts = [partition(replace(demand, axons=axons))]
        assert (fit_findings(parts, place(parts), Loihi2()) == []) is fits


def test_a_delay_line_that_is_too_wide_says_how_many_sources_fit() -> None:
    """Rows of five synapses a target: half of the sources as now, then as many as are named."""
    demand = Demand(name="h", size=3, axons=6000, bits=8, delays=True, max_delay=60, lines=((5600, 5),))
    assert demand.units(1) == 5600 * -(-(20 + 5 * 26) // 64) + 400
    found = fit_findings([partition(demand)], place([partition(demand)]), Loihi2())
    most = int(str(found[0].fix).split("at most ")[1].split()[0].replace(",", ""))
    assert 3000 < most < 6000
    for axons, fits in ((most, True), (most + 2, False)):
        few = replace(demand, axons=axons, lines=((5600 * axons // 6000, 5),))
        parts = [partition(few)]
        assert (fit_findings(parts, place(parts), Loihi2()) == []) is fits


def test_delay_buffers_count_when_a_layer_is_cut() -> None:
    """A layer whose synapses fit one core, but not the ring of 63 accumulators a neuron beside them."""
    demand = Demand(name="h", size=1000, axons=20, bits=8, delays=True, max_delay=62)
    assert demand.units(1000) <= SYNMEM_UNITS and core_memory(demand, 1000) > 1
    for split in ("logged", "packed"):
        parts = [partition(demand, split)]
        assert parts[0].cores == 2
        assert place(parts).fits


@pytest.mark.parametrize("most", [32, 5, 1])
def test_a_target_gives_the_same_spikes_on_any_number_of_cores(build: SimpleNamespace, most: int) -> None:
    graph = build.quantised(build.recurrent())
    spikes = build.random_spikes()
    whole = Loihi2().compile(graph)
    split = Loihi2(neurons_per_core=most).compile(graph)
    assert len(split.placement.cores) >= -(-32 // most)
    a, b = (program.run(spikes, record=["hidden", "hidden:v", "hidden:i"]) for program in (whole, split))
    np.testing.assert_array_equal(a.output, b.output)
    np.testing.assert_array_equal(a.spikes["hidden"].times, b.spikes["hidden"].times)
    np.testing.assert_array_equal(a.spikes["hidden"].units, b.spikes["hidden"].units)
    for name in a.traces:
        np.testing.assert_array_equal(a.traces[name], b.traces[name])


def test_one_seven_and_forty_cores_give_the_same_bits(build: SimpleNamespace) -> None:
    """The 160 neurons of a recurrent layer on 1, 7 and 40 cores: spikes, u, v and counts are equal."""
    graph = build.quantised(build.recurrent(n=160, seed=3))
    spikes = build.random_spikes(rate=0.1)
    runs = {}
    for cores, most in ((1, 4095), (7, 23), (40, 4)):
        program = Loihi2(neurons_per_core=most, split="packed").compile(graph)
        assert sum(core.node == "hidden" for core in program.placement.cores) == cores
        runs[cores] = program.run(spikes, record=["hidden", "hidden:v", "hidden:i"])
    one = runs[1]
    assert len(one.spikes["hidden"].times) > 100
    for other in (runs[7], runs[40]):
        np.testing.assert_array_equal(one.spikes["hidden"].times, other.spikes["hidden"].times)
        np.testing.assert_array_equal(one.spikes["hidden"].units, other.spikes["hidden"].units)
        for trace in ("hidden:v", "hidden:i"):
            np.testing.assert_array_equal(one.traces[trace], other.traces[trace])
        for key in ("spikes", "synops", "updates", "saturated"):
            np.testing.assert_array_equal(one.counts["hidden"][key], other.counts["hidden"][key])
