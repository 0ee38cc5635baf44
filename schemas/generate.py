"""Write the published JSON Schemas next to this script, from the models in the code.

python schemas/generate.py          write them
python schemas/generate.py --check  exit 1 where a file differs from the code
"""

from __future__ import annotations

import json
import sys
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from pydantic import TypeAdapter

from nirbridge.cost import Cost
from nirbridge.cost.coefficients import Coefficients
from nirbridge.evaluate import Config
from nirbridge.graph import GraphMetadata
from nirbridge.report import Report

FOLDER = Path(__file__).parent

_NUMBER = {"anyOf": [{"type": "number"}, {"type": "null"}]}
_PRODUCTS = {"anyOf": [{"type": "object", "additionalProperties": {"type": "number"}}, {"type": "null"}]}


def _written(schema: dict[str, Any], name: str, **more: Any) -> dict[str, Any]:
    """The schema of a dataclass as `as_dict` writes it: with the key ``schema`` and derived figures."""
    added = {"schema": {"const": name, "type": "string"}, **more}
    required = sorted({*schema.get("required", []), *added})
    return {**schema, "properties": {**schema["properties"], **added}, "required": required}


# File stem -> its schema. A new published model is one more line.
SCHEMAS: Mapping[str, Callable[[], dict[str, Any]]] = {
    "coefficients": Coefficients.model_json_schema,
    "cost": lambda: _written(
        TypeAdapter(Cost).json_schema(), "nirbridge.cost/1", static_share=_NUMBER, edp=_PRODUCTS
    ),
    "graph-metadata": lambda: GraphMetadata.model_json_schema(by_alias=True),
    "report": lambda: _written(TypeAdapter(Report).json_schema(), "nirbridge.report/1"),
    "training-config": Config.model_json_schema,
}


def published() -> dict[str, str]:
    """The text of every schema file, by file name."""
    return {
        f"{name}.json": json.dumps(schema(), indent=2, sort_keys=True, ensure_ascii=False) + "\n"
        for name, schema in SCHEMAS.items()
    }


def differing() -> list[str]:
    """Names of the files that differ from the code, are missing, or that no model stands behind."""
    texts = published()
    there = {path.name: path.read_text(encoding="utf-8") for path in FOLDER.glob("*.json")}
    return sorted(name for name in texts.keys() | there.keys() if texts.get(name) != there.get(name))


def main(arguments: list[str]) -> int:
    if arguments == ["--check"]:
        for name in differing():
            print(f"{name} differs from the code; run: python schemas/generate.py", file=sys.stderr)
        return 1 if differing() else 0
    for name, text in published().items():
        (FOLDER / name).write_text(text, encoding="utf-8")
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
