"""`compare --semantics A,B`: readings of a file as targets."""

from __future__ import annotations

from difflib import get_close_matches

from nir import NIRGraph

from nirbridge.cli.inputs import target_of
from nirbridge.errors import UsageError
from nirbridge.protocols import Target
from nirbridge.semantics import PROFILES, semantics_of


def readings_of(listed: str, graph: NIRGraph) -> list[tuple[str, Target]]:
    """The file's own reading, then the named ones; raises `UsageError` (NB701) for an unknown name."""
    names = list(dict.fromkeys(part.strip() for part in listed.split(",") if part.strip()))
    for name in names:
        if name not in PROFILES:
            near = get_close_matches(name, PROFILES, n=1)
            raise UsageError(
                f"--semantics: unknown reading '{name}'" + (f", did you mean '{near[0]}'?" if near else ""),
                code="NB701",
                fix=f"use some of {', '.join(PROFILES)}",
            )
    if not names:
        raise UsageError(
            "--semantics names no reading", code="NB701", fix=f"use some of {', '.join(PROFILES)}"
        )
    own = semantics_of(graph).profile
    specs = [f"reference:semantics={name}" for name in (own, *(name for name in names if name != own))]
    return [(spec, target_of(spec)) for spec in specs]
