"""How far recordings agree, and where first they do not, on cases made by hand."""

from __future__ import annotations

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.analysis import agreement, first_difference, paired_change
from nirbridge.spikes import Spikes

DT, SHAPE = 1e-3, (2, 5, 3)  # samples, steps, units
Cell = tuple[int, int, int]
cells = st.sets(st.tuples(st.integers(0, 1), st.integers(0, 4), st.integers(0, 2)))


def made(*held: Cell) -> Spikes:
    grid = np.zeros(SHAPE, dtype=int)
    for sample, step, unit in held:
        grid[sample, step, unit] += 1
    return Spikes.from_dense(grid, DT)


def test_agreement_counts_cells() -> None:
    first = made((0, 1, 2), (0, 4, 0), (1, 0, 0))
    second = made((0, 1, 2), (0, 3, 0), (1, 0, 0), (1, 4, 2))
    found = agreement("h", first, second, DT)
    assert (found.node, found.matched, found.missing, found.extra) == ("h", 2, 1, 2)
    assert found.share == pytest.approx(2 / 5)


def test_a_cell_counts_once_and_silence_agrees() -> None:
    found = agreement("h", made((0, 0, 0), (0, 0, 0)), made((0, 0, 0)), DT)
    assert (found.matched, found.missing, found.extra, found.share) == (1, 0, 0, 1.0)
    assert agreement("h", made(), made(), DT).share == 1.0


@given(a=cells, b=cells)
def test_agreement_is_that_of_sets(a: set[Cell], b: set[Cell]) -> None:
    found = agreement("h", made(*a), made(*b), DT)
    assert (found.matched, found.missing, found.extra) == (len(a & b), len(a - b), len(b - a))
    back = agreement("h", made(*b), made(*a), DT)
    assert (back.missing, back.extra, back.share) == (found.extra, found.missing, found.share)


@pytest.mark.parametrize(
    ("first", "second", "expected"),
    [
        ({"a": [(0, 2, 1)], "b": []}, {"a": [(0, 2, 1)], "b": []}, None),
        # the earliest step of the first sample wins, even where a later node holds it
        ({"a": [(0, 3, 0)], "b": [(0, 2, 1)]}, {"a": [], "b": []}, (0, 2, "b", 1, "first")),
        ({"a": [(1, 0, 0)], "b": [(0, 4, 2)]}, {"a": [], "b": []}, (0, 4, "b", 2, "first")),
        # in one step the earlier node wins, then the lower neuron
        ({"a": [(0, 2, 2)], "b": [(0, 2, 0)]}, {"a": [], "b": []}, (0, 2, "a", 2, "first")),
        ({"a": [(0, 2, 2), (0, 2, 1)], "b": []}, {"a": [], "b": []}, (0, 2, "a", 1, "first")),
        ({"a": [], "b": []}, {"a": [], "b": [(1, 1, 1)]}, (1, 1, "b", 1, "second")),
        # a spike one step late: what is missing comes before what is extra
        ({"a": [(0, 1, 0)], "b": []}, {"a": [(0, 2, 0)], "b": []}, (0, 1, "a", 0, "first")),
    ],
)
def test_the_first_difference(
    first: dict[str, list[Cell]],
    second: dict[str, list[Cell]],
    expected: tuple[int, int, str, int, str] | None,
) -> None:
    found = first_difference(
        {node: made(*held) for node, held in first.items()},
        {node: made(*held) for node, held in second.items()},
        DT,
    )
    if expected is None:
        assert found is None
    else:
        assert found is not None
        assert (found.sample, found.step, found.node, found.neuron, found.spiked) == expected
        assert str(found) == f"{expected[2]}[{expected[3]}] step {expected[1]}"


@given(a=st.tuples(cells, cells), b=st.tuples(cells, cells))
def test_nothing_differs_before_the_first_difference(
    a: tuple[set[Cell], set[Cell]], b: tuple[set[Cell], set[Cell]]
) -> None:
    names = ("n", "m")
    found = first_difference(
        dict(zip(names, (made(*x) for x in a), strict=True)),
        dict(zip(names, (made(*x) for x in b), strict=True)),
        DT,
    )
    differing = [(cell[0], cell[1], at, cell[2]) for at in range(2) for cell in a[at] ^ b[at]]
    if not differing:
        assert found is None
    else:
        assert found is not None
        key = min(differing)
        assert (found.sample, found.step, names.index(found.node), found.neuron) == key
        side = a if found.spiked == "first" else b
        assert (key[0], key[1], key[3]) in side[key[2]]


def test_paired_change_is_mcnemars_table() -> None:
    labels = np.array([0, 0, 1, 1, 2, 2, 2])
    first = np.array([0, 0, 1, 0, 0, 2, 2])
    second = np.array([0, 1, 1, 1, 2, 2, 1])
    found = paired_change(first, second, labels)
    assert (found.n, found.gained, found.lost, found.change) == (7, 2, 2, 0)
    assert found.se == 2.0
    same = paired_change(first, first, labels)
    assert (same.gained, same.lost, same.change, same.se) == (0, 0, 0, 0.0)
