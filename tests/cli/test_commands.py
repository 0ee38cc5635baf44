"""What the commands print and write when all is well."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from conftest import Call, network
from synthetic import synthetic

from nirbridge.graph import digest
from nirbridge.io import read_graph, write_graph
from nirbridge.io.datasets import read_dataset


def parsed(out: str) -> dict[str, Any]:
    """The one object on stdout; it names its schema and holds no NaN."""

    def refuse(constant: str) -> None:
        raise ValueError(constant)

    value = json.loads(out, parse_constant=refuse)
    assert isinstance(value, dict)
    assert value["schema"].startswith("nirbridge.")
    assert out.count("\n") == 1
    return value


def test_inspect(call: Call, graph: Path) -> None:
    result = call("inspect", graph)
    assert result.code == 0
    for word in ("hidden", "LIF", "8 → 8", "count", "yin, yang, dot", digest(network())):
        assert word in result.out
    value = parsed(call("inspect", graph, "--json").out)
    assert [node["name"] for node in value["nodes"]] == ["input", "w1", "hidden", "w2", "out", "output"]
    assert value["nodes"][2]["fields"]["tau"] == {
        "shape": [8],
        "dtype": "float64",
        "min": 0.01,
        "max": 0.01,
        "mean": 0.01,
    }
    assert value["metadata"]["dt"] == 1e-3


def test_check_lists_findings_on_stdout(call: Call, graph: Path, tmp_path: Path) -> None:
    assert "no findings" in call("check", graph).out
    write_graph(tmp_path / "nan.nir", network(nan=True))
    result = call("check", "nan.nir")
    assert result.code == 3
    assert "error[NB120]" in result.out
    result = call("check", "nan.nir", "--json")
    assert result.code == 3
    findings = parsed(result.out)["findings"]
    assert any(f["code"] == "NB120" and f["level"] == "error" and f["node"] == "w1" for f in findings)
    assert all({"code", "level", "node", "message"} <= set(f) for f in findings)


def test_check_mends_in_place(call: Call, tmp_path: Path) -> None:
    broken = network()
    broken.edges.append(("input", "w1"))
    write_graph(tmp_path / "twice.nir", broken)
    before = (tmp_path / "twice.nir").read_bytes()
    assert call("check", "twice.nir").code == 3
    result = call("check", "twice.nir", "--fix", "--dry-run")
    assert result.code == 0
    assert "would mend" in result.err
    assert (tmp_path / "twice.nir").read_bytes() == before
    result = call("check", "twice.nir", "--fix")
    assert result.code == 0
    assert "mended[NB105]" in result.out
    assert call("check", "twice.nir").code == 0
    assert digest(read_graph(tmp_path / "twice.nir")) == digest(network())
    assert (tmp_path / "twice.nir.run.json").is_file()


def test_check_says_whether_a_target_runs_it(call: Call, graph: Path) -> None:
    result = call("check", graph, "--target", "loihi2", "--target", "reference", "--json")
    assert result.code == 0, result.out
    fits = parsed(result.out)["targets"]
    assert [fit["target"] for fit in fits] == ["loihi2", "reference"]
    assert all(fit["fits"] for fit in fits)


def test_check_with_data_goes_layer_by_layer(call: Call, graph: Path, data: Path) -> None:
    result = call("check", graph, "--target", "loihi2", "--data", data)
    assert result.code == 0
    assert "alone" in result.out and "hidden" in result.out
    value = parsed(call("check", graph, "--target", "loihi2", "--data", data, "-n", 5, "--json").out)
    layers = value["targets"][0]["layers"]
    assert [layer["node"] for layer in layers] == ["hidden", "out"]
    assert all(0.9 < layer["alone"] <= 1 for layer in layers)
    assert layers[0]["counts"]["saturated"] == 0
    refused = call("check", graph, "--data", data)
    assert refused.code == 2
    assert "no target" in refused.err


@pytest.mark.parametrize("target", ["loihi2", "spinnaker2", "reference"])
def test_map(call: Call, graph: Path, target: str) -> None:
    result = call("map", graph, "--target", target)
    assert result.code == 0, result.err
    assert "headroom" in result.out
    assert "hidden" in result.out
    value = parsed(call("map", graph, "--target", target, "--json").out)
    assert value["fits"] is True
    assert value["limits"]


def test_map_shows_the_table_of_what_does_not_fit(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "big.nir", network(hidden=60_000))
    result = call("map", "big.nir", "--target", "spinnaker2")
    assert result.code == 4
    assert "headroom" in result.out
    assert "−" in result.out or "-" in result.out


def test_convert_writes_the_graph_and_its_run_file(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("convert", graph, "out.nir", "--pass", "quantize-weights:bits=4", "--json")
    assert result.code == 0, result.err
    value = parsed(result.out)
    assert value["passes"][0]["name"] == "quantize-weights"
    assert value["digest"]["before"] != value["digest"]["after"] == digest(read_graph(tmp_path / "out.nir"))
    run = json.loads((tmp_path / "out.nir.run.json").read_text())
    assert run["schema"] == "nirbridge.run/1"
    assert run["command"].startswith("nirbridge convert")
    assert run["inputs"][0]["path"] == str(graph)
    assert len(run["inputs"][0]["sha256"]) == 64
    assert {"python", "numpy", "nirbridge"} <= set(run["versions"])
    table = call("convert", graph, "out.nir", "--for", "loihi2").out
    assert "law" in table


def test_convert_without_passes_keeps_the_graph(call: Call, graph: Path, tmp_path: Path) -> None:
    assert call("convert", graph, "same.nir").code == 0
    assert digest(read_graph(tmp_path / "same.nir")) == digest(network())


def test_dry_run_writes_nothing(call: Call, graph: Path, tmp_path: Path) -> None:
    before = {path.name for path in tmp_path.iterdir()}
    for arguments in (
        ("convert", graph, "out.nir", "--pass", "quantize-weights", "--dry-run"),
        ("data", "make", "yin-yang", "out.npz", "--dry-run"),
        ("demo", "-o", "folder", "--dry-run"),
    ):
        result = call(*arguments)
        assert result.code == 0, result.err
        assert "would" in result.out + result.err
    assert {path.name for path in tmp_path.iterdir()} == before


def test_data_is_made_described_and_converted(call: Call, tmp_path: Path) -> None:
    result = call("data", "make", "yin-yang", "yy.npz", "-n", 30, "--split", "validation")
    assert result.code == 0, result.err
    assert result.out == "wrote yy.npz (30 samples, 5 channels, 150 spikes)\n"
    assert json.loads((tmp_path / "yy.npz.run.json").read_text())["seed"] == 41
    result = call("data", "convert", "yy.npz", "yy.h5.gz", "-n", 20)
    assert result.code == 0
    a, b = read_dataset(tmp_path / "yy.npz"), read_dataset(tmp_path / "yy.h5.gz")
    assert np.array_equal(a.labels[:20], b.labels)
    value = parsed(call("data", "info", "yy.h5.gz", "--json").out)
    assert (value["n_samples"], value["n_units"], value["duration_s"]) == (20, 5, 0.04)
    assert value["spikes_per_sample"] == {"mean": 5.0, "max": 5}
    assert sum(value["samples_per_class"].values()) == 20
    text = call("data", "info", "yy.h5.gz").out
    assert "yang" in text
    assert "20" in text


def test_report_makes_a_page_of_several_comparisons(call: Call, tmp_path: Path) -> None:
    report = synthetic()
    from dataclasses import replace

    for name, kept in (("a", slice(0, 2)), ("b", slice(0, 3))):
        part = replace(report, results=report.results[kept])
        (tmp_path / f"{name}.json").write_text(json.dumps(part.as_dict()))
    result = call("report", "a.json", "b.json", "-o", "both.html", "-o", "both.json", "--json")
    assert result.code == 0, result.err
    assert parsed(result.out)["targets"] == ["reference", "loihi2:board=oheo-gulch", "spinnaker2"]
    assert "spinnaker2" in (tmp_path / "both.html").read_text()
    assert call("report", "both.json", "-o", "again.html").code == 0
    assert (tmp_path / "again.html.run.json").is_file()
    other = replace(report, data=replace(report.data, n_samples=3))
    (tmp_path / "other.json").write_text(json.dumps(other.as_dict()))
    result = call("report", "a.json", "other.json", "-o", "no.html")
    assert result.code == 3
    assert "other.json" in result.err
    assert not (tmp_path / "no.html").exists()


def test_plugins_and_their_options(call: Call) -> None:
    assert "loihi2" in call("plugins").out
    text = call("plugins", "quantize-weights").out
    assert "percentile" in text
    assert "max | percentile | mse | power-of-two" in text
    names = {entry["name"] for entry in parsed(call("plugins", "--json").out)["plugins"]}
    assert {"reference", "loihi2", "spinnaker2", "eventprop", ".nir"} <= names


def test_doctor(call: Call) -> None:
    value = parsed(call("doctor", "--json").out)
    assert value["cuda"]["available"] in (True, False)
    assert {plugin["name"] for plugin in value["plugins"]} >= {"reference", "eventprop"}


def test_run(call: Call, graph: Path, data: Path, tmp_path: Path) -> None:
    result = call(
        "run", graph, "-t", "reference", "-d", data, "--record", "hidden", "-o", "rec.nir", "--json"
    )
    assert result.code == 0, result.err
    value = parsed(result.out)
    assert (value["target"], value["n_samples"]) == ("reference", 12)
    assert 0 <= value["accuracy"] <= 1
    assert value["cost"]["schema"] == "nirbridge.cost/1"
    assert (tmp_path / "rec.nir").is_file()
    assert (tmp_path / "rec.nir.run.json").is_file()
    text = call("run", graph, "-t", "reference", "-d", data, "-n", 5).out
    for word in ("accuracy", "spikes per neuron", "latency"):
        assert word in text


def test_compare(call: Call, graph: Path, data: Path, tmp_path: Path) -> None:
    arguments = ("compare", graph, "--targets", "reference,loihi2", "-d", data)
    result = call(*arguments, "-o", "r.html", "-o", "r.json", "--json")
    assert result.code == 0, result.err
    value = parsed(result.out)
    assert [item["target"] for item in value["results"]] == ["reference", "loihi2"]
    assert all("accuracy" in item for item in value["results"])
    assert json.loads((tmp_path / "r.json").read_text())["results"] == value["results"]
    assert "<script" not in (tmp_path / "r.html").read_text()
    assert "spikes agree" in call(*arguments, "-n", 4).out


def test_compare_with_the_graph_before_a_training(call: Call, graph: Path, data: Path) -> None:
    other = network()
    other.nodes["w1"].weight = 3 * other.nodes["w1"].weight
    write_graph(Path("before.nir"), other)
    arguments = ("compare", graph, "--against", "before.nir", "-t", "reference", "-d", data, "--json")
    rows = parsed(call(*arguments, "-t", "reference:threads=1").out)["results"]
    assert [row["target"] for row in rows] == ["reference (before.nir)", "reference:threads=1"]
    alone = [
        parsed(call("run", g, "-t", "reference", "-d", data, "--json").out) for g in ("before.nir", graph)
    ]
    assert [row["correct"] for row in rows] == [found["correct"] for found in alone]
    assert rows[1]["versus"]["spikes_agree"] < 1


CONFIG = """
[graph]
dt = 1e-3
hidden = [10]
input_mean = 1.5
[data]
train = "yy.npz"
valid = "yin-yang:validation:20"
[trainer]
name = "eventprop"
epochs = 2
"""


def test_train_and_what_it_refuses(call: Call, data: Path, tmp_path: Path) -> None:
    (tmp_path / "t.toml").write_text(CONFIG)
    planned = call("train", "t.toml", "-o", "t.nir", "--dry-run", "--json")
    assert parsed(planned.out)["config"]["trainer"] == {"name": "eventprop", "epochs": 2}
    assert not (tmp_path / "t.nir").exists()
    for change, code in (("trainer.epoch=3", "NB701"), ("graph.dx=1", "NB704"), ("epochs=3", "NB704")):
        result = call("train", "t.toml", "-o", "t.nir", "--set", change)
        assert (result.code, result.out) == (2, "")
        assert code in result.err
    assert call("train", "t.toml", "-o", "none/t.nir").code == 2
    assert "NB705" in call("train", "t.toml", "-o", "t.nir", "--resume").err
    result = call("train", "t.toml", "-o", "t.nir", "--set", "trainer.epochs=1", "--seed", 5, "--json")
    assert result.code == 0, result.err
    value = parsed(result.out)
    assert value["digest"] == digest(read_graph(tmp_path / "t.nir"))
    assert len(value["curve"]) == 1
    run = json.loads((tmp_path / "t.nir.run.json").read_text())
    assert (run["seed"], run["config"]["trainer"]["epochs"]) == (5, 1)
    assert [Path(item["path"]).name for item in run["inputs"]] == ["t.toml", "yy.npz"]
    assert "epoch 1/1" in result.err
    assert call("run", "t.nir", "-t", "reference", "-d", data).code == 0


def test_ctrl_c_leaves_a_checkpoint(call: Call, data: Path, tmp_path: Path, monkeypatch: Any) -> None:
    (tmp_path / "t.toml").write_text(CONFIG)

    def interrupt(stats: Any) -> str:
        if stats.epoch == 2:
            raise KeyboardInterrupt
        return "going"

    with monkeypatch.context() as patch:
        patch.setattr("nirbridge.cli.train._line", interrupt)
        result = call("train", "t.toml", "-o", "t.nir")
    assert result.code == 130
    assert "--resume" in result.err
    assert not (tmp_path / "t.nir").exists()
    result = call("train", "t.toml", "-o", "t.nir", "--resume", "--json")
    assert result.code == 0, result.err
    assert len(parsed(result.out)["curve"]) == 2
