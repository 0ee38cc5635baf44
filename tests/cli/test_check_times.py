"""check with a stated dt or unit: nothing that was found before is lost, and NB305 is a finding."""

from __future__ import annotations

import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call, network

from nirbridge.graph import make
from nirbridge.io import write_graph
from nirbridge.validate.timing import exporter_step


def exported(r: np.ndarray, tau: np.ndarray) -> nir.NIRGraph:
    zero = np.zeros_like(tau)
    return make(
        {
            "input": nir.Input(np.array([tau.size])),
            "hidden": nir.LIF(tau=tau, r=r, v_leak=zero, v_threshold=zero + 1, v_reset=zero),
            "output": nir.Output(np.array([tau.size])),
        },
        [("input", "hidden"), ("hidden", "output")],
    )


TAU = np.array([0.02, 0.05])


@pytest.mark.parametrize(
    ("r", "step"),
    [
        (TAU / 1e-3, 1e-3),  # Euler: r = tau/dt
        (TAU / 1e-3 * np.exp(-1e-3 / TAU), 1e-3),  # exact decay
        (np.ones(2), None),
        (TAU / 1e-3 * np.array([1, 1.01]), None),
        (TAU / 0.03, None),  # r below 1
    ],
)
def test_the_step_that_gains_were_made_for(r: np.ndarray, step: float | None) -> None:
    found = exporter_step(exported(r, TAU))
    assert (found is None) == (step is None)
    assert step is None or found == pytest.approx(step, rel=1e-4)


def test_a_dt_that_is_not_the_exporters_is_warned_of(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "e.nir", exported(TAU / 1e-3, TAU))
    other = call("check", "e.nir", "--dt", 2e-3)
    assert other.code == 0 and "warning[NB305]" in other.out and "dt = 0.001 s" in other.out
    assert "NB305" not in call("check", "e.nir", "--dt", 1e-3).out
    assert "an exporter with dt = 0.001" in call("inspect", "e.nir").out
    assert "NB305" in call("convert", "e.nir", "copy.nir", "--dt", 2e-3).err


def test_a_dt_against_the_metadata_is_one_finding_among_the_others(call: Call, tmp_path: Path) -> None:
    broken = network(nan=True)
    write_graph(tmp_path / "net.nir", broken)
    result = call("check", "net.nir", "--dt", 0.002)
    assert result.code == 3
    assert "error[NB305]" in result.out and "error[NB120]" in result.out


def test_what_was_mended_while_reading_stays_listed(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "net.nir", network(dt=None))
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        del file["node/nodes/hidden/tau"]
        file["node/nodes/hidden/tau"] = 0.01
    assert "NB111" in call("check", "net.nir").out
    assert "NB111" in call("check", "net.nir", "--dt", 1e-3).out


def test_a_unit_without_dt_is_refused(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "net.nir", network(dt=None))
    result = call("check", "net.nir", "--unit", "ms")
    assert result.code == 3 and "NB301" in result.err


def test_fix_says_that_it_mended_nothing_where_nodes_are_missing(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "net.nir", network())
    with h5py.File(tmp_path / "net.nir", "r+") as file:
        del file["node/nodes/w1/weight"]
    result = call("check", "net.nir", "--fix")
    assert result.code == 3 and "nothing mended" in result.err


def test_square_weights_leave_the_order_open_and_the_fix_says_how_to_choose(
    call: Call, tmp_path: Path
) -> None:
    graph = network()
    graph.nodes["w1"] = nir.Linear(np.ones((5, 8)))
    write_graph(tmp_path / "one.nir", graph)
    assert "--transpose" not in call("check", "one.nir").out
    square = {**graph.nodes, "loop": nir.Linear(np.ones((8, 8)))}
    write_graph(tmp_path / "two.nir", make(square, [*graph.edges, ("hidden", "loop"), ("loop", "hidden")]))
    result = call("check", "two.nir")
    assert "check two.nir --fix --transpose all, or mismatched" in result.out
