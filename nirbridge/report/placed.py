"""What the drawings of a placement read from its cores: which of them form a quad, and how busy they are."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

QUAD = 4


def clusters(placed: Mapping[str, Any]) -> list[list[Any | None]]:
    """Cores by quad, four places each, None where unused; empty for a target without quads.

    placed: `Placement.as_dict`. A core belongs to ``detail["quad"]`` at place ``detail["pe"]``. The quads
    that the target has and nobody uses are there too.
    """
    cores = placed["cores"]
    if not cores or not all({"quad", "pe"} <= set(core["detail"]) for core in cores):
        return []
    used = 1 + max(int(core["detail"]["quad"]) for core in cores)
    found: list[list[Any | None]] = [
        [None] * QUAD for _ in range(max(used, -(-int(placed["available"]) // QUAD)))
    ]
    for core in cores:
        found[int(core["detail"]["quad"])][int(core["detail"]["pe"])] = core
    return found


def loads(cores: Sequence[Mapping[str, Any]]) -> list[float]:
    """Busy share of a tick without spikes, of the cores whose target states one (``detail["load"]``)."""
    return [float(core["detail"]["load"]) for core in cores if "load" in core["detail"]]
