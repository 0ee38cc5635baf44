"""`compare --semantics`: where frameworks' readings of one file first differ."""

from __future__ import annotations

import json
import re

import nir
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.graph import make
from nirbridge.io import write_graph
from nirbridge.io.datasets import write_dataset
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes


@pytest.fixture
def files(tmp_path):
    rng = np.random.default_rng(0)
    n = 5
    size = np.ones(n)
    nodes = {
        "input": nir.Input(np.array([4])),
        "w": nir.Linear(rng.normal(0.5, 0.4, (n, 4))),
        "h": nir.LIF(tau=size * 5e-3, r=size * 5.0, v_leak=size * 0, v_threshold=size, v_reset=size * 0),
        "output": nir.Output(np.array([n])),
    }
    graph = make(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    write_graph(tmp_path / "n.nir", with_semantics(graph, Semantics(dt=1e-3)))
    spikes = Spikes.from_dense((rng.random((6, 40, 4)) < 0.3).astype(int), 1e-3)
    write_dataset(tmp_path / "d.npz", Dataset(spikes, rng.integers(0, n, 6), tuple("abcde")))
    return tmp_path


def test_each_reading_stands_with_its_first_difference(files, call):
    done = call(
        "compare",
        files / "n.nir",
        "--semantics",
        "snntorch,norse,lava-dl",
        "--data",
        files / "d.npz",
        "--json",
    )
    assert done.code == 0, done.err
    value = json.loads(done.out)
    assert [r["target"] for r in value["results"]] == [
        "reference:semantics=canonical",
        "reference:semantics=snntorch",
        "reference:semantics=norse",
    ]
    _, snntorch, norse = value["results"]
    assert snntorch["versus"]["first_difference"] is None  # value reset to 0 under Euler is the same
    first = norse["versus"]["first_difference"]  # norse's LIF takes no r
    assert first["node"] == "h" and first["v_first"] != first["v_second"]
    (refused,) = value["refused"].values()
    assert list(value["refused"]) == ["reference:semantics=lava-dl"] and refused[0]["code"] == "NB201"


def test_the_table_names_readings_and_refusals(files, call):
    done = call("compare", files / "n.nir", "--semantics", "norse,lava-dl", "--data", files / "d.npz")
    assert "canonical (the file's own)" in done.out
    own = re.search(r"h\[\d+\] step \d+, sample \d +own (\S+) \(spike\), here (\S+)", done.out)
    assert own and float(own[1]) > 1 > float(own[2])
    assert "lava-dl: cannot take this graph: NB201 node 'h' (LIF)" in done.out


def test_an_unknown_reading_is_refused_with_the_nearest_name(files, call):
    done = call("compare", files / "n.nir", "--semantics", "snntorhc", "--data", files / "d.npz")
    assert done.code == 2 and "did you mean 'snntorch'?" in done.err
    done = call(
        "compare", files / "n.nir", "--semantics", "norse", "--targets", "loihi2", "--data", files / "d.npz"
    )
    assert done.code == 2 and "takes no targets" in done.err
