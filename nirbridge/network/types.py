"""The arrays that a graph becomes."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

import nir
import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import BadInput
from nirbridge.semantics import Semantics

Kind = Literal["input", "output", "i", "li", "if", "lif", "cubali", "cubalif", "delay"]
SPIKING: frozenset[str] = frozenset({"if", "lif", "cubalif"})
CUBA: frozenset[str] = frozenset({"cubali", "cubalif"})
NEURONS: frozenset[str] = frozenset({"i", "li", "if", "lif", "cubali", "cubalif"})

Floats = NDArray[np.float64]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Population:
    """A stateful node with the coefficients of its step, each (size,) float64.

    With x the summed input (SEMANTICS.md §3, current-first):
    ``I ← a_s·I + b_s·x`` (Cuba only), ``V ← a_m·V + leak + b_m·(I or x)``, a spike where
    ``V > threshold`` (or ≥), then ``V ← v_reset`` (or ``V − threshold``). b_s = g_s·w_in and
    b_m = g_m·r; with ``order="exact"`` b_m = r·c. Non-spiking neurons have threshold +inf.
    v_start, i_start: state before step 0. aux: what a profile's own lines need besides (profile norse:
    what leaks into I; ode: T in seconds). delay_steps: (size,) int64, Delay nodes only.
    """

    name: str
    kind: Kind
    shape: tuple[int, ...]
    node: nir.NIRNode
    a_m: Floats
    b_m: Floats
    leak: Floats
    a_s: Floats
    b_s: Floats
    threshold: Floats
    v_reset: Floats
    v_start: Floats
    i_start: Floats
    aux: Floats
    delay_steps: NDArray[np.int64]

    @property
    def size(self) -> int:
        return int(np.prod(self.shape, dtype=np.int64))

    @property
    def spiking(self) -> bool:
        return self.kind in SPIKING

    @property
    def cuba(self) -> bool:
        return self.kind in CUBA

    @property
    def is_neuron(self) -> bool:
        return self.kind in NEURONS


@dataclass(frozen=True, slots=True)
class Source:
    """A population (index into `Network.populations`) read ``delay`` steps late."""

    population: int
    delay: int


@dataclass(frozen=True, slots=True, eq=False)
class Stage:
    """A pass-through node evaluated for one consumer; an int input is an earlier stage of its drive."""

    name: str
    node: nir.NIRNode
    inputs: tuple[Source | int, ...]
    in_shape: tuple[int, ...]


@dataclass(frozen=True, slots=True, eq=False)
class Drive:
    """What arrives at one population: stages in order, then the terms of the sum, in name order."""

    stages: tuple[Stage, ...]
    inputs: tuple[Source | int, ...]


@dataclass(frozen=True, slots=True, eq=False, kw_only=True)
class Network:
    """A graph ready to be lowered.

    populations: in execution order (a topological order of the arcs without delay).
    drives: what arrives at each population, aligned with ``populations``.
    depth: fewest arcs from an Input, −1 where none leads there; a target that needs one step per
    arc into a neuron sees node n exactly ``depth`` steps late (SEMANTICS.md R7).
    """

    graph: nir.NIRGraph
    semantics: Semantics
    populations: tuple[Population, ...]
    drives: tuple[Drive, ...]
    depth: tuple[int, ...]

    def index(self, name: str) -> int:
        """Index of a population; raises `BadInput` (NB504) with the known names."""
        for at, population in enumerate(self.populations):
            if population.name == name:
                return at
        raise BadInput(
            f"no node '{name}' with a state in this graph",
            code="NB504",
            fix=f"use one of {', '.join(p.name for p in self.populations)}",
        )

    def of_kind(self, *kinds: Kind) -> tuple[int, ...]:
        """Indices of the populations of these kinds, in execution order."""
        return tuple(at for at, p in enumerate(self.populations) if p.kind in kinds)

    @property
    def neurons(self) -> tuple[int, ...]:
        """Indices of all neuron populations, in execution order."""
        return tuple(at for at, p in enumerate(self.populations) if p.is_neuron)
