"""The edges of a flat graph while a pass takes pass-through nodes out of it."""

from __future__ import annotations

from dataclasses import dataclass

import nir


@dataclass(frozen=True, slots=True)
class Wiring:
    """Sources and readers of every node; changed in place by the pass that made it."""

    before: dict[str, set[str]]
    after: dict[str, set[str]]

    @staticmethod
    def of(graph: nir.NIRGraph) -> Wiring:
        result = Wiring({name: set() for name in graph.nodes}, {name: set() for name in graph.nodes})
        for a, b in graph.edges:
            result.before[b].add(a)
            result.after[a].add(b)
        return result

    def edges(self) -> list[tuple[str, str]]:
        return sorted((a, b) for a, bs in self.after.items() for b in bs)

    def only_pair(self, a: str, b: str) -> bool:
        """Whether b alone reads a, and reads nothing else."""
        return self.after[a] == {b} and self.before[b] == {a}

    def can_bypass(self, name: str) -> bool:
        """Whether the sources of a node can feed its readers directly: none of them does already."""
        before, after = self.before[name], self.after[name]
        return bool(before and after) and not any(self.after[a] & after for a in before)

    def bypass(self, name: str) -> None:
        """Take a node out: each of its sources feeds each of its readers."""
        before, after = self.before.pop(name), self.after.pop(name)
        for a in before:
            self.after[a].discard(name)
            self.after[a] |= after
        for b in after:
            self.before[b].discard(name)
            self.before[b] |= before
