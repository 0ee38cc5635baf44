"""check, rules, digest, diff and inspect: what they print, write and return."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any
from xml.etree import ElementTree

import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
sys.path.insert(0, str(Path(__file__).parent.parent / "report"))
from conftest import Call, network
from test_sarif import check_log

from nirbridge.graph import copy, digest, make
from nirbridge.io import read_graph, write_graph
from nirbridge.validate.readers import READERS
from nirbridge.validate.registry import RULES


def test_rules_lists_every_code_and_explains_one(call: Call) -> None:
    listed = call("rules")
    assert listed.code == 0
    assert all(f"\n{code}  " in f"\n{listed.out}" for code in RULES)
    one = call("rules", "nb121")
    assert one.code == 0
    for word in ("NB121", "tau[1] = -0.2", "Fix:", "error"):
        assert word in one.out
    value = json.loads(call("rules", "--json").out)
    assert value["schema"] == "nirbridge.rules/1"
    assert [rule["code"] for rule in value["rules"]] == list(RULES)
    unknown = call("rules", "NB999")
    assert unknown.code == 2 and "no rule" in unknown.err


def test_digest_prints_lines_as_sha256sum_does(call: Call, graph: Path, tmp_path: Path) -> None:
    write_graph(tmp_path / "other.nir", network(hidden=5))
    result = call("digest", graph, "other.nir")
    assert result.code == 0
    assert result.out == f"{digest(network())}  {graph}\n{digest(network(hidden=5))}  other.nir\n"
    value = json.loads(call("digest", "other.nir", "--json").out)
    assert value == {
        "schema": "nirbridge.digest/1",
        "files": [{"file": "other.nir", "digest": digest(network(hidden=5))}],
    }
    missing = call("digest", graph, "missing.nir", "--json")
    assert missing.code == 3 and missing.out == ""


def test_diff_exits_with_five_beyond_the_tolerance_and_with_zero_within(
    call: Call, graph: Path, tmp_path: Path
) -> None:
    other = network()
    other.nodes["w1"].weight[1, 2] += 1e-3
    write_graph(tmp_path / "other.nir", other)
    same = call("diff", graph, graph)
    assert same.code == 0 and same.out.endswith("equal\n")
    apart = call("diff", graph, "other.nir")
    assert apart.code == 5
    assert "w1.weight" in apart.out and "1 of 40 differ" in apart.out and "[1, 2]" in apart.out
    assert call("diff", graph, "other.nir", "--atol", "0.01").code == 0
    value = json.loads(call("diff", graph, "other.nir", "--json").out)
    assert value["schema"] == "nirbridge.diff/1"
    assert value["fields"][0]["index"] == [1, 2]
    assert value["within"] is False
    assert call("diff", graph, "other.nir", "--atol", "-1").code == 2


def test_diff_of_renamed_graphs(call: Call, graph: Path, tmp_path: Path) -> None:
    old = network()
    names = {name: f"{name}-x" for name in old.nodes}
    nodes = {names[name]: node for name, node in old.nodes.items()}
    write_graph(tmp_path / "r.nir", make(nodes, [(names[a], names[b]) for a, b in old.edges], old.metadata))
    result = call("diff", graph, "r.nir")
    assert result.code == 5
    assert "equal up to 6 renamed nodes" in result.out
    ignored = call("diff", graph, "r.nir", "--ignore-names")
    assert ignored.code == 0 and "equal up to names" in ignored.out


def test_diff_reads_every_format(call: Call, graph: Path) -> None:
    assert call("convert", graph, "net.net", "--for", "loihi2").code == 0
    result = call("diff", "net.net", "net.net")
    assert result.code == 0, result.err


def test_inspect_draws_the_graph(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("inspect", graph, "-o", "net.svg")
    assert result.code == 0 and "wrote net.svg" in result.err
    root = ElementTree.fromstring((tmp_path / "net.svg").read_text(encoding="utf-8"))
    words = {item.text for item in root.iter("{http://www.w3.org/2000/svg}text")}
    assert {"hidden", "LIF 8", "tau 0.01", "Linear 8×5"} <= words
    assert json.loads((tmp_path / "net.svg.run.json").read_text())["name"] == "inspect"
    assert call("inspect", graph, "--svg", "dry.svg", "--dry-run").code == 0
    assert not (tmp_path / "dry.svg").exists()
    assert call("inspect", graph, "--svg", "no/folder.svg").code == 2


def test_inspect_shows_what_can_be_read_of_a_broken_graph(call: Call, tmp_path: Path) -> None:
    import h5py

    write_graph(tmp_path / "broken.nir", network())
    with h5py.File(tmp_path / "broken.nir", "r+") as file:
        del file["node/nodes/w1/weight"], file["node/edges"]
        file["node/edges"] = np.zeros((0, 2))
    result = call("inspect", "broken.nir", "--svg", "b.svg", "--json")
    assert result.code == 0
    value = json.loads(result.out)
    assert value["complete"] is False
    assert {node["name"] for node in value["nodes"]} == {"input", "hidden", "w2", "out", "output"}
    assert "not all" in result.err


def test_check_writes_sarif_and_keeps_its_exit_code(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "nan.nir", network(nan=True))
    plain, result = call("check", "nan.nir"), call("check", "nan.nir", "--sarif", "out.sarif")
    assert result.code == plain.code == 3
    assert result.out == plain.out
    log = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8"))
    check_log(log)
    results = log["runs"][0]["results"]
    assert [(r["ruleId"], r["level"]) for r in results if r["level"] == "error"] == [("NB120", "error")]
    location = results[0]["locations"][0]
    assert location["physicalLocation"]["artifactLocation"]["uri"] == "nan.nir"
    assert location["logicalLocations"][0]["fullyQualifiedName"] == "w1"


def test_a_refused_file_is_a_result_in_sarif_too(call: Call, tmp_path: Path) -> None:
    (tmp_path / "bad.nir").write_bytes(b"no graph")
    result = call("check", "bad.nir", "--sarif", "out.sarif")
    assert result.code == 3 and result.out == ""
    log = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8"))
    check_log(log)
    assert [r["ruleId"] for r in log["runs"][0]["results"]] == ["NB001"]


def test_sarif_names_what_targets_and_readers_refuse(call: Call, graph: Path, tmp_path: Path) -> None:
    result = call("check", graph, "--reader", "spyx", "--reader", "norse", "--sarif", "out.sarif", "--json")
    assert result.code == 4
    value = json.loads(result.out)
    assert [(part["reader"], part["takes"]) for part in value["readers"]] == [
        ("spyx", False),
        ("norse", True),
    ]
    log = json.loads((tmp_path / "out.sarif").read_text(encoding="utf-8"))
    assert "NB210" in {r["ruleId"] for r in log["runs"][0]["results"]}


def test_check_with_all_readers_and_an_unknown_one(call: Call, graph: Path) -> None:
    value = json.loads(call("check", graph, "--reader", "all", "--json").out)
    assert [part["reader"] for part in value["readers"]] == list(READERS)
    refused = call("check", graph, "--reader", "brian")
    assert refused.code == 2 and "norse" in refused.err


def turned(square: bool) -> nir.NIRGraph:
    graph = network()
    graph.nodes["w1"].weight = graph.nodes["w1"].weight.T.copy()
    if square:
        graph.nodes["sq"] = nir.Linear(np.arange(64.0).reshape(8, 8))
        graph.edges = [e for e in graph.edges if e != ("hidden", "w2")] + [("hidden", "sq"), ("sq", "w2")]
    graph.metadata = {}
    return graph


def test_fix_transposes_square_weights_only_where_it_is_told_which(call: Call, tmp_path: Path) -> None:
    path = tmp_path / "t.nir"
    write_graph(path, turned(square=False))
    assert call("check", path, "--fix").code == 0
    assert digest(read_graph(path)) == digest(network())

    square = turned(square=True).nodes["sq"].weight
    write_graph(path, turned(square=True))
    assert call("check", path, "--fix").code == 3
    assert call("check", path, "--fix", "--transpose", "some").code == 2
    assert call("check", path, "--fix", "--transpose", "mismatched").code == 0
    assert np.array_equal(read_graph(path).nodes["sq"].weight, square)
    mended = turned(square=True)
    mended.nodes["w2"].weight = mended.nodes["w2"].weight.T.copy()
    write_graph(path, mended)
    assert call("check", path, "--fix", "--transpose", "all").code == 0
    assert np.array_equal(read_graph(path).nodes["sq"].weight, square.T)


def newer(dt: Any = "1 ms") -> nir.NIRGraph:
    graph = copy(network(dt=None))
    graph.metadata["nirbridge"] = json.dumps({"schema": "nirbridge.graph-metadata/7", "dt": dt})
    return graph


@pytest.mark.parametrize(
    "command", [("run", "--target", "reference"), ("compare", "--targets", "reference,loihi2")]
)
def test_metadata_of_a_newer_schema_never_stop_a_run(
    call: Call, tmp_path: Path, data: Path, command: tuple[str, ...]
) -> None:
    write_graph(tmp_path / "newer.nir", newer())
    verb, *rest = command
    result = call(verb, "newer.nir", *rest, "--data", data, "--dt", "0.001", "-n", 2)
    assert result.code == 0, result.err
    assert "warning[NB402]" in result.err
    unknown = call(verb, "newer.nir", *rest, "--data", data, "-n", 2)
    assert unknown.code == 3 and "error[NB301]" in unknown.err and "newer" in unknown.err


def test_metadata_of_a_newer_schema_are_kept_by_convert(call: Call, tmp_path: Path) -> None:
    write_graph(tmp_path / "newer.nir", newer())
    assert call("check", "newer.nir").code == 0
    assert call("inspect", "newer.nir").code == 0
    assert call("convert", "newer.nir", "same.nir").code == 0
    assert read_graph(tmp_path / "same.nir").metadata["nirbridge"] == newer().metadata["nirbridge"]
    assert call("convert", "newer.nir", "dated.nir", "--dt", "0.001").code == 0
    assert read_graph(tmp_path / "dated.nir").metadata["nirbridge_newer"] == newer().metadata["nirbridge"]
