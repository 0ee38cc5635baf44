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
