"""Files that have no graph: run from Python as they are, refused by the commands with the way to do it."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import h5py
import numpy as np
import pytest

from nirbridge.cli import main
from nirbridge.errors import BadInput, DoesNotFit, Unsupported
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2, NetProgram, NetxFormat
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.simulate import events, simulate
from nirbridge_loihi2.tables import tables

STEPS = 60


def sigma_delta(path: Path, n_in: int = 3) -> Path:
    """A delta encoder into two sigma-delta layers."""
    rng = np.random.default_rng(3)
    with h5py.File(path, "w") as file:
        for at, (kind, size, before) in enumerate((("input", n_in, 0), ("dense", 6, n_in), ("dense", 2, 6))):
            file[f"layer/{at}/type"] = np.array([kind.encode()], "S10")
            file[f"layer/{at}/shape"] = [size]
            for key, value in {"type": "SDNN", "vThMant": 2, "refDelay": 1, "gradedSpike": True}.items():
                file[f"layer/{at}/neuron/{key}"] = value
            if before:
                file[f"layer/{at}/weight"] = rng.integers(-60, 90, (size, before)).astype(np.float32)
    return path


def values() -> Spikes:
    """Two samples of whole numbers that drift, 3 channels."""
    rng = np.random.default_rng(0)
    grid = np.cumsum(rng.integers(-2, 3, (2, STEPS, 3)), axis=1)
    sample, step, unit = np.nonzero(grid)
    return Spikes.from_events(
        step.astype(float),
        unit,
        sample,
        n_samples=2,
        n_units=3,
        duration=float(STEPS),
        values=grid[sample, step, unit].astype(np.int32),
    )


def test_a_file_runs_as_the_emulator_runs_it(tmp_path: Path) -> None:
    program = NetProgram(sigma_delta(tmp_path / "a.net"))
    found = program.run(values(), record=["layer1", "layer2", "layer2:u", "layer3:v"])
    network = read_net(tmp_path / "a.net").network
    outcomes = simulate(
        tables(network), events(values(), 1.0), STEPS, keep=[0, 1, 2], traces=[(1, "u"), (2, "v")]
    )
    for b, outcome in enumerate(outcomes):
        messages = np.zeros((STEPS, 11), int)
        messages[outcome.step, outcome.neuron] = outcome.value
        ours = np.concatenate(
            [graded(s, b) for s in (found.spikes["layer1"], found.spikes["layer2"], found.output)], axis=1
        )
        np.testing.assert_array_equal(ours, messages)
        assert np.abs(messages[:, 9:]).max() > 1
        np.testing.assert_array_equal(found.traces["layer2:u"][b], outcome.traces[1, "u"])
        np.testing.assert_array_equal(found.traces["layer3:v"][b], outcome.traces[2, "v"])
    assert found.counts["layer2"]["spikes"].tolist() == [int(o.counts[1, 0]) for o in outcomes]
    cost = program.cost(found)
    assert cost.energy is not None and cost.energy.low < cost.energy.value < cost.energy.high
    assert [core.node for core in program.placement.cores] == ["2", "1", "0"]  # named as in the file


def graded(spikes: Spikes, sample: int) -> np.ndarray:
    grid = np.zeros((STEPS, spikes.n_units), int)
    one = slice(spikes.offsets[sample], spikes.offsets[sample + 1])
    amount = 1 if spikes.values is None else spikes.values[one]
    grid[spikes.steps(1.0)[one], spikes.units[one]] = amount
    return grid


def test_a_file_with_a_graph_gives_the_same_both_ways(tmp_path: Path, build: SimpleNamespace) -> None:
    from nirbridge.passes import Pipeline

    graph = build.recurrent(readout=build.cubalif(4))
    graph = Pipeline(tuple(Loihi2().passes(graph)))(graph)
    NetxFormat().write(tmp_path / "a.net", graph)
    data = build.random_spikes()
    data = Spikes(data.times / build.dt, data.units, data.offsets, data.n_units, data.duration / build.dt)
    direct = NetProgram(tmp_path / "a.net").run(data, record=["layer1"])
    through = Loihi2().compile(NetxFormat().read(tmp_path / "a.net")).run(data, record=["layer1"])
    assert len(direct.spikes["layer1"].times) > 20
    np.testing.assert_array_equal(
        direct.spikes["layer1"].to_dense(1.0), through.spikes["layer1"].to_dense(1.0)
    )
    assert direct.counts["layer1"]["synops"].tolist() == through.counts["layer1"]["synops"].tolist()


def test_what_it_refuses(tmp_path: Path) -> None:
    path = sigma_delta(tmp_path / "a.net")
    program = NetProgram(path)
    with pytest.raises(BadInput, match="cannot be recorded") as raised:
        program.run(values(), record=["layer9"])
    assert raised.value.code == "NB504"
    wide = Spikes.from_events([], [], [], n_samples=1, n_units=4, duration=5.0)
    with pytest.raises(BadInput, match="the data have 4 units, the file's input has 3"):
        program.run(wide)
    with pytest.raises(Unsupported, match="have no reset"):
        NetProgram(path, Loihi2(reset_interval=16))
    with pytest.raises(DoesNotFit) as large:
        NetProgram(sigma_delta(tmp_path / "b.net", n_in=200), Loihi2(neurons_per_core=1))
    assert large.value.code == "NB601" and large.value.placement is not None


@pytest.mark.parametrize(
    "arguments",
    [
        ["inspect", "FILE"],
        ["map", "FILE", "--target", "loihi2"],
        ["run", "FILE", "--target", "loihi2", "--steps", "9"],
        ["convert", "FILE", "out.nir"],
    ],
)
def test_commands_say_why_there_is_no_graph_and_what_to_do(
    tmp_path: Path, capsys: pytest.CaptureFixture[str], arguments: list[str]
) -> None:
    path = sigma_delta(tmp_path / "a.net")
    assert main([str(path) if word == "FILE" else word for word in arguments]) == 4
    said = capsys.readouterr().err
    assert "error[NB201]" in said
    assert "NIR has no node for delta neurons, so the file has no graph" in said
    assert f"nirbridge_loihi2.NetProgram('{path}').run(spikes)" in said
