"""Laws of `Dataset` and of its augmentation."""

from __future__ import annotations

from dataclasses import replace
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.data import ChannelShift, Dataset
from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes


def spikes(n: int = 5, units: int = 8) -> Spikes:
    rng = np.random.default_rng(n)
    grid = rng.random((n, 10, units)) < 0.4
    return Spikes.from_dense(grid, 1e-3)


def made(**changes: Any) -> Dataset:
    fields: dict[str, Any] = {
        "spikes": spikes(),
        "labels": [2, 0, 1, 1, 0],
        "classes": ("a", "b", "c"),
        "groups": [9, 9, 4, 4, 4],
        "source": "made.npz",
    }
    return Dataset(**(fields | changes))


@pytest.mark.parametrize(
    ("changes", "words"),
    [
        ({"labels": [0, 1]}, "5 samples but labels of shape"),
        ({"groups": [0, 1]}, "5 samples but groups of shape"),
        ({"labels": [0, 1, 3, 0, 0]}, "sample 2 has label 3, expected 0 to 2"),
        ({"labels": [0, 1, 0, -1, 0]}, "sample 3 has label -1"),
        ({"labels": [0, 1, 0, -1, 0], "classes": ()}, "sample 3 has label -1"),
    ],
)
def test_labels_that_do_not_fit_are_refused(changes: dict[str, Any], words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        made(**changes)
    assert caught.value.code == "NB503"
    assert caught.value.message.startswith("made.npz: ")


def test_classes_are_named_by_number_where_the_data_name_none() -> None:
    assert made(classes=()).classes == ("0", "1", "2")
    assert made(labels=None, classes=()).classes == ()


@pytest.mark.parametrize("n", [1, 2, 5, 7])
def test_batches_in_order_are_the_whole(n: int) -> None:
    data = made()
    parts = list(data.batches(n))
    assert [len(part) for part in parts] == [min(n, 5 - at) for at in range(0, 5, n)]
    assert np.array_equal(np.concatenate([part.labels for part in parts]), data.labels)
    assert np.array_equal(np.concatenate([part.groups for part in parts]), data.groups)
    joined = Spikes.join([part.spikes for part in parts])
    assert np.array_equal(joined.to_dense(1e-3), data.spikes.to_dense(1e-3))
    assert all(part.classes == data.classes for part in parts)


def test_selecting_takes_samples_labels_and_groups_alike() -> None:
    data = made()
    for index in ([3, 0, 3], np.array([True, False, False, True, False])):
        part = data.select(index)
        assert np.array_equal(part.labels, data.labels[np.asarray(index)])
        assert np.array_equal(part.groups, data.groups[np.asarray(index)])
        assert np.array_equal(part.spikes.to_dense(1e-3), data.spikes.to_dense(1e-3)[np.asarray(index)])


def test_the_head_is_at_most_all() -> None:
    data = made()
    assert data.head(None) is data
    assert data.head(9) is data
    assert np.array_equal(data.head(2).labels, [2, 0])


def test_spikes_of_other_samples_are_refused() -> None:
    with pytest.raises(BadInput):
        made().with_spikes(spikes(4))


@given(channels=st.integers(0, 12), seed=st.integers(0, 1000))
def test_a_channel_shift_moves_each_sample_by_one_number(channels: int, seed: int) -> None:
    data = made()
    moved = ChannelShift(channels)(data, np.random.default_rng(seed))
    before, after = data.spikes.to_dense(1e-3), moved.spikes.to_dense(1e-3)
    width = data.spikes.n_units
    for a, b in zip(before, after, strict=True):
        padded = np.pad(a, ((0, 0), (channels, channels)))
        shifts = [padded[:, channels - s : channels - s + width] for s in range(-channels, channels + 1)]
        assert any(np.array_equal(b, shifted) for shifted in shifts)
    assert np.array_equal(moved.labels, data.labels)


def test_every_shift_in_the_range_is_drawn() -> None:
    one = Spikes(np.zeros(4000), np.full(4000, 10), np.arange(4001), 21, 1.0)
    moved = ChannelShift(3)(Dataset(one), np.random.default_rng(0))
    assert sorted(set(moved.spikes.units.tolist())) == list(range(7, 14))
    assert moved.spikes.counts().min() == 1


def test_augmentation_is_seeded_and_only_where_asked() -> None:
    data = replace(made(), augmentations=(ChannelShift(2), ChannelShift(1)))
    first, again, other = (data.augmented(np.random.default_rng(seed)).spikes for seed in (1, 1, 2))
    assert np.array_equal(first.to_dense(1e-3), again.to_dense(1e-3))
    assert not np.array_equal(first.to_dense(1e-3), other.to_dense(1e-3))
    assert data.select([0, 1]).augmentations == data.augmentations
    assert np.array_equal(next(iter(data.batches(5))).spikes.units, data.spikes.units)


def test_graded_values_follow_their_spikes_through_a_shift() -> None:
    graded = Spikes([0.0, 0.0], [0, 1], [0, 2], 2, 1.0, [5, 6])
    for seed in range(10):
        moved = ChannelShift(1)(Dataset(graded), np.random.default_rng(seed)).spikes
        came_from = {5: 0, 6: 1}
        shift = {int(u) - came_from[int(v)] for u, v in zip(moved.units, moved.values, strict=True)}
        assert len(shift) <= 1
