"""Laws of the augmentations: what each keeps, what it moves, and that the generator alone decides."""

from __future__ import annotations

from dataclasses import replace

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.data import Blend, ChannelShift, Dataset, Drop, Jitter, NeighbourSwap, TimeStretch
from nirbridge.spikes import Spikes

EVERY = [
    Blend(0.7),
    ChannelShift(4),
    Drop(0.3),
    Jitter(1.5, 0.004),
    NeighbourSwap(0.5),
    TimeStretch(0.3),
]


def example(seed: int = 0, samples: int = 9, units: int = 21, graded: bool = False) -> Dataset:
    rng = np.random.default_rng(seed)
    n = 60 * samples
    sample = np.sort(rng.integers(0, samples, n))
    spikes = Spikes.from_events(
        rng.uniform(0, 0.5, n),
        rng.integers(0, units, n),
        sample,
        n_samples=samples,
        n_units=units,
        duration=0.5,
        values=rng.integers(1, 9, n) if graded else None,
    )
    return Dataset(spikes, rng.integers(0, 3, samples), ("a", "b", "c"))


def vary(augmentation, data: Dataset, seed: int = 1) -> Spikes:
    return augmentation(data, np.random.default_rng(seed)).spikes


def events(spikes: Spikes, b: int) -> list[tuple[float, int]]:
    one = spikes.select([b])
    return list(zip(one.times.tolist(), one.units.tolist(), strict=True))


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda a: type(a).__name__)
@settings(deadline=None, max_examples=30)
@given(seed=st.integers(0, 10_000), graded=st.booleans())
def test_the_generator_alone_decides_and_the_data_stay_valid(augmentation, seed, graded):
    data = example(seed, graded=graded)
    one, again = vary(augmentation, data, seed), vary(augmentation, data, seed)
    assert one.times.tobytes() == again.times.tobytes()
    assert one.units.tobytes() == again.units.tobytes()
    assert (one.n_units, one.duration, one.n_samples) == (21, 0.5, 9)
    assert (one.values is None) == (not graded)
    kept = augmentation(data, np.random.default_rng(seed))
    np.testing.assert_array_equal(kept.labels, data.labels)


@pytest.mark.parametrize("augmentation", EVERY, ids=lambda a: type(a).__name__)
def test_it_changes_something_and_no_samples_are_fine(augmentation):
    data = example()
    assert vary(augmentation, data).times.tobytes() + vary(augmentation, data).units.tobytes() != (
        data.spikes.times.tobytes() + data.spikes.units.tobytes()
    )
    assert len(vary(augmentation, data.select([])).times) == 0
    empty = Dataset(Spikes([], [], [0, 0, 0], 21, 0.5), [0, 0], ("a",))
    assert vary(augmentation, empty).n_samples == 2


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_swap_exchanges_neighbours_and_nothing_else(seed):
    data = example(seed, samples=4)
    swapped = vary(NeighbourSwap(0.5), data, seed)
    assert swapped.times.tobytes() == data.spikes.times.tobytes()
    assert np.abs(swapped.units - data.spikes.units).max() <= 1
    for b in range(4):
        before, after = (np.bincount(s.select([b]).units, minlength=21) for s in (data.spikes, swapped))
        assert any(pairs_agree(before, after, first) for first in (0, 1))


def pairs_agree(before: np.ndarray, after: np.ndarray, first: int) -> bool:
    """Every pair from ``first`` on has its two counts, in one order or the other; the rest stays."""
    end = first + (21 - first) // 2 * 2
    pairs = zip(before[first:end].reshape(-1, 2), after[first:end].reshape(-1, 2), strict=True)
    same = all(sorted(x) == sorted(y) for x, y in pairs)
    return same and (before[:first] == after[:first]).all() and (before[end:] == after[end:]).all()


def test_a_certain_swap_moves_every_paired_channel():
    moved = vary(NeighbourSwap(1.0), example(units=20, samples=1))
    distance = np.abs(moved.units - example(units=20, samples=1).spikes.units)
    assert (distance == 1).mean() > 0.85  # at most the two outermost channels have no partner


