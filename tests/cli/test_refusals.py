"""Each bad input has its exit code and its message; nothing half-written, nothing on stdout."""

from __future__ import annotations

import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call, network

from nirbridge.io import write_graph
from nirbridge.io.datasets import write_dataset
from nirbridge.io.yin_yang import yin_yang


def listing(folder: Path) -> set[str]:
    return {path.name for path in folder.iterdir()}


def bad_files(folder: Path) -> None:
    """One file for each way that an input can be wrong."""
    write_graph(folder / "good.nir", network())
    write_graph(folder / "nan.nir", network(nan=True))
    write_graph(folder / "nodt.nir", network(dt=None))
    (folder / "cut.nir").write_bytes((folder / "good.nir").read_bytes()[:600])
    (folder / "text.nir").write_text("a graph")
    write_dataset(folder / "good.h5", yin_yang("test", 4))
    (folder / "cut.h5").write_bytes((folder / "good.h5").read_bytes()[:700])
    np.savez(folder / "images.npz", x=np.zeros((2, 28, 28)), y=np.zeros(2))
    np.savez(folder / "wide.npz", times=[0.001], units=[9], offsets=[0, 1], labels=[0])
    with h5py.File(folder / "good.h5") as source, h5py.File(folder / "label.h5", "w") as goal:
        for name in ("spikes", "extra"):
            source.copy(name, goal)
        goal["labels"] = np.array([0, 1, 7, 2])
    (folder / "report.json").write_text('{"schema": "other"}')


@pytest.mark.parametrize(
    ("arguments", "code", "words"),
    [
        ("inspect none.nir", 3, ["NB001", "none.nir"]),
        ("inspect cut.nir", 3, ["NB001", "cut.nir"]),
        ("check text.nir", 3, ["NB001", "text.nir"]),
        ("inspect good.h5", 2, ["NB711", "good.h5"]),
        ("data info none.h5", 3, ["NB001", "no such file"]),
        ("data info cut.h5", 3, ["NB001", "cut.h5", "truncated"]),
        ("data info images.npz", 3, ["NB507", "x (2, 28, 28)", "offsets"]),
        ("data info label.h5", 3, ["NB503", "sample 2", "label 7", "0 to 2"]),
        ("data info good.csv", 3, ["NB509", ".csv"]),
        ("run good.nir -t reference -d cut.h5", 3, ["NB001", "cut.h5"]),
        ("run good.nir -t reference -d label.h5", 3, ["NB503", "label.h5"]),
        ("run good.nir -t reference -d wide.npz", 3, ["NB501", "wide.npz", "unit 9"]),
        ("run nan.nir -t reference -d good.h5", 3, ["NB120", "nan.nir", "w1"]),
        ("run nodt.nir -t reference -d good.h5", 3, ["NB301", "nodt.nir", "--dt"]),
        ("run good.nir -t lohi2 -d good.h5", 2, ["NB902", "did you mean 'loihi2'", "reference"]),
        ("run good.nir -t loihi2:bord=x -d good.h5", 2, ["NB701", "bord"]),
        ("run good.nir -t reference -d good.h5 -o rec.nir", 2, ["NB700", "--record"]),
        ("run good.nir -t reference -d good.h5 --dt 0.002", 3, ["NB305", "good.nir"]),
        ("compare good.nir -d good.h5", 2, ["NB700", "no target"]),
        ("compare good.nir -d good.h5 --targets reference -o out.pdf", 2, ["NB711", "out.pdf"]),
        ("compare good.nir -d good.h5 -t reference --against good.nir", 2, ["NB700", "name two"]),
        ("compare good.nir -d good.h5 --targets reference,loihi2 --against none.nir", 3, ["none.nir"]),
        ("compare good.nir -d good.h5 --semantics norse --against good.nir", 2, ["NB700", "no other graph"]),
        ("map good.nir -t nothing", 2, ["NB902"]),
        ("convert good.nir out.nir --pass quantise-weights", 2, ["NB902", "'quantize-weights'"]),
        ("convert good.nir out.nir --pass quantize-weights:bits=99", 2, ["NB701", "99"]),
        ("convert good.nir out.nir --pass quantize-weights:bits=4,bits=5", 2, ["NB701", "twice"]),
        ("convert good.nir out.xyz", 2, ["NB711", ".xyz"]),
        ("convert nan.nir out.nir --pass quantize-weights", 3, ["NB120", "nan.nir"]),
        ("convert good.nir nowhere/out.nir --pass quantize-weights", 2, ["NB710", "nowhere"]),
        ("convert good.nir out.nir --unit fortnight", 2, ["NB701", "fortnight"]),
        ("report report.json -o out.html", 3, ["NB506", "report.json"]),
        ("report none.json -o out.html", 3, ["NB001", "none.json"]),
        ("data make yin-yang out.npz --t-min 1", 2, ["NB701", "t_min"]),
        ("data make yin-yang out.csv", 3, ["NB509"]),
        ("data make yin-yang out.npz --split tests", 2, ["NB700", "split"]),
        ("train none.toml -o out.nir", 3, ["NB001", "none.toml"]),
        ("plugins lohi2", 2, ["NB902", "loihi2"]),
        ("nosuch", 2, ["NB700", "nosuch"]),
        ("map good.nir", 2, ["NB700", "--target"]),
        ("run good.nir -t reference -d good.h5 -n 0", 2, ["NB700"]),
        ("data", 2, ["NB700"]),
    ],
)
def test_bad_input_is_named(tmp_path: Path, call: Call, arguments: str, code: int, words: list[str]) -> None:
    bad_files(tmp_path)
    before = listing(tmp_path)
    result = call(*arguments.split())
    assert result.code == code, result.err
    assert re.match(r"error\[NB\d+\] ", result.err), result.err
    assert result.out == ""
    for word in words:
        assert word in result.err
    assert "\n  fix: " in result.err
    assert listing(tmp_path) == before


