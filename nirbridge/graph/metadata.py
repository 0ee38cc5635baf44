"""What NIR cannot say, kept as one JSON string in ``graph.metadata["nirbridge"]``."""

from __future__ import annotations

import json
import math
import re
from typing import Any, Literal

import nir
from pydantic import BaseModel, ConfigDict, Field, ValidationError

from nirbridge.errors import BadInput
from nirbridge.graph.copying import copy

KEY = "nirbridge"
KEY_NEWER = "nirbridge_newer"
"""Where metadata of a newer schema are kept once a graph gets metadata of ours."""
SCHEMA: Literal["nirbridge.graph-metadata/1"] = "nirbridge.graph-metadata/1"
VERSION = 1


class HistoryEntry(BaseModel):
    """One pass that made the graph: its name, options and the digests before and after."""

    model_config = ConfigDict(extra="allow", populate_by_name=True)

    pass_: str = Field(alias="pass")
    options: dict[str, Any] = {}
    tool: str
    before: str
    after: str


class GraphMetadata(BaseModel):
    """The published schema ``nirbridge.graph-metadata/1``; unknown keys are kept.

    dt: seconds per step. time_unit: seconds per unit of the file's tau and delay values.
    semantics: fields of `Semantics` that differ from the profile.
    """

    model_config = ConfigDict(extra="allow", populate_by_name=True, allow_inf_nan=False)

    schema_: Literal["nirbridge.graph-metadata/1"] = Field(default=SCHEMA, alias="schema")
    dt: float = Field(gt=0, strict=True)
    time_unit: float = Field(default=1.0, gt=0, strict=True)
    profile: str = "canonical"
    semantics: dict[str, Any] = {}
    digest: str | None = None
    classes: list[str] | None = None
    readout: Literal["mean", "exp-mean", "sum", "max", "count", "first-spike", "last"] | None = None
    history: list[HistoryEntry] = []
    training: dict[str, Any] | None = None


def read_metadata(graph: nir.NIRGraph) -> GraphMetadata | None:
    """The graph's metadata, or None where it has none, or has those of a newer schema (NB402).

    Raises `BadInput` (NB401) where the string is no JSON or breaks the schema.
    """
    if KEY not in graph.metadata or newer_schema(graph) is not None:
        return None
    raw = graph.metadata[KEY]
    try:
        value = json.loads(raw, parse_constant=_refuse, parse_float=_finite, object_pairs_hook=_unique)
        if "schema" not in value:
            raise ValueError("the key 'schema' is missing")
        return GraphMetadata.model_validate(value)
    except (ValidationError, ValueError, TypeError, RecursionError) as error:
        raise BadInput(
            f"graph metadata '{KEY}' breaks the schema {SCHEMA}: {_problem(error)}",
            code="NB401",
            fix="remove the key, then state --dt and --unit",
        ) from error


def newer_schema(graph: nir.NIRGraph, key: str = KEY) -> int | None:
    """The version of the schema of the metadata under ``key``, if it is newer than ours: NB402, no error."""
    try:
        name = json.loads(graph.metadata[key])["schema"]
        match = re.fullmatch(r"nirbridge\.graph-metadata/([0-9]{1,9})", name)
    except (KeyError, RecursionError, TypeError, ValueError):
        return None
    return int(match[1]) if match and int(match[1]) > VERSION else None


def write_metadata(graph: nir.NIRGraph, metadata: GraphMetadata) -> nir.NIRGraph:
    """A copy of the graph that carries this metadata (sorted keys, None left out).

    Metadata of a newer schema are not lost: they move to ``graph.metadata["nirbridge_newer"]``.
    """
    newer = newer_schema(graph) is not None
    result = copy(graph)
    if newer:
        result.metadata[KEY_NEWER] = result.metadata[KEY]
    value = metadata.model_dump(by_alias=True, exclude_none=True)
    result.metadata[KEY] = json.dumps(value, sort_keys=True, allow_nan=False)
    return result


def _problem(error: Exception) -> str:
    """One printable line about what is wrong; pydantic's own text has several and quotes the input."""
    if isinstance(error, ValidationError):
        items = error.errors(include_url=False, include_input=False)
        text = "; ".join(f"{'.'.join(map(str, item['loc']))}: {item['msg']}" for item in items[:8])
    elif isinstance(error, RecursionError):
        text = "it nests too deep to be read"
    else:
        text = str(error)
    return ascii(text[:400])[1:-1]


def _refuse(constant: str) -> Any:
    raise ValueError(f"the constant {constant} is not allowed")


def _finite(digits: str) -> float:
    value = float(digits)
    if not math.isfinite(value):
        raise ValueError(f"the number {digits[:20]} is beyond float64")
    return value


def _unique(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    result = dict(pairs)
    if len(result) != len(pairs):
        raise ValueError("a key stands twice")
    return result
