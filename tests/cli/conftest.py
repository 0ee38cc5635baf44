"""Run commands in this process, and small files for them to work on."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

import nir
import numpy as np
import pytest

from nirbridge.cli import main
from nirbridge.graph import make
from nirbridge.io import write_graph
from nirbridge.io.datasets import write_dataset
from nirbridge.io.yin_yang import yin_yang
from nirbridge.semantics import GraphMetadata, write_metadata


@dataclass(frozen=True)
class Result:
    code: int
    out: str
    err: str


Call = Callable[..., Result]


@pytest.fixture
def call(capsys: pytest.CaptureFixture[str], monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Call:
    """`call("inspect", path)` runs the command in an empty folder and returns code, stdout and stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments: object) -> Result:
        capsys.readouterr()
        code = main([str(argument) for argument in arguments])
        captured = capsys.readouterr()
        assert "Traceback" not in captured.out + captured.err
        return Result(code, captured.out, captured.err)

    return run


def network(*, nan: bool = False, dt: float | None = 1e-3, hidden: int = 8) -> nir.NIRGraph:
    rng = np.random.default_rng(0)

    def neurons(n: int) -> nir.LIF:
        return nir.LIF(
            tau=np.full(n, 0.01),
            r=np.ones(n),
            v_leak=np.zeros(n),
            v_threshold=np.ones(n),
            v_reset=np.zeros(n),
        )

    weight = rng.normal(0, 4, (hidden, 5))
    if nan:
        weight[0, 0] = np.nan
    graph = make(
        {
            "input": nir.Input(input_type={"input": np.array([5])}),
            "w1": nir.Linear(weight=weight),
            "hidden": neurons(hidden),
            "w2": nir.Linear(weight=rng.normal(0, 3, (3, hidden))),
            "out": neurons(3),
            "output": nir.Output(output_type={"output": np.array([3])}),
        },
        [("input", "w1"), ("w1", "hidden"), ("hidden", "w2"), ("w2", "out"), ("out", "output")],
    )
    if dt is None:
        return graph
    return write_metadata(graph, GraphMetadata(dt=dt, readout="count", classes=["yin", "yang", "dot"]))


@pytest.fixture
def graph(tmp_path: Path) -> Path:
    path = tmp_path / "net.nir"
    write_graph(path, network())
    return path


@pytest.fixture
def data(tmp_path: Path) -> Path:
    path = tmp_path / "yy.npz"
    write_dataset(path, yin_yang("test", 12))
    return path
