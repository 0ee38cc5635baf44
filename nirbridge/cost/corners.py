"""Intervals from consistent sets of coefficients: low and high are never added term by term."""

from __future__ import annotations

from collections.abc import Callable, Iterable, Mapping
from dataclasses import dataclass

from nirbridge.cost.coefficients import Coefficients
from nirbridge.cost.types import Basis

_ORDER: tuple[Basis, ...] = ("assumed", "fitted", "published", "measured")


@dataclass(frozen=True, slots=True)
class Interval:
    """A central value and its bounds over all corners."""

    value: float
    low: float
    high: float

    def widened(self, share: float) -> Interval:
        """Bounds moved outwards by ``share``: low·(1−share), high·(1+share)."""
        return Interval(self.value, self.low * (1 - share), self.high * (1 + share))

    def scaled(self, factor: float) -> Interval:
        """All three numbers times a positive factor."""
        return Interval(self.value * factor, self.low * factor, self.high * factor)


def worst_basis(bases: Iterable[Basis]) -> Basis:
    """The weakest of the given bases: assumed < fitted < published < measured."""
    return min(bases, key=_ORDER.index)


def over_corners(
    coefficients: Coefficients,
    terms: Callable[[Mapping[str, float]], Mapping[str, float]],
    overrides: Mapping[str, float] | None = None,
) -> tuple[dict[str, Interval], Interval]:
    """Evaluate ``terms`` (coefficients in SI units -> value by term name) in every corner.

    Returns the interval of each term and of their sum. The central corner gives the values; low and
    high are the minimum and maximum over the corners (ENERGY.md §1).
    """
    results = {name: dict(terms(values)) for name, values in coefficients.corner_values(overrides).items()}
    central = results["central"]
    intervals = {
        name: Interval(
            central[name], min(r[name] for r in results.values()), max(r[name] for r in results.values())
        )
        for name in central
    }
    sums = {name: sum(r.values()) for name, r in results.items()}
    return intervals, Interval(sums["central"], min(sums.values()), max(sums.values()))
