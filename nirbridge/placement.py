"""Which neurons and synapses sit on which core, and every limit with its headroom."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any


@dataclass(frozen=True, slots=True, kw_only=True)
class Limit:
    """One limit of a target: what is used of it, where it comes from.

    ``used`` and ``limit`` are in ``unit``; headroom is ``1 − used/limit``, negative where exceeded.
    ``limit`` None means that the target names no such bound (a host's memory, say).
    """

    name: str
    used: float
    limit: float | None
    unit: str
    basis: str
    where: str = "chip"

    @property
    def headroom(self) -> float | None:
        return None if self.limit is None else 1.0 - self.used / self.limit

    def as_dict(self) -> dict[str, Any]:
        return {
            "name": self.name,
            "used": self.used,
            "limit": self.limit,
            "unit": self.unit,
            "basis": self.basis,
            "where": self.where,
            "headroom": self.headroom,
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Core:
    """One core or PE that is in use: neurons ``first … first+neurons−1`` of ``node``.

    ``memory`` is the used fraction of the core's memory; ``detail`` holds the target's own
    figures (bytes by region, axons, dummy columns ...). Drawings know ``quad`` and ``pe`` (four cores
    that sit together) and ``load`` (busy share of a tick).
    """

    index: int
    node: str
    first: int
    neurons: int
    memory: float
    detail: Mapping[str, float] = field(default_factory=dict)

    def as_dict(self) -> dict[str, Any]:
        return {
            "index": self.index,
            "node": self.node,
            "first": self.first,
            "neurons": self.neurons,
            "memory": self.memory,
            "detail": dict(self.detail),
        }


@dataclass(frozen=True, slots=True, kw_only=True)
class Placement:
    """The cores in use and the limits. ``core_name`` is the target's word: "core", "PE", "process"."""

    target: str
    core_name: str
    cores: tuple[Core, ...]
    limits: tuple[Limit, ...]
    available: int

    @property
    def fits(self) -> bool:
        return all(item.limit is None or item.used <= item.limit for item in self.limits)

    def as_dict(self) -> dict[str, Any]:
        return {
            "target": self.target,
            "core_name": self.core_name,
            "available": self.available,
            "used": len(self.cores),
            "fits": self.fits,
            "cores": [core.as_dict() for core in self.cores],
            "limits": [limit.as_dict() for limit in self.limits],
        }
