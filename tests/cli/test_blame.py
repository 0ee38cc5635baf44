"""Errors name what they are about, come before the work, and a dry run meets the same ones."""

from __future__ import annotations

import gzip
import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call, network

from nirbridge.data import Dataset
from nirbridge.io import write_graph
from nirbridge.io.datasets import read_dataset, write_dataset
from nirbridge.io.yin_yang import yin_yang

CONFIG = """
[graph]
dt = 1e-3
hidden = [6]
[data]
train = "yin-yang:train:20"
[trainer]
name = "eventprop"
epochs = 1
"""


def files(folder: Path) -> None:
    """A graph, good data, and data that are wrong in one way each."""
    write_graph(folder / "net.nir", network())
    write_dataset(folder / "good.npz", yin_yang("test", 4))
    write_dataset(folder / "empty.h5", yin_yang("test", 0))
    write_dataset(folder / "four.npz", yin_yang("test", 4, bias=False))
    four = yin_yang("test", 4)
    write_dataset(
        folder / "classes.npz", Dataset(four.spikes, np.array([0, 1, 2, 3]), ("yin", "yang", "dot", "more"))
    )
    (folder / "b.toml").write_text(CONFIG)
    (folder / "e.toml").write_text(CONFIG.replace("yin-yang:train:20", "none.npz"))


@pytest.mark.parametrize("command", ["run net.nir -t reference", "compare net.nir --targets reference"])
@pytest.mark.parametrize(
    ("data", "code"), [("empty.h5", "NB508"), ("four.npz", "NB501"), ("classes.npz", "NB503")]
)
def test_errors_of_the_data_name_the_data_only(
    tmp_path: Path, call: Call, command: str, data: str, code: str
) -> None:
    files(tmp_path)
    result = call(*command.split(), "-d", data)
    assert (result.code, result.out) == (3, "")
    assert result.err.startswith(f"error[{code}] {data}: ")
    assert "net.nir" not in result.err


def test_errors_of_the_graph_name_the_graph_only(tmp_path: Path, call: Call) -> None:
    files(tmp_path)
    result = call("run", "net.nir", "-t", "reference", "-d", "good.npz", "--record", "nothere")
    assert result.err.startswith("error[NB504] net.nir: ")
    assert "good.npz" not in result.err


@pytest.mark.parametrize(
    ("arguments", "start"),
    [
        ("--set trainer.epoch=3", "error[NB701] "),
        ("--set epochs=3", "error[NB704] --set"),
        ("--seed -1", "error[NB704] --seed"),
        ("--resume", "error[NB705] --resume"),
    ],
)
def test_errors_of_the_command_line_are_not_of_the_file(
    tmp_path: Path, call: Call, arguments: str, start: str
) -> None:
    files(tmp_path)
    result = call("train", "b.toml", "-o", "t.nir", *arguments.split())
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith(start)
    assert "b.toml" not in result.err


def test_training_data_are_named_without_the_configuration(tmp_path: Path, call: Call) -> None:
    files(tmp_path)
    assert call("train", "e.toml", "-o", "t.nir").err.startswith("error[NB001] none.npz: ")


@pytest.mark.parametrize(
    "arguments",
    [
        "run odd.nir -t reference -d good.npz",
        "compare odd.nir --targets reference -d good.npz",
        "map odd.nir -t reference",
        "convert odd.nir out.nir",
    ],
)
def test_warnings_of_the_graph_are_told_in_one_line(tmp_path: Path, call: Call, arguments: str) -> None:
    files(tmp_path)
    odd = network()
    odd.nodes["out"].r[0] = -1.0
    write_graph(tmp_path / "odd.nir", odd)
    result = call(*arguments.split())
    assert result.code == 0, result.err
    assert result.err.startswith("warning[NB124] odd.nir: node 'out'")
    assert result.err.count("warning[") == 1
    quiet = call(*arguments.split(), "--quiet")
    assert (quiet.code, "warning[" in quiet.err) == (0, False)


