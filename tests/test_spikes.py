"""Laws of `Spikes`: steps at awkward multiples, round trips, selections, and what is refused."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes, step_count, step_of

DTS = (1e-3, 2e-3, 0.1, 1.0, 1 / 3, 2.5e-4, 1e-6)


@st.composite
def grids(draw: st.DrawFn) -> np.ndarray:
    """Counts (samples, steps, units), few of them above zero."""
    shape = draw(st.tuples(st.integers(0, 4), st.integers(1, 12), st.integers(1, 5)))
    seed = draw(st.integers(0, 2**32 - 1))
    rng = np.random.default_rng(seed)
    return rng.integers(0, 4, shape) * (rng.random(shape) < 0.4)


def valid(**changes: Any) -> Spikes:
    arrays: dict[str, Any] = {
        "times": [0.0, 0.2, 0.1],
        "units": [1, 0, 2],
        "offsets": [0, 2, 3],
        "n_units": 3,
        "duration": 0.5,
    }
    return Spikes(**(arrays | changes))


def same(a: Spikes, b: Spikes) -> bool:
    values = (a.values is None) == (b.values is None) and (
        a.values is None or np.array_equal(a.values, b.values)
    )
    names = ("times", "units", "offsets", "n_units", "duration")
    return values and all(np.array_equal(getattr(a, name), getattr(b, name)) for name in names)


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"times": [0.0, 0.2]}, "equally long"),
        ({"times": [[0.0, 0.2, 0.1]]}, "flat"),
        ({"values": [1, 2]}, "values"),
        ({"offsets": [0, 2]}, "offsets"),
        ({"offsets": [1, 2, 3]}, "offsets"),
        ({"offsets": [0, 4, 3]}, "not decrease"),
        ({"offsets": []}, "offsets"),
        ({"duration": np.inf}, "finite"),
        ({"duration": -1.0}, "not negative"),
        ({"times": [0.0, np.nan, 0.1]}, "spike 1 has a time that is not finite"),
        ({"times": [0.0, np.inf, 0.1]}, "spike 1 has a time that is not finite"),
        ({"times": [-0.1, 0.2, 0.1]}, r"expected \[0, 0.5\)"),
        ({"times": [0.0, 0.5, 0.1]}, r"expected \[0, 0.5\)"),
        ({"units": [1, -1, 2]}, r"expected \[0, 3\)"),
        ({"units": [1, 0, 3]}, r"expected \[0, 3\)"),
        ({"units": np.array([1, 0, 2**32 + 1])}, "whole numbers that int32"),
        ({"units": [1.0, 0.5, 2.0]}, "whole numbers"),
        ({"values": [1.0, 0.5, 2.0]}, "whole numbers"),
        ({"times": [0.2, 0.0, 0.1]}, "spike 1 does not"),
    ],
)
def test_what_breaks_a_rule_is_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        valid(**changes)
    assert caught.value.code == "NB501"


def test_times_may_fall_between_samples_only() -> None:
    assert valid().counts().tolist() == [2, 1]
    assert valid(offsets=[0, 0, 2, 3, 3]).n_samples == 4
    assert (len(valid(times=[], units=[], offsets=[0])), valid().n_samples) == (0, 2)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
@pytest.mark.parametrize("dt", DTS)
def test_a_multiple_of_dt_is_that_step(dt: float, dtype: type[np.floating]) -> None:
    k = np.unique(np.concatenate([np.arange(2000), np.geomspace(1, 10**6, 500).astype(np.int64)]))
    for times in (k * dt, k * float(dtype(dt)), (k * dt).astype(dtype)):
        assert np.array_equal(step_of(times.astype(dtype), dt), k)


@given(k=st.integers(0, 10**5), part=st.floats(0.05, 0.95), dt=st.sampled_from(DTS))
def test_between_multiples_the_lower_step_counts(k: int, part: float, dt: float) -> None:
    assert step_of(np.array([(k + part) * dt]), dt)[0] == k


@pytest.mark.parametrize("dt", DTS)
def test_as_many_steps_as_the_duration_holds(dt: float) -> None:
    assert all(step_count(k * dt, dt) == k for k in (0, 1, 3, 7, 300, 1000, 12345))
    assert step_count(2.5 * dt, dt) == 3


@given(part=st.floats(1 - 1e-12, 1, exclude_max=True))
def test_a_spike_just_before_the_end_is_in_the_last_step(part: float) -> None:
    spikes = Spikes([3 * 0.1 * part], [0], [0, 1], 1, 3 * 0.1)
    assert spikes.to_dense(0.1)[0, :, 0].tolist() == [0, 0, 1]


@given(grid=grids(), dt=st.sampled_from(DTS))
def test_a_grid_comes_back(grid: np.ndarray, dt: float) -> None:
    spikes = Spikes.from_dense(grid, dt)
    assert np.array_equal(spikes.to_dense(dt), grid)
    assert np.array_equal(spikes.counts(), grid.sum(axis=(1, 2)))
    assert spikes.n_steps(dt) == grid.shape[1]


@pytest.mark.parametrize(
    "grid",
    [np.zeros((2, 3)), [[[0, -1]]], [[[0.5, 1]]], [[[np.nan, 1]]]],
    ids=["flat", "minus", "half", "nan"],
)
def test_a_grid_without_counts_is_refused(grid: Any) -> None:
    with pytest.raises(BadInput) as caught:
        Spikes.from_dense(grid, 1e-3)
    assert caught.value.code == "NB501"


def test_graded_spikes_add_their_values_on_a_grid() -> None:
    spikes = Spikes([0.0, 0.0, 0.1], [1, 1, 0], [0, 3], 2, 0.2, [5, -2, 7])
    assert spikes.to_dense(0.1).tolist() == [[[0, 3], [7, 0]]]


@given(grid=grids())
def test_event_data_come_back(grid: np.ndarray) -> None:
    spikes = Spikes.from_dense(grid, 2e-3)
    padded = spikes.to_event_data()
    assert isinstance(padded, nir.EventData)
    assert padded.idx.shape == (len(grid), int(spikes.counts().max(initial=0)))
    assert same(Spikes.from_event_data(padded), spikes)


def test_graded_spikes_are_no_event_data() -> None:
    with pytest.raises(BadInput, match="graded"):
        valid(values=[1, 2, 3]).to_event_data()


@given(grid=grids(), seed=st.integers(0, 100))
def test_loose_events_are_sorted(grid: np.ndarray, seed: int) -> None:
    spikes = Spikes.from_dense(grid, 1e-3)
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    mixed = np.random.default_rng(seed).permutation(len(sample))
    back = Spikes.from_events(
        spikes.times[mixed],
        spikes.units[mixed],
        sample[mixed],
        n_samples=spikes.n_samples,
        n_units=spikes.n_units,
        duration=spikes.duration,
    )
    assert same(back, spikes)


@pytest.mark.parametrize("changes", [{"samples": [0, 2]}, {"samples": [-1, 0]}, {"units": [0, 2**40]}])
def test_loose_events_outside_the_batch_are_refused(changes: dict[str, Any]) -> None:
    events = {"times": [0.1, 0.2], "units": [0, 1], "samples": [0, 1]} | changes
    with pytest.raises(BadInput) as caught:
        Spikes.from_events(**events, n_samples=2, n_units=3, duration=1.0)
    assert caught.value.code == "NB501"


@given(grid=grids(), data=st.data())
def test_selecting_is_indexing_of_samples(grid: np.ndarray, data: st.DataObject) -> None:
    spikes = Spikes.from_dense(grid, 1e-3)
    places = st.integers(-len(grid), len(grid) - 1)
    index = data.draw(st.lists(places, max_size=6)) if len(grid) else []
    mask = np.array([i % 2 == 0 for i in range(len(grid))], dtype=bool)
    for chosen in (np.array(index, dtype=int), mask):
        assert np.array_equal(spikes.select(chosen).to_dense(1e-3), grid[chosen])


@given(grid=grids(), parts=st.integers(1, 4))
def test_joining_the_parts_gives_the_whole(grid: np.ndarray, parts: int) -> None:
    spikes = Spikes.from_dense(grid, 1e-3)
    pieces = [spikes.select(index) for index in np.array_split(np.arange(len(grid)), parts)]
    assert same(Spikes.join(pieces), spikes)


def test_values_travel_with_their_spikes() -> None:
    graded = valid(values=[7, 8, 9])
    assert graded.select([1, 0]).values.tolist() == [9, 7, 8]
    assert same(Spikes.join([graded.select([0]), graded.select([1])]), graded)
    assert graded.with_duration(0.15)[0].values.tolist() == [7, 9]


@pytest.mark.parametrize(
    "parts",
    [[], [valid(), valid(n_units=4)], [valid(), valid(duration=1.0)], [valid(), valid(values=[1, 1, 1])]],
    ids=["none", "units", "duration", "graded"],
)
def test_batches_that_differ_are_not_joined(parts: list[Spikes]) -> None:
    with pytest.raises(BadInput) as caught:
        Spikes.join(parts)
    assert caught.value.code == "NB501"


@settings(max_examples=50)
@given(grid=grids(), steps=st.integers(0, 15))
def test_a_shorter_duration_drops_what_lies_beyond(grid: np.ndarray, steps: int) -> None:
    spikes = Spikes.from_dense(grid, 1.0)
    cut, lost = spikes.with_duration(float(steps))
    assert (cut.duration, cut.n_samples) == (float(steps), spikes.n_samples)
    assert lost == grid[:, steps:].sum()
    assert cut.counts().sum() + lost == grid.sum()
    kept = grid[:, :steps]
    assert np.array_equal(cut.to_dense(1.0)[:, : kept.shape[1]], kept)


def test_units_can_only_be_added() -> None:
    assert same(valid().with_units(9).with_units(3), valid())
    with pytest.raises(BadInput):
        valid().with_units(2)
