"""Bytes, slices and the order of PEs."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge_spinnaker2 import Spinnaker2
from nirbridge_spinnaker2.memory import slices


def shd(recurrent: Any, **options: Any) -> Any:
    return Spinnaker2(**options).compile(recurrent(n_in=700, hidden=256, n_out=20))


def test_recurrent_256(recurrent: Any) -> None:
    program = shd(recurrent)
    assert program.partition.slices[0] == (22, 22, 22, 22, 21, 21, 21, 21, 21, 21, 21, 21)
    core = program.placement.cores[1]
    assert (core.node, core.first, core.neurons) == ("h", 0, 22)
    assert core.detail["total_bytes"] == 93_304
    assert core.detail["headroom_bytes"] == 904
    assert core.memory == pytest.approx(93_304 / 94_208)
    assert program.placement.fits


def test_recording_takes_a_pe_more(recurrent: Any) -> None:
    assert len(shd(recurrent, record_ticks=1000).partition.slices[0]) == 13


def test_pes_fill_quad_by_quad_in_graph_order(recurrent: Any) -> None:
    cores = shd(recurrent).placement.cores
    assert [core.index for core in cores] == list(range(14))
    assert [core.node for core in cores] == ["input", *["h"] * 12, "o"]
    assert [core.detail["quad"] for core in cores] == [k // 4 for k in range(14)]
    assert [core.first for core in cores[1:4]] == [0, 22, 44]


def test_limits(recurrent: Any) -> None:
    limits = {(limit.name, limit.where): limit for limit in shd(recurrent).placement.limits}
    assert limits["PEs", "1 chip"].used == 14
    assert limits["PEs", "1 chip"].limit == 148
    assert limits["routing entries", "chip"].used == 13
    assert limits["PE memory", "h, fullest of 12 PEs"].used == 93_304
    assert ("PE memory", "o, fullest of 1 PE") in limits


def test_mutual_loop_counts_the_sources_slices(build: Any) -> None:
    """Two populations that feed each other: K_j is the number of slices of the source."""
    nodes = build.ports(2, 300)
    for name, n, pre in (("a", 600, 2), ("b", 300, 600)):
        nodes |= {f"w{name}": nir.Linear(weight=np.zeros((n, pre))), name: build.lif(n)}
    nodes["back"] = nir.Linear(weight=np.zeros((600, 300)))
    edges = [
        ("input", "wa"),
        ("wa", "a"),
        ("a", "wb"),
        ("wb", "b"),
        ("b", "back"),
        ("back", "a"),
        ("b", "output"),
    ]
    part = Spinnaker2().compile(build.graph(nodes, edges)).partition
    pes = {demand.name: len(sizes) for demand, sizes in zip(part.demands, part.slices, strict=True)}
    fan = {demand.name: [f.source_pes for f in demand.fan_in] for demand in part.demands}
    assert sorted(fan["a"]) == sorted([1, pes["b"]])
    assert fan["b"] == [pes["a"]]


def test_slices_differ_by_one() -> None:
    assert slices(10, 3) == [4, 3, 3]
    assert slices(3, 3) == [1, 1, 1]