@pytest.mark.parametrize(
    ("output", "code"), [("folder", "NB710"), ("none/x.nir", "NB710"), ("x.net", "NB711"), ("x", "NB711")]
)
def test_training_refuses_its_output_before_it_trains(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch, output: str, code: str
) -> None:
    files(tmp_path)
    (tmp_path / "folder").mkdir()
    monkeypatch.setattr("nirbridge.evaluate.train", lambda *a, **b: pytest.fail("trained"))
    for more in ([], ["--dry-run"]):
        result = call("train", "b.toml", "-o", output, *more)
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error[{code}] {output}: ")
        assert str(tmp_path) not in result.err


def test_the_checkpoint_goes_only_when_the_graph_is_written(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nirbridge import evaluate

    files(tmp_path)
    checkpoint = evaluate.checkpoint_of(tmp_path / "t.nir")
    train = evaluate.train

    def kept(*arguments: Any, **options: Any) -> Any:
        done = train(*arguments, **options)
        checkpoint.write_bytes(b"kept")
        return done

    def full(*arguments: Any) -> None:
        raise OSError(28, "No space left on device")

    monkeypatch.setattr("nirbridge.evaluate.train", kept)
    with monkeypatch.context() as patch:
        patch.setattr("nirbridge.cli.train._check_format", lambda *a: None)
        patch.setattr("nirbridge.io.nir_format.write_graph", full)
        result = call("train", "b.toml", "-o", "t.nir")
    assert result.code == 2
    assert result.err.splitlines()[-2].startswith("error[NB710] ")
    assert checkpoint.exists()
    assert call("train", "b.toml", "-o", "t.nir").code == 0
    assert not checkpoint.exists()


def test_convert_writes_nothing_that_the_target_refuses(
    tmp_path: Path, call: Call, monkeypatch: pytest.MonkeyPatch
) -> None:
    from nirbridge.errors import Finding
    from nirbridge_loihi2 import Loihi2

    files(tmp_path)
    fix = "nirbridge convert IN OUT --pass shift-reset"
    found = [Finding(code="NB204", level="error", message=text, fix=fix) for text in ("first", "second")]
    monkeypatch.setattr(Loihi2, "check", lambda self, graph: found)
    result = call("convert", "net.nir", "o.nir", "--for", "loihi2")
    assert (result.code, result.out) == (4, "")
    assert result.err.startswith("error[NB204] net.nir: first")
    assert "error[NB204] second" in result.err
    assert "nirbridge convert net.nir o.nir --pass shift-reset" in result.err
    assert not (tmp_path / "o.nir").exists()


@pytest.mark.parametrize(
    ("record", "output", "code", "words"),
    [
        ("hidden:v", "rec.nir", "NB700", "--record hidden,"),
        ("hidden", "rec.h5", "NB711", ".nir"),
        ("hidden", "rec", "NB711", "has no ending"),
        ("hidden", "none/rec.nir", "NB710", "no folder"),
    ],
)
def test_a_recording_that_cannot_be_is_refused(
    tmp_path: Path, call: Call, record: str, output: str, code: str, words: str
) -> None:
    files(tmp_path)
    for more in ([], ["--dry-run"]):
        result = call(
            "run", "net.nir", "-t", "reference", "-d", "good.npz", "--record", record, "-o", output, *more
        )
        assert (result.code, result.out) == (2, "")
        assert result.err.startswith(f"error[{code}] ")
        assert words in result.err


def test_inspect_shows_a_graph_that_breaks_rules(tmp_path: Path, call: Call) -> None:
    write_graph(tmp_path / "nan.nir", network(nan=True))
    result = call("inspect", "nan.nir")
    assert result.code == 0, result.err
    assert "1 error: see nirbridge check nan.nir" in result.out
    assert json.loads(call("inspect", "nan.nir", "--json").out)["findings"]["error"] == 1
    with h5py.File(tmp_path / "nan.nir", "a") as file:
        del file["node/nodes/w1/weight"]
    result = call("inspect", "nan.nir")  # what can be read is shown
    assert result.code == 0 and "w1" in result.out and "see nirbridge check nan.nir" in result.out
    assert call("check", "nan.nir").code == 3


@pytest.mark.parametrize("dt", ["nan", "-1", "0", "inf"])
@pytest.mark.parametrize("command", ["check net.nir", "map net.nir -t reference"])
def test_a_step_is_a_positive_number(tmp_path: Path, call: Call, command: str, dt: str) -> None:
    files(tmp_path)
    result = call(*command.split(), "--dt", dt)
    assert (result.code, result.out) == (2, "")
    assert result.err.startswith("error[NB701] --dt is ")


@pytest.mark.parametrize(
    "arguments",
    [
        "convert net.nir none/o.nir",
        "convert net.nir o.xyz",
        "convert net.nir o.net",
        "convert net.nir folder",
        "data make yin-yang none/o.npz",
        "data make yin-yang o.csv",
        "data convert good.npz o.csv",
        "demo -o good.npz",
        "demo -o good.npz/in",
        "compare net.nir --targets reference -d good.npz -o none/r.html",
        "compare net.nir --targets reference -d good.npz -o r.pdf",
    ],
)
def test_a_dry_run_predicts_the_error(tmp_path: Path, call: Call, arguments: str) -> None:
    files(tmp_path)
    (tmp_path / "folder").mkdir()
    real = call(*arguments.split())
    dry = call(*arguments.split(), "--dry-run")
    assert real.code in (2, 3, 4)
    assert (dry.code, dry.err, dry.out) == (real.code, real.err, "")
    assert str(tmp_path) not in real.err


def test_labels_groups_and_endings_are_kept(tmp_path: Path) -> None:
    spikes = yin_yang("test", 2).spikes
    wide = Dataset(spikes, np.array([0, 70_000]), (), np.array([0, 1]))
    write_dataset(tmp_path / "A.H5.GZ", wide)
    gzip.decompress((tmp_path / "A.H5.GZ").read_bytes())
    assert read_dataset(tmp_path / "A.H5.GZ").labels.tolist() == [0, 70_000]
    with h5py.File(tmp_path / "s.h5", "w") as file:
        for name, kind in (("times", np.float64), ("units", np.int32)):
            out = file.create_dataset(f"spikes/{name}", (3,), dtype=h5py.vlen_dtype(kind))
            out[0] = np.zeros(1, kind)
        file["extra/speaker"] = ["theo", "anna", "theo"]
    assert read_dataset(tmp_path / "s.h5").groups.tolist() == [1, 0, 1]


def test_a_file_that_states_other_channels_is_refused(tmp_path: Path, call: Call) -> None:
    files(tmp_path)
    write_dataset(tmp_path / "four.h5", yin_yang("test", 4, bias=False))
    for name in ("four.npz", "four.h5"):
        err = call("run", "net.nir", "-t", "reference", "-d", name).err
        assert err.startswith(f"error[NB501] {name}: states 4 units, expected 5")
    times = np.array([0.001])
    np.savez(tmp_path / "silent.npz", times=times, units=[1], offsets=[0, 1])
    assert call("run", "net.nir", "-t", "reference", "-d", "silent.npz").code == 0


@pytest.mark.skipif(not Path("/dev/full").exists(), reason="no device that is always full")
@pytest.mark.parametrize("where", ["> /dev/full", ">&-"])
def test_a_full_or_closed_stdout_is_no_bug(tmp_path: Path, where: str) -> None:
    write_graph(tmp_path / "net.nir", network())
    for arguments in ("inspect net.nir", "inspect net.nir --json"):
        done = subprocess.run(
            ["bash", "-c", f"{sys.executable} -m nirbridge {arguments} {where}"],
            cwd=tmp_path,
            capture_output=True,
            text=True,
            env=os.environ,
            check=False,
        )
        assert done.returncode == 2
        assert done.stderr.startswith("error[NB710] ")
        assert "bug" not in done.stderr and "Traceback" not in done.stderr


@pytest.mark.parametrize("arguments", ["check folder", "check folder.nir", "report folder -o out.html"])
def test_a_folder_is_called_a_folder(tmp_path: Path, call: Call, arguments: str) -> None:
    for name in ("folder", "folder.nir"):
        (tmp_path / name).mkdir()
    result = call(*arguments.split())
    assert result.code == 3
    assert "is a folder" in result.err


def test_next_steps_name_the_files(tmp_path: Path, call: Call) -> None:
    files(tmp_path)
    result = call("run", "net.nir", "-t", "loihi2", "-d", "good.npz")
    assert result.code == 4
    assert "nirbridge convert net.nir out.nir --for loihi2" in result.err
    assert "IN OUT" not in result.err
    assert call("inspect", "net").err.startswith("error[NB711] net: has no ending, expected ")
