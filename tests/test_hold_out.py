"""Samples held out of the training data: which ones, and that nobody trains on them."""

from __future__ import annotations

from dataclasses import replace
from pathlib import Path

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.data import Dataset, Drop, hold_out
from nirbridge.errors import BadInput, UsageError
from nirbridge.evaluate import read_config
from nirbridge.evaluate.sweep import sweep
from nirbridge.evaluate.training import data_of
from nirbridge.io import read_dataset, write_dataset
from nirbridge.spikes import Spikes

CONFIG = """
[graph]
dt = 1e-3
hidden = [4]
[data]
train = "train.h5"
drop = 0.1
[trainer]
epochs = 1
threads = 1
"""


def made(n: int = 12) -> Dataset:
    """Sample b has one spike, at b ms; groups 4, 5, 6 in turn."""
    at = np.arange(n)
    spikes = Spikes(at * 1e-3, at % 3, np.arange(n + 1), 3, 0.05)
    return Dataset(spikes, at % 2, ("a", "b"), 4 + at % 3, augmentations=(Drop(0.1),))


def places(data: Dataset) -> list[int]:
    return np.rint(data.spikes.times * 1e3).astype(int).tolist()


@given(st.integers(1, 11))
def test_a_number_is_of_last_samples(n: int) -> None:
    train, held = hold_out(made(), n)
    assert places(train) == list(range(12 - n)) and places(held) == list(range(12 - n, 12))
    assert held.augmentations == () and train.augmentations == made().augmentations


@given(st.sets(st.sampled_from([4, 5, 6]), min_size=1, max_size=2))
def test_groups_are_held_out_whole(groups: set[int]) -> None:
    train, held = hold_out(made(), sorted(groups))
    assert set(held.groups.tolist()) == groups and not set(train.groups.tolist()) & groups
    assert sorted(places(train) + places(held)) == list(range(12))


@pytest.mark.parametrize("which", [12, 99, [7], [4, 7], [4, 5, 6]])
def test_nothing_left_or_nothing_held_is_refused(which: int | list[int]) -> None:
    with pytest.raises(BadInput) as caught:
        hold_out(made(), which)
    assert caught.value.code == "NB515"


def test_data_without_groups_are_refused() -> None:
    with pytest.raises(BadInput, match="found no groups"):
        hold_out(replace(made(), groups=None), [4])


@pytest.fixture
def config(tmp_path: Path) -> Path:
    """train.h5 with speakers 4, 5, 6 and takes 0 … 3; valid.npz with one sample."""
    write_dataset(tmp_path / "train.h5", made())
    with h5py.File(tmp_path / "train.h5", "a") as file:
        file["extra/meta_info/take"] = np.arange(12) // 3
    write_dataset(tmp_path / "valid.npz", made(1))
    path = tmp_path / "training.toml"
    path.write_text(CONFIG)
    return path


@pytest.mark.parametrize(
    ("extra", "expected"),
    [
        (["data.hold_out=2"], [10, 11]),
        (["data.hold_out=[5]"], [1, 4, 7, 10]),
        (["data.groups=take", "data.hold_out=[2]"], [6, 7, 8]),
        (["data.groups=take", "data.hold_out=[0, 3]"], [0, 1, 2, 9, 10, 11]),
    ],
)
def test_a_configuration_holds_out_in_place_of_its_validation_data(config, tmp_path, extra, expected) -> None:
    checked = read_config(config, overrides=["data.valid=valid.npz", *extra])
    train, held = data_of(checked, tmp_path)
    assert held is not None and places(held) == expected
    assert places(train) == [b for b in range(12) if b not in expected]
    assert len(train.augmentations) == 1 and held.augmentations == ()


@pytest.mark.parametrize(
    "bad", ["data.hold_out=0", "data.hold_out=[]", "data.hold_out=0.5", "data.groups=age"]
)
def test_what_no_configuration_may_say(config, bad: str) -> None:
    with pytest.raises(UsageError) as caught:
        read_config(config, overrides=[bad])
    assert caught.value.code == "NB704"


def test_takes_are_groups_where_the_file_says_them(config, tmp_path) -> None:
    assert read_dataset(tmp_path / "train.h5", groups="take").groups.tolist() == (np.arange(12) // 3).tolist()
    assert read_dataset(tmp_path / "train.h5").groups.tolist() == made().groups.tolist()
    write_dataset(tmp_path / "plain.h5", made())
    assert read_dataset(tmp_path / "plain.h5", groups="take").groups is None


def test_a_sweep_tests_on_what_is_held_out(config, tmp_path) -> None:
    found = sweep(read_config(config, overrides=["data.hold_out=[4]", "sweep.seeds=[1, 2]"]), tmp_path)
    assert [trial.samples for trial in found.trials] == [4, 4]
