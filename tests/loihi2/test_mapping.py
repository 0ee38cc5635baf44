"""Placement against the figures of LOIHI2.md §4: two compiler logs and the published row sizes."""

from __future__ import annotations

import json
import os
from pathlib import Path
from types import SimpleNamespace

import numpy as np
import pytest

from nirbridge_loihi2 import Loihi2
from nirbridge_loihi2.mapping import Demand, partition, place
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
