"""Read `.nir` graphs from files that nobody vouches for.

The file is walked and checked before anything is read from it, the structure is checked before any
node is made, and nir's own reader, which follows links and asserts, is never called.
"""

from __future__ import annotations

import warnings
from pathlib import Path
from typing import Any

import h5py
import nir

from nirbridge.errors import BadInput, Finding, FindingWarning, raise_on_errors
from nirbridge.io.hdf5_values import load_file, word
from nirbridge.io.hdf5_walk import Limits, refusal
from nirbridge.io.nir_nodes import graph_of
from nirbridge.validate import repair as mend
from nirbridge.validate import validate
from nirbridge.validate.rules import check_metadata, sort_findings

_RECORDING = "NIRGraphData"


def read_graph(path: Path, *, limits: Limits = Limits(), repair: bool = False) -> nir.NIRGraph:  # noqa: B008
    """The graph in a `.nir` file, unchecked by nir; no file, link or filter outside it is touched.

    Files of every nir version from 0.1.1 on are read: a missing v_reset is 0, a missing w_in is 1,
    extra fields are dropped (a `FindingWarning`, NB102), scalar neuron parameters take the shape of the
    others (NB111). With ``repair`` the unique repairs of `nirbridge.validate.repair` are applied instead.

    Raises `BadInput` with NB001-NB013 for a file that is refused, with NB010, NB101-NB103 or NB111 (all
    of them listed) where nodes cannot be made, and with NB401 or NB403 where the metadata contradict the
    schema or the weights.
    """
    path = Path(path)
    built = graph_of(_load(path, limits))
    raise_on_errors(built.findings, str(path))
    for finding in built.findings:
        if finding.level == "warning" and not repair:
            warnings.warn(FindingWarning(finding), stacklevel=2)
    graph = mend(built.graph) if repair else built.graph
    raise_on_errors(check_metadata(graph), str(path))
    return graph


def lint_file(
    path: Path,
    *,
    limits: Limits = Limits(),  # noqa: B008
    partial: bool = False,
) -> tuple[nir.NIRGraph | None, list[Finding]]:
    """The graph and every finding about it, sorted by node; None where nodes or edges are missing.

    With ``partial`` the graph of what could be made is returned even then. Raises `BadInput`
    (NB001-NB013) only where the file itself is refused.
    """
    path = Path(path)
    built = graph_of(_load(path, limits))
    findings = built.findings + validate(built.graph, in_file=True, complete=built.complete)
    unique = {(f.code, f.node, f.level, f.message): f for f in findings}
    return built.graph if built.complete or partial else None, sort_findings(list(unique.values()))


def _load(path: Path, limits: Limits) -> dict[str, Any]:
    """The raw dict under ``/node``."""
    values = load_file(path, limits, _check_root)
    node = values.get("node")
    kind = values.get("__type__")
    if isinstance(kind, str) and kind == _RECORDING:
        raise _no_graph(path, "is a recording (NIRData)")
    if not isinstance(node, dict):
        raise _no_graph(path, "has no group '/node'")
    kind = node.get("type")
    if not isinstance(kind, str) or kind != "NIRGraph":
        shown = ascii(kind[:60]) if isinstance(kind, str) else "missing"
        raise _no_graph(path, f"has a root node whose type is {shown}")
    return node


def _no_graph(path: Path, what: str) -> BadInput:
    fix = "write it with nirbridge, or with nir.write until it ends without an error"
    return BadInput(f"{path}: {what}, expected a NIR graph", code="NB013", fix=fix)


def _check_root(file: h5py.File) -> None:
    if word(file, "__type__") == _RECORDING:
        raise refusal("NB013", "is a recording (NIRData), expected a NIR graph", "name the file of the graph")
