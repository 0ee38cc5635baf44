"""The published schemas are those of the code, and they accept and refuse what the models do."""

import importlib.util
import json
import subprocess
import sys
from pathlib import Path
from types import ModuleType

import pytest

SCRIPT = Path(__file__).parents[1] / "schemas" / "generate.py"


def load() -> ModuleType:
    spec = importlib.util.spec_from_file_location("nirbridge_published_schemas", SCRIPT)
    assert spec is not None
    assert spec.loader is not None
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


GENERATE = load()


@pytest.mark.parametrize("name", sorted(GENERATE.published()))
def test_the_published_schema_is_that_of_the_code(name: str) -> None:
    path = SCRIPT.parent / name
    assert path.is_file(), f"{name} is missing; run: python schemas/generate.py"
    assert json.loads(path.read_text()) == json.loads(GENERATE.published()[name]), (
        f"{name} differs from the code; run: python schemas/generate.py"
    )


def test_every_file_has_a_model_behind_it() -> None:
    assert GENERATE.differing() == []


def test_check_says_which_file_differs() -> None:
    done = subprocess.run([sys.executable, SCRIPT, "--check"], capture_output=True, text=True, check=False)
    assert (done.returncode, done.stderr) == (0, "")


def test_the_schema_of_graph_metadata_names_its_fields_as_files_do() -> None:
    schema = json.loads(GENERATE.published()["graph-metadata.json"])
    assert "dt" in schema["required"]
    assert "schema" in schema["properties"]
    assert "pass" in schema["$defs"]["HistoryEntry"]["properties"]


def test_a_written_report_has_the_keys_of_its_schema() -> None:
    """Every key that `as_dict` writes stands in the published schema, and every required one is written."""
    import numpy as np

    from nirbridge import conformance
    from nirbridge.evaluate import compare
    from nirbridge.plugins import parse

    graph = conformance.example_graph(np.random.default_rng(5))
    data = conformance.example_data(np.random.default_rng(6), samples=3)
    targets = [(name, parse("targets", name)) for name in ("reference", "loihi2")]
    written = compare(graph, targets, data).as_dict()
    for value, name in ((written, "report"), (written["results"][1]["cost"], "cost")):
        schema = json.loads((SCRIPT.parent / f"{name}.json").read_text(encoding="utf-8"))
        assert set(value) <= set(schema["properties"])
        assert set(schema["required"]) <= set(value)
        assert value["schema"] == schema["properties"]["schema"]["const"]