@pytest.mark.parametrize(
    "arguments",
    [
        "inspect none.nir --json",
        "data info label.h5 --json",
        "run good.nir -t lohi2 -d good.h5 --json",
        "run nan.nir -t reference -d good.h5 --json",
        "report report.json -o out.html --json",
        "map good.nir --json",
    ],
)
def test_json_leaves_stdout_empty_on_failure(tmp_path: Path, call: Call, arguments: str) -> None:
    bad_files(tmp_path)
    result = call(*arguments.split())
    assert result.code in (2, 3, 4)
    assert result.out == ""
    assert result.err.startswith("error[NB")


def test_a_bug_keeps_its_traceback_in_a_file(
    call: Call, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def broken(*arguments: object) -> None:
        raise ZeroDivisionError("a bug")

    monkeypatch.setattr("nirbridge.cli.inputs.lint_graph", broken)
    result = call("inspect", graph, "--json")
    assert (result.code, result.out) == (1, "")
    assert "error[NB000]" in result.err
    assert "ZeroDivisionError: a bug" in result.err
    kept = Path(re.search(r"traceback in (\S+)", result.err).group(1))  # type: ignore[union-attr]
    assert "Traceback" in kept.read_text()
    kept.unlink()


def test_ctrl_c_is_130_and_leaves_the_old_file(
    call: Call, graph: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def interrupted(*arguments: object, **options: object) -> None:
        raise KeyboardInterrupt

    (tmp_path / "yy.npz").write_bytes(b"old")
    monkeypatch.setattr("numpy.savez_compressed", interrupted)
    result = call("data", "make", "yin-yang", "yy.npz", "-n", 3)
    assert (result.code, result.out, result.err) == (130, "", "interrupted\n")
    assert (tmp_path / "yy.npz").read_bytes() == b"old"
    assert listing(tmp_path) == {"net.nir", "yy.npz"}


def test_a_file_that_may_not_be_read_is_no_bug(
    call: Call, graph: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def denied(*arguments: object) -> None:
        raise PermissionError(13, "Permission denied", "net.nir")

    monkeypatch.setattr("nirbridge.cli.inputs.lint_graph", denied)
    result = call("inspect", graph)
    assert result.code == 3
    assert "error[NB001] net.nir: Permission denied" in result.err


def test_names_from_a_file_cannot_steer_the_terminal(tmp_path: Path, call: Call) -> None:
    np.savez(
        tmp_path / "e.npz", times=[0.1], units=[0], offsets=[0, 1], labels=[0], classes=["\x1b[2Jred\x07"]
    )
    result = call("data", "info", "e.npz")
    assert result.code == 0
    assert "\x1b" not in result.out
    assert "\x07" not in result.out
    assert "red" in result.out
