"""The JSON string in a graph's metadata: what is kept, what is refused (NB401)."""

from __future__ import annotations

import json
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.graph import GraphMetadata, HistoryEntry, make, newer_schema, read_metadata, write_metadata

HEAD = '"schema": "nirbridge.graph-metadata/1", "dt": 0.001'


def graph(raw: Any = None) -> nir.NIRGraph:
    ports = {
        "input": nir.Input(input_type={"input": np.array([1])}),
        "output": nir.Output(output_type={"output": np.array([1])}),
    }
    return make(ports, [("input", "output")], {} if raw is None else {"nirbridge": raw})


def test_a_graph_without_the_key_has_none() -> None:
    assert read_metadata(graph()) is None


def test_what_is_written_comes_back_as_one_sorted_string() -> None:
    entry = HistoryEntry.model_validate(
        {"pass": "p", "options": {"bits": 8}, "tool": "t", "before": "a", "after": "b", "extra": 1}
    )
    metadata = GraphMetadata(
        dt=1e-3,
        time_unit=1e-3,
        profile="genn",
        semantics={"reset": "subtract"},
        digest="b",
        classes=["no", "yes"],
        readout="exp-mean",
        history=[entry],
        training={"seed": 1, "curve": [{"loss": 0.5}]},
    )
    written = write_metadata(graph(), metadata)
    raw = written.metadata["nirbridge"]
    assert raw == json.dumps(json.loads(raw), sort_keys=True)
    assert read_metadata(written) == metadata
    assert json.loads(raw)["history"][0]["pass"] == "p"


def test_unknown_keys_are_kept_and_unset_ones_left_out() -> None:
    metadata = read_metadata(graph("{" + HEAD + ', "mine": {"a": [1, 2]}}'))
    assert metadata is not None
    raw = json.loads(write_metadata(graph(), metadata).metadata["nirbridge"])
    assert raw["mine"] == {"a": [1, 2]}
    assert "digest" not in raw
    assert "readout" not in raw


@pytest.mark.parametrize(
    ("raw", "words"),
    [
        ("no json", "Expecting value"),
        ("[1, 2]", "schema"),
        ("{}", "'schema' is missing"),
        ('{"dt": 0.001}', "'schema' is missing"),
        ('{"schema": "nirbridge.graph-metadata/0", "dt": 0.001}', "schema"),
        ('{"schema": "nirbridge.graph-metadata/1"}', "dt"),
        ('{"schema": "nirbridge.graph-metadata/1", "dt": 0}', "greater than 0"),
        ('{"schema": "nirbridge.graph-metadata/1", "dt": "0.001"}', "dt"),
        ('{"schema": "nirbridge.graph-metadata/1", "dt": true}', "dt"),
        ('{"schema": "nirbridge.graph-metadata/1", "dt": NaN}', "NaN"),
        ('{"schema": "nirbridge.graph-metadata/1", "dt": 1e999}', "beyond float64"),
        ("{" + HEAD + ', "time_unit": -1}', "time_unit"),
        ("{" + HEAD + ', "training": {"loss": -Infinity}}', "Infinity"),
        ("{" + HEAD + ', "training": {"loss": 1e999}}', "beyond float64"),
        ("{" + HEAD + ', "dt": 0.002}', "stands twice"),
        ("{" + HEAD + ', "training": {"a": 1, "a": 2}}', "stands twice"),
        ("{" + HEAD + ', "readout": "loudest"}', "readout"),
        ("{" + HEAD + ', "classes": "ab"}', "classes"),
        ("{" + HEAD + ', "history": [{"pass": "p"}]}', "history.0"),
        ("[" * 100_000, "nests too deep"),
        (7, "JSON"),
        ({"dt": 0.001}, "JSON"),
        (np.zeros(2), "JSON"),
    ],
)
def test_what_breaks_the_schema_is_refused(raw: Any, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        read_metadata(graph(raw))
    assert caught.value.code == "NB401"
    assert caught.value.message.isprintable()
    assert len(caught.value.message) < 700


def test_a_value_that_json_cannot_hold_is_not_written() -> None:
    with pytest.raises(ValueError):
        write_metadata(graph(), GraphMetadata(dt=1e-3, training={"loss": float("nan")}))


NEWER = '{"schema": "nirbridge.graph-metadata/2", "dt": "1 ms", "semantics": [1]}'


def test_a_newer_schema_is_neither_read_nor_refused() -> None:
    assert newer_schema(graph(NEWER)) == 2
    assert read_metadata(graph(NEWER)) is None
    assert newer_schema(graph("{" + HEAD + "}")) is None
    assert newer_schema(graph("{")) is None


def test_metadata_of_a_newer_schema_are_kept_beside_ours() -> None:
    written = write_metadata(graph(NEWER), GraphMetadata(dt=1e-3))
    again = write_metadata(written, GraphMetadata(dt=2e-3))
    assert written.metadata["nirbridge_newer"] == again.metadata["nirbridge_newer"] == NEWER
    found = read_metadata(again)
    assert found is not None and found.dt == 2e-3
