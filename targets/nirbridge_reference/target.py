"""The target `reference`: what a graph does by definition, and what every other target is held against."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, ClassVar, Literal

import nir

from nirbridge.errors import Finding, NirbridgeError, Unsupported, UsageError
from nirbridge.network import build
from nirbridge.protocols import Pass
from nirbridge.semantics import semantics_of

if TYPE_CHECKING:
    from nirbridge_reference.lower import Lowered
    from nirbridge_reference.program import ReferenceProgram

PROFILES = ("canonical", "genn")


@dataclass(frozen=True, kw_only=True)
class Reference:
    """Runs a graph under the semantics in its metadata (SEMANTICS.md §1-3) on CPU threads.

    arithmetic: ``float32`` or ``float64``; None takes what the graph's semantics say.
    threads: 0 takes every core; results do not depend on it.
    device: whose cost is stated: ``host`` is measured while running, ``jetson-orin-nano`` is the
    model fitted to published rows (ENERGY.md §4) at ``batch`` samples a batch.
    """

    arithmetic: Literal["float32", "float64"] | None = None
    threads: int = 0
    device: Literal["host", "jetson-orin-nano"] = "host"
    batch: int = 1
    name: ClassVar[str] = "reference"

    def __post_init__(self) -> None:
        for field, choices in (
            ("arithmetic", ("float32", "float64", None)),
            ("device", ("host", "jetson-orin-nano")),
        ):
            if getattr(self, field) not in choices:
                raise _bad_option(field, getattr(self, field), f"one of {', '.join(map(str, choices))}")
        for field, least in (("threads", 0), ("batch", 1)):
            if not getattr(self, field) >= least:
                raise _bad_option(field, getattr(self, field), f"at least {least}")

    def passes(self, graph: nir.NIRGraph) -> Sequence[Pass]:
        """None: the reference runs a graph as it is."""
        return ()

    def check(self, graph: nir.NIRGraph) -> list[Finding]:
        """What keeps the graph from running here: the first reason that lowering meets."""
        try:
            self._lowered(graph)
        except NirbridgeError as error:
            own = Finding(code=error.code, level="error", message=error.message, fix=error.fix)
            return list(error.findings) or [own]
        return []

    def compile(self, graph: nir.NIRGraph) -> ReferenceProgram:
        """Lower the graph to one compiled time loop; loses nothing.

        Raises `Unsupported` for a node or a semantics profile that is not supported.
        """
        from nirbridge_reference.program import ReferenceProgram

        return ReferenceProgram(self, self._lowered(graph), graph)

    def _lowered(self, graph: nir.NIRGraph) -> Lowered:
        from nirbridge_reference.lower import lower

        semantics = semantics_of(graph)
        if semantics.profile not in PROFILES:
            raise Unsupported(
                f"semantics profile '{semantics.profile}' does not run on target 'reference' yet",
                code="NB201",
                fix=f"use one of {', '.join(PROFILES)}",
            )
        if semantics.delayed == "value":
            raise Unsupported(
                "semantics field delayed='value' does not run on target 'reference' yet", code="NB201"
            )
        if self.arithmetic is not None:
            semantics = replace(semantics, arithmetic=self.arithmetic)
        return lower(build(graph, semantics))


def _bad_option(field: str, value: object, expected: str) -> UsageError:
    return UsageError(
        f"target 'reference': option {field} is {value!r}, expected {expected}",
        code="NB701",
        fix=f"reference:{field}=…",
    )
