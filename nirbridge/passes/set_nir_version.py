"""A graph that an older `nir` can read: without the fields and types that it does not know."""

from __future__ import annotations

import warnings
from copy import deepcopy
from dataclasses import dataclass
from typing import Any, ClassVar, Literal

import nir
import numpy as np

from nirbridge.errors import Finding, FindingWarning, Unsupported
from nirbridge.graph import copy, make
from nirbridge.graph.delays import is_folded, lower

Version = Literal["1.0.1", "1.0.3", "1.0.4", "1.0.5", "1.0.6", "1.0.7", "1.0.8"]
# First release that knows it; found by reading files with each release.
SINCE = {"AvgPool2d": "1.0.3", "CubaLI": "1.0.5"}
V_RESET_SINCE = "1.0.6"
METADATA_SINCE = "1.0.3"
# These types take metadata later; the releases between raise TypeError on it.
NODE_METADATA_SINCE = dict.fromkeys(("AvgPool2d", "Conv2d", "Input", "Linear", "Output", "Scale"), "1.0.5")


@dataclass(frozen=True)
class SetNirVersion:
    """What a `nir` of this version or newer reads, to be run last, just before writing.

    Below 1.0.6 v_reset is dropped, for readers there raise TypeError on it: possible only where it is 0
    everywhere. Below 1.0.5 the metadata of Linear, Conv2d, Scale, AvgPool2d, Input and Output are dropped
    for the same reason (integers of quantised weights go, the weights stay what they are). 1.0.1 ignores
    metadata in every node and in the graph, so a rewritten file has no dt. Each loss is a `FindingWarning`.
    Folded delays become Delay nodes. Reading the file here fills v_reset with zeros again. What the type
    checks of some releases refuse in valid graphs stays refused: grouped convolutions from 1.0.5 on, pools
    and Flatten in 1.0.5.

    What stays equal: structure and values, so the digest of the graph in lowered form.
    """

    version: Version = "1.0.4"
    name: ClassVar[str] = "set-nir-version"
    law: ClassVar[str] = "digest unchanged"

    def __call__(self, graph: nir.NIRGraph, /) -> nir.NIRGraph:
        plain = lower(graph) if is_folded(graph) else copy(graph)
        findings = _too_new(plain, "", self.version)
        if findings:
            raise Unsupported(
                findings[0].message, code=findings[0].code, fix=findings[0].fix, findings=findings
            )
        lost: list[str] = []
        result = _older(plain, "", self.version, lost)
        if lost:
            more = f" and {len(lost) - 1} more nodes" if len(lost) > 1 else ""
            _warn(
                lost[0],
                f"metadata of '{lost[0]}'{more} dropped, nir {self.version} refuses them there",
                "keep the newer file beside this one",
            )
        if self.version < METADATA_SINCE and _has_metadata(result):
            _warn(
                None,
                f"nir {self.version} ignores metadata: a file that it rewrites has no dt, unit and history",
                "state --dt and --unit when its files come back",
            )
        return result


def _too_new(graph: nir.NIRGraph, owner: str, version: Version) -> list[Finding]:
    """What keeps the graph out of this version: node types, and a v_reset that is not 0."""
    findings = []
    for name, node in sorted(graph.nodes.items()):
        full, kind = f"{owner}{name}", type(node).__name__
        if isinstance(node, nir.NIRGraph):
            findings += _too_new(node, f"{full}.", version)
        elif version < SINCE.get(kind, ""):
            what = f"node '{full}' is a {kind}, which nir {version} does not know (since {SINCE[kind]})"
            findings.append(Finding(code="NB201", level="error", node=full, message=what, fix=None))
        elif version < V_RESET_SINCE and np.any(_v_reset(node) != 0):
            reset = _v_reset(node).reshape(-1)
            at = int(np.argmax(reset != 0))
            what = (
                f"node '{full}' ({kind}): nir {version} has no v_reset and resets to 0, got {reset[at]:g} at "
                f"{np.count_nonzero(reset)} of {reset.size} neurons"
            )
            fix = "--pass shift-reset first (exact only if the membrane starts at v_reset)"
            findings.append(Finding(code="NB204", level="error", node=full, message=what, fix=fix))
    return findings


def _v_reset(node: Any) -> Any:
    value = getattr(node, "v_reset", None)
    return np.zeros(1) if value is None else np.asarray(value)


def _older(graph: nir.NIRGraph, owner: str, version: Version, lost: list[str]) -> nir.NIRGraph:
    nodes: dict[str, Any] = {}
    for name, node in sorted(graph.nodes.items()):
        full, kind = f"{owner}{name}", type(node).__name__
        if isinstance(node, nir.NIRGraph):
            nodes[name] = _older(node, f"{full}.", version, lost)
            continue
        older: Any = deepcopy(node)
        if version < V_RESET_SINCE and hasattr(older, "v_reset"):
            older.v_reset = None
        if METADATA_SINCE <= version < NODE_METADATA_SINCE.get(kind, "") and older.metadata:
            older.metadata = {}
            lost.append(full)
        nodes[name] = older
    return make(nodes, graph.edges, graph.metadata)


def _has_metadata(graph: nir.NIRGraph) -> bool:
    return bool(graph.metadata) or any(node.metadata for node in graph.nodes.values())


def _warn(node: str | None, message: str, fix: str) -> None:
    finding = Finding(code="NB405", level="warning", node=node, message=message, fix=fix)
    warnings.warn(FindingWarning(finding), stacklevel=3)
