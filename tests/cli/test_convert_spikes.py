"""`nirbridge convert` and `nirbridge data` on spikes: recordings and data sets, either way."""

import json
import sys
from pathlib import Path

import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call

from nirbridge.data import Dataset
from nirbridge.io import read_dataset, read_graph, read_spikes, write_dataset, write_graph
from nirbridge.spikes import Spikes


@pytest.fixture
def recording(call: Call, graph: Path, data: Path) -> Path:
    """Spikes of two nodes, as `nirbridge run` writes them."""
    loud = read_graph(graph)
    loud.nodes["w1"].weight *= 20
    write_graph(graph, loud)
    probes = ("--record", "hidden", "--record", "out")
    result = call("run", graph, "-t", "reference", "-d", data, *probes, "-o", "rec.nir")
    assert result.code == 0, result.err
    return Path("rec.nir")


def test_a_run_writes_what_plain_nir_and_convert_read(call: Call, recording: Path) -> None:
    plain = nir.read_data(recording)
    assert sorted(plain.nodes) == ["hidden", "out"]
    result = call("convert", recording, "hidden.h5", "--node", "hidden", "--json")
    assert result.code == 0, result.err
    value = json.loads(result.out)
    events = plain.nodes["hidden"].observables["spikes"]
    assert value["spikes"] == (events.idx >= 0).sum() > 0
    assert (value["n_samples"], value["n_units"]) == (12, 8)
    back = read_dataset("hidden.h5").spikes
    assert np.array_equal(back.times, read_spikes(recording)["hidden"].times)


def test_a_node_must_be_chosen(call: Call, recording: Path) -> None:
    result = call("convert", recording, "x.npz")
    assert result.code == 3
    assert "NB504" in result.err
    assert "--node NODE: hidden, out" in result.err
    assert not Path("x.npz").exists()


@pytest.mark.parametrize("ending", [".h5", ".h5.gz", ".npz"])
def test_a_data_set_becomes_a_recording_and_comes_back(call: Call, data: Path, ending: str) -> None:
    assert call("convert", data, f"a{ending}").code == 0
    result = call("convert", f"a{ending}", "rec.nir", "--node", "input")
    assert result.out == "wrote rec.nir (input: 12 samples, 5 channels, 60 spikes)\n"
    assert list(nir.read_data("rec.nir").nodes) == ["input"]
    assert call("convert", "rec.nir", f"b{ending}").code == 0
    a, b = read_dataset(data), read_dataset(f"b{ending}")
    assert np.array_equal(a.spikes.times, b.spikes.times)
    assert np.array_equal(a.labels, b.labels)
    assert a.classes == b.classes
    assert Path("rec.nir.run.json").is_file()


def test_dt_makes_grids_and_what_they_crowd_is_told(call: Call, tmp_path: Path) -> None:
    spikes = Spikes.from_events([0.3, 0.31, 0.2], [0, 0, 1], [0, 0, 0], n_samples=1, n_units=2, duration=0.5)
    write_dataset(tmp_path / "a.npz", Dataset(spikes))
    result = call("convert", "a.npz", "grid.nir", "--dt", "0.1")
    assert result.code == 0
    assert "warning[NB502] grid.nir: node 'input': 1 cells of 0.1 s hold several spikes" in result.err
    grid = nir.read_data("grid.nir").nodes["input"].observables["spikes"]
    assert grid.data[0].tolist() == [[0, 0], [0, 0], [0, 1], [2, 0], [0, 0]]
    assert call("data", "convert", "grid.nir", "back.npz").code == 0
    assert np.array_equal(read_dataset("back.npz").spikes.to_dense(0.1), spikes.to_dense(0.1))


def test_a_recording_is_regridded_with_all_its_nodes(call: Call, recording: Path) -> None:
    assert call("convert", recording, "grid.nir", "--dt", "1e-3").code == 0
    assert sorted(nir.read_data("grid.nir").nodes) == ["hidden", "out"]
    before, after = read_spikes(recording), read_spikes(Path("grid.nir"))
    for name in before:
        assert np.array_equal(before[name].to_dense(1e-3), after[name].to_dense(1e-3))


def test_data_describes_a_recording_and_a_run_takes_it(call: Call, graph: Path, data: Path) -> None:
    assert call("convert", data, "in.nir").code == 0
    value = json.loads(call("data", "info", "in.nir", "--json").out)
    assert (value["n_samples"], value["n_units"], value["classes"]) == (12, 5, ["yin", "yang", "dot"])
    a, b = (call("run", graph, "-t", "reference", "-d", file, "--json") for file in (data, "in.nir"))
    assert json.loads(a.out)["predictions"] == json.loads(b.out)["predictions"]


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("yy.npz out.nir --pass rescale-lif", 2, "--pass is for graphs"),
        ("yy.npz out.nir --unit ms --fix", 2, "--unit and --fix are for graphs"),
        ("yy.npz out.nir --dt 0", 2, "positive"),
        ("yy.npz out.h5 --dt 1e-3", 2, "only a .nir recording"),
        ("yy.npz out.nir --dt 1e-12", 2, "cells"),
        ("net.nir out.h5", 3, "no recording"),
        ("net.nir out.nir --node hidden", 2, "--node is given, and this is a graph"),
        ("none.nir out.h5", 3, "no such file"),
        ("yy.npz folder/out.nir", 2, "no folder"),
    ],
)
def test_refusals(
    call: Call, graph: Path, data: Path, arguments: str, code: int, words: str, tmp_path: Path
) -> None:
    before = sorted(tmp_path.iterdir())
    for more in ((), ("--dry-run",)):
        result = call("convert", *arguments.split(), *more)
        assert result.code == code, result.err
        assert words in result.err
    assert sorted(tmp_path.iterdir()) == before


def test_a_dry_run_writes_nothing(call: Call, data: Path, tmp_path: Path) -> None:
    result = call("convert", data, "rec.nir", "--dry-run", "--json")
    assert json.loads(result.out)["wrote"] == []
    assert not (tmp_path / "rec.nir").exists()
