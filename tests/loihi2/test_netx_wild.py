"""Files in the wild: the importer's doings are reproduced with a warning; `check` says what no chip holds."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirbridge.cli import main
from nirbridge.errors import FindingWarning
from nirbridge.graph import equal
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2, NetProgram, NetxFormat

STEPS, N_IN = 40, 6
CUBA = {"type": "CUBA", "iDecay": 742, "vDecay": 200, "vThMant": 100, "refDelay": 1, "gradedSpike": False}


def file(
    path: Path, *, hidden: dict[str, Any] | None = None, last: dict[str, Any] | None = None, **fields: Any
):
    """input → dense → dense; ``hidden`` and ``last`` are the neuron groups, None for a layer without."""
    rng = np.random.default_rng(3)
    layers: list[dict[str, Any]] = [{"type": np.bytes_("input"), "shape": [N_IN]}]
    for n_out, n_in, neuron in ((5, N_IN, hidden), (3, 5, last)):
        weight = rng.integers(-40, 90, (n_out, n_in)).astype("f4")
        layers.append({"type": np.bytes_("dense"), "shape": [n_out], "weight": weight})
        if neuron is not None:
            layers[-1] |= {f"neuron/{key}": value for key, value in neuron.items()}
    layers[1] |= fields
    with h5py.File(path, "w") as out:
        for at, layer in enumerate(layers):
            for key, value in layer.items():
                out[f"layer/{at}/{key}"] = value
    return path


def spikes() -> Spikes:
    grid = np.random.default_rng(4).random((2, STEPS, N_IN)) < 0.3
    return Spikes.from_dense(grid.astype(int), 1.0)


def both_ways(path: Path) -> tuple[np.ndarray, np.ndarray]:
    """v of the first layer in integers, from the file itself and through its graph."""
    direct = NetProgram(path).run(spikes(), record=["layer1:v"]).traces["layer1:v"]
    with pytest.warns(FindingWarning):
        graph = NetxFormat().read(path)
    through = Loihi2().compile(graph).run(spikes(), record=["layer1:v"]).traces["layer1:v"]
    return direct[:, :STEPS], np.rint(through[:, :STEPS] * 64)


@pytest.mark.parametrize("neuron", [None, {**CUBA, "vThMant": 1 << 17}], ids=["no neuron group", "2^17"])
def test_a_threshold_of_2_17_is_simulated_and_fails_the_check(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], neuron: dict[str, Any] | None
) -> None:
    path = file(tmp_path / "a.net", hidden=neuron, last=CUBA)
    direct, through = both_ways(path)
    assert np.abs(direct).max() > 64
    np.testing.assert_array_equal(direct, through)
    assert main(["run", str(path), "--target", "loihi2", "--steps", "5"]) == 0
    said = capsys.readouterr()
    assert "warning[NB212]" in said.err and "overflows the chip's 17-bit field" in said.err
    assert main(["check", str(path), "--target", "loihi2"]) == 4
    said = capsys.readouterr()
    assert "error[NB212] node 'layer1'" in said.out and "loihi2: does not fit" in said.out
    assert "NB303" not in said.out  # vDecay 4096 is no time step that is too long


def test_a_layer_without_neurons_forgets_its_membrane_in_every_step(tmp_path: Path) -> None:
    """iDecay 0, vDecay 4096: v is u, the sum of all that ever arrived."""
    path = file(tmp_path / "a.net", hidden=None, last=CUBA)
    found = NetProgram(path).run(spikes(), record=["layer1:v", "layer1:u"])
    np.testing.assert_array_equal(found.traces["layer1:v"], found.traces["layer1:u"])
    assert found.counts["layer1"]["spikes"].sum() == 0


@pytest.mark.parametrize("which", ["hidden", "last"])
def test_its_integers_survive_nir_and_back(tmp_path: Path, which: str) -> None:
    neurons = {"hidden": CUBA, "last": CUBA, which: None}
    path = file(tmp_path / "a.net", **neurons)
    with pytest.warns(FindingWarning):
        graph = NetxFormat().read(path)
    with pytest.warns(FindingWarning, match=r"written with vThMant 2\^17"):
        NetxFormat().write(tmp_path / "b.net", graph)
    with pytest.warns(FindingWarning):
        assert equal(NetxFormat().read(tmp_path / "b.net"), graph)


def test_fractional_weights_are_truncated_with_a_warning(tmp_path: Path) -> None:
    path = file(tmp_path / "a.net", hidden=CUBA, last=CUBA, weight=np.full((5, N_IN), 7.75, "f4"))
    with pytest.warns(FindingWarning, match="30 of 30 entries of 'weight' are no integers"):
        graph = NetxFormat().read(path)
    assert np.unique(graph.nodes["layer1_in"].weight).tolist() == [7]


@pytest.mark.parametrize(
    ("fields", "words"),
    [
        ({"weight": np.full((5, N_IN), 3.0) * [129, -1, 1, 1, 1, 1]}, None),
        ({"weight": np.full((5, N_IN), 1.0) * [129, -1, 2, 2, 2, 2]}, "must be even on chip, 10 of 30"),
        ({"weight": np.full((5, N_IN), -256.0)}, "the chip stores -255 at least"),
        (
            {"bias": np.full(5, 4096.0)},
            "mantissa of 4096 (and 4 more beyond 13 bits), expected -4096 to 4095",
        ),
    ],
)
def test_what_no_chip_holds_is_an_error_that_names_the_simulation(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], fields: dict[str, Any], words: str | None
) -> None:
    path = file(tmp_path / "a.net", hidden=CUBA, last=CUBA, **fields)
    assert main(["check", str(path), "--target", "loihi2"]) == (4 if words is None else 3)
    said = capsys.readouterr()
    if words is None:
        assert "importer would clip or zero" in said.err
        return
    assert words in said.err and "NetProgram simulates the file as it is" in said.err
    program = NetProgram(path)
    assert [finding.level for finding in program.findings] == ["error"]
    assert program.run(spikes()).counts["layer1"]["spikes"].shape == (2,)


def test_the_least_bias_of_13_bits_survives(tmp_path: Path) -> None:
    path = file(tmp_path / "a.net", hidden=CUBA, last=CUBA, bias=np.full(5, -4096.0))
    graph = NetxFormat().read(path)
    NetxFormat().write(tmp_path / "b.net", graph)
    assert equal(NetxFormat().read(tmp_path / "b.net"), graph)
    direct = NetProgram(path).run(spikes(), record=["layer1:v"]).traces["layer1:v"][:, :STEPS]
    through = Loihi2().compile(graph).run(spikes(), record=["layer1:v"]).traces["layer1:v"][:, :STEPS]
    np.testing.assert_array_equal(direct, np.rint(through * 64))


def test_errors_name_the_path(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    folder = tmp_path / "nets"
    folder.mkdir()
    path = file(folder / "a.net", hidden=CUBA, last=CUBA, delay=63)
    assert main(["check", str(path)]) == 4
    assert f"error[NB208] {path}: layer 1: 'delay' lies in [63, 63] steps" in capsys.readouterr().err


@pytest.mark.parametrize("kind", ["SDNN", "RF"])
def test_check_says_how_to_run_what_has_no_graph(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], kind: str
) -> None:
    if kind == "SDNN":
        path = file(
            tmp_path / "a.net", hidden={"type": "SDNN", "vThMant": 4}, last={"type": "SDNN", "vThMant": 4}
        )
    else:
        resonator = {"type": "RF", "sinDecay": 400, "cosDecay": 4000, "vThMant": 100}
        path = file(tmp_path / "a.net", hidden=resonator, last=CUBA)
        with h5py.File(path, "a") as out:
            weight = out["layer/1/weight"][()]
            del out["layer/1/weight"]
            out["layer/1/weight/real"], out["layer/1/weight/imag"] = weight, weight
    assert main(["check", str(path), "--target", "loihi2"]) == 4
    said = capsys.readouterr().err
    assert f"error[NB201] {path}: layer 1: NIR has no node for" in said
    step = said.rsplit("run the file from Python: ", 1)[1].strip()
    found = eval(step, {"nirbridge_loihi2": __import__("nirbridge_loihi2"), "spikes": spikes()})
    assert found.counts["layer2"]["updates"].tolist() == [3 * STEPS] * 2
