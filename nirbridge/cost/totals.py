"""The sum of a cost's terms, with the basis and the source of one and the same term."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Literal

from nirbridge.cost.corners import Interval, worst_basis
from nirbridge.cost.types import Per, Term, Total

WEIGHTY = 0.05  # share of the sum from which a term's basis counts


def weakest_term(terms: Sequence[Term], value: float) -> Term:
    """The term that a sum's claim rests on: of those that make 5 % of it, the weakest basis.

    The largest of them where several share that basis.
    """
    heavy = [t for t in terms if t.value is not None and t.value >= WEIGHTY * value] or list(terms)
    worst = worst_basis(t.basis for t in heavy)
    return max((t for t in heavy if t.basis == worst), key=lambda t: t.value or 0.0)


def total_of(interval: Interval, terms: Sequence[Term], unit: Literal["J", "s"], *, per: Per) -> Total:
    """A sum whose basis and source are those of `weakest_term`; the source starts with its name."""
    term = weakest_term(terms, interval.value)
    return Total(
        value=interval.value,
        low=interval.low,
        high=interval.high,
        unit=unit,
        basis=term.basis,
        source=f"{term.name}: {term.source}",
        per=per,
    )