@settings(deadline=None, max_examples=30)
@given(st.integers(0, 10_000))
def test_a_stretch_multiplies_all_times_of_a_sample_by_one_factor(seed):
    data = example(seed, samples=3)
    stretched = vary(TimeStretch(0.2), data, seed)
    for b in range(3):
        before, after = events(data.spikes, b), events(stretched, b)
        factor = after[0][0] / before[0][0]
        assert 0.8 <= factor <= 1.2
        expected = [(t * factor, u) for t, u in before if t * factor < 0.5 - 1e-12]
        assert [u for _, u in expected] == [u for _, u in after]
        np.testing.assert_allclose([t for t, _ in after], [t for t, _ in expected], rtol=1e-12)


@pytest.mark.parametrize("chance", [0.0, 0.3, 1.0])
def test_drop_leaves_out_its_share(chance):
    data = example(samples=200)
    left = vary(Drop(chance), data)
    share = 1 - len(left.times) / len(data.spikes.times)
    assert abs(share - chance) < 0.02
    for b in range(5):
        assert set(events(left, b)) <= set(events(data.spikes, b))


def test_jitter_has_the_deviation_that_it_states():
    n = 20_000
    middle = Spikes(np.full(n, 0.25), np.full(n, 500), [0, n], 1000, 0.5)
    moved = vary(Jitter(3.0, 0.01), Dataset(middle))
    assert moved.units.std() == pytest.approx(3.0, rel=0.03)
    assert moved.times.std() == pytest.approx(0.01, rel=0.03)
    assert vary(Jitter(3.0), Dataset(middle)).times.tobytes() == middle.times.tobytes()
    assert vary(Jitter(time=0.01), Dataset(middle)).units.tobytes() == middle.units.tobytes()


def test_a_blend_is_half_of_each_moved_to_the_common_mean():
    """Two samples of one class: their events lie on two shifted copies, about half of each is there."""
    rng = np.random.default_rng(0)
    n = 4000
    times = np.sort(rng.uniform([[0.1], [0.2]], [[0.2], [0.3]], (2, n)))
    units = rng.integers([[20], [40]], [[30], [50]], (2, n))
    spikes = Spikes(times.reshape(-1), units.reshape(-1), [0, n, 2 * n], 100, 0.5)
    blended = vary(Blend(1.0), Dataset(spikes, [1, 1], ("a", "b")))
    mean_unit, mean_time = units.mean(axis=1), times.mean(axis=1)
    shift_unit = np.rint((mean_unit[::-1] - mean_unit) / 2).astype(int)
    shift_time = (mean_time[::-1] - mean_time) / 2
    for b in (0, 1):
        found = {(round(t, 9), u) for t, u in events(blended, b)}
        parts = []
        for p in (0, 1):
            when, where = times[p] + shift_time[p], units[p] + shift_unit[p]
            whole = {(round(t, 9), u) for t, u in zip(when.tolist(), where.tolist(), strict=True)}
            parts.append(len(found & whole) / len(whole))
        assert all(abs(share - 0.5) < 0.05 for share in parts), parts
        assert len(found) == round(sum(parts) * n)


def test_a_blend_keeps_to_the_class_and_needs_a_partner():
    labels = np.array([0, 1, 1, 2])
    spikes = Spikes(np.full(40, 0.1), np.repeat(np.arange(4) * 10, 10), [0, 10, 20, 30, 40], 40, 0.5)
    mixed = vary(Blend(1.0), Dataset(spikes, labels, ("a", "b", "c")))
    for b in (0, 3):
        assert events(mixed, b) == events(spikes, b)
    assert {u for b in (1, 2) for _, u in events(mixed, b)} <= {15}
    unlabelled = Dataset(spikes)
    assert vary(Blend(1.0), unlabelled).units.tobytes() == spikes.units.tobytes()


def test_the_configuration_names_them_in_their_order(tmp_path):
    from nirbridge.evaluate.config import read_config
    from nirbridge.evaluate.training import data_of

    path = tmp_path / "c.toml"
    path.write_text(
        '[data]\ntrain = "yin-yang:train:9"\ndrop = 0.1\njitter_time = 1e-3\nswap = 0.2\nshift = 1\n'
        "stretch = 0.1\nblend = 0.5\n[graph]\ndt = 1e-3\nhidden = [4]\n"
    )
    train, _ = data_of(read_config(path), tmp_path)
    assert train.augmentations == (
        Blend(0.5),
        TimeStretch(0.1),
        ChannelShift(1),
        NeighbourSwap(0.2),
        Jitter(0.0, 1e-3),
        Drop(0.1),
    )
    assert replace(train, augmentations=()).augmented(np.random.default_rng(0)).spikes is train.spikes
