"""Labelled spikes in files: what is written comes back, and each bad file is named for what it is."""

from __future__ import annotations

import gzip
import os
from pathlib import Path

import h5py
import numpy as np
import pytest

from nirbridge.data import Dataset
from nirbridge.errors import BadInput
from nirbridge.io.datasets import ENDINGS, read_dataset, write_dataset
from nirbridge.io.yin_yang import yin_yang
from nirbridge.spikes import Spikes


def made(seed: int = 0, *, labels: bool = True, groups: bool = True) -> Dataset:
    rng = np.random.default_rng(seed)
    spikes = Spikes.from_events(
        rng.random(200) * 0.1,
        rng.integers(0, 7, 200),
        rng.integers(0, 5, 200),
        n_samples=6,  # the last one is empty
        n_units=9,
        duration=0.125,
    )
    return Dataset(
        spikes,
        rng.integers(0, 3, 6) if labels else None,
        ("null", "fünf", "zwölf") if labels else (),
        rng.integers(0, 2, 6) if groups else None,
    )


def arrays_of(dataset: Dataset) -> dict[str, np.ndarray]:
    spikes = dataset.spikes
    return {"times": spikes.times, "units": spikes.units, "offsets": spikes.offsets, "labels": dataset.labels}


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize(("labels", "groups"), [(True, True), (True, False), (False, False)])
def test_what_is_written_comes_back(tmp_path: Path, ending: str, labels: bool, groups: bool) -> None:
    data = made(labels=labels, groups=groups)
    path = tmp_path / f"data{ending}"
    write_dataset(path, data)
    back = read_dataset(path)
    for name in ("times", "units", "offsets", "n_units", "duration"):
        assert np.array_equal(getattr(back.spikes, name), getattr(data.spikes, name)), name
    assert back.classes == data.classes
    for name in ("labels", "groups"):
        a, b = getattr(back, name), getattr(data, name)
        assert (a is None) == (b is None) and (a is None or np.array_equal(a, b))
    assert [path.name for path in tmp_path.iterdir()] == [f"data{ending}"]


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("n", [0, 1, 4])
def test_samples_of_one_length_come_back(tmp_path: Path, ending: str, n: int) -> None:
    data = yin_yang("test", n)
    path = tmp_path / f"data{ending}"
    write_dataset(path, data)
    back = read_dataset(path)
    assert np.array_equal(back.spikes.times, data.spikes.times)
    assert np.array_equal(back.spikes.offsets, data.spikes.offsets)
    assert np.array_equal(back.labels, data.labels)


@pytest.mark.parametrize("ending", ENDINGS)
def test_the_same_data_give_the_same_bytes(tmp_path: Path, ending: str) -> None:
    for name in ("a", "b"):
        write_dataset(tmp_path / f"{name}{ending}", made())
    assert (tmp_path / f"a{ending}").read_bytes() == (tmp_path / f"b{ending}").read_bytes()


def test_graded_spikes_fit_an_npz_only(tmp_path: Path) -> None:
    data = made()
    spikes = data.spikes
    graded = data.with_spikes(
        Spikes(spikes.times, spikes.units, spikes.offsets, 9, 0.125, np.arange(200, dtype=np.int32))
    )
    write_dataset(tmp_path / "g.npz", graded)
    assert np.array_equal(read_dataset(tmp_path / "g.npz").spikes.values, np.arange(200))
    with pytest.raises(BadInput, match="graded"):
        write_dataset(tmp_path / "g.h5", graded)
    assert not (tmp_path / "g.h5").exists()


def test_float16_seconds_are_cast_before_use_and_sorted(tmp_path: Path) -> None:
    path = tmp_path / "half.h5"
    with h5py.File(path, "w") as file:
        times = file.create_dataset("spikes/times", (2,), dtype=h5py.vlen_dtype(np.float16))
        units = file.create_dataset("spikes/units", (2,), dtype=h5py.vlen_dtype(np.uint16))
        times[0], units[0] = np.float16([0.5, 0.25, 0.25]), np.uint16([3, 2, 1])
        times[1], units[1] = np.float16([]), np.uint16([])
        file["labels"] = np.uint16([1, 0])
        file["extra/keys"] = np.array([b"null", "fünf".encode()])
    data = read_dataset(path)
    assert data.spikes.times.dtype == np.float64
    assert data.spikes.times.tolist() == [0.25, 0.25, 0.5]
    assert data.spikes.units.tolist() == [2, 1, 3]  # spikes of one time keep the file's order
    assert (data.spikes.n_units, data.spikes.duration) == (4, 0.501)
    assert data.classes == ("null", "fünf")
    assert data.groups is None


def test_units_and_duration_can_be_stated(tmp_path: Path) -> None:
    np.savez(tmp_path / "d.npz", **arrays_of(made()))
    data = read_dataset(tmp_path / "d.npz", n_units=24, duration=1.4)
    assert (data.spikes.n_units, data.spikes.duration) == (24, 1.4)
    with pytest.raises(BadInput, match=r"sample \d, spike \d+: unit 6, expected 0 to 5"):
        read_dataset(tmp_path / "d.npz", n_units=6)
    with pytest.raises(BadInput, match="before the duration asked for"):
        read_dataset(tmp_path / "d.npz", duration=0.05)


def test_meta_info_duration_counts(tmp_path: Path) -> None:
    write_dataset(tmp_path / "d.h5", made())
    with h5py.File(tmp_path / "d.h5", "a") as file:
        del file["spikes"].attrs["duration"]
        file["extra/meta_info/duration"] = np.float32([0.1] * 5 + [0.2995])
    assert read_dataset(tmp_path / "d.h5").spikes.duration == 0.3


def expect(path: Path, code: str, *words: str) -> None:
    with pytest.raises(BadInput) as caught:
        read_dataset(path)
    assert caught.value.code == code
    assert caught.value.exit_code == 3
    assert path.name in caught.value.message
    for word in words:
        assert word in caught.value.message
    assert caught.value.fix


@pytest.mark.parametrize(
    ("change", "code", "words"),
    [
        ({"labels": [0, 1, 2, 0, 1, -1]}, "NB503", ["sample 5", "-1"]),
        ({"labels": [0, 1, 2, 0, 1, 3], "classes": ["a", "b", "c"]}, "NB503", ["label 3", "0 to 2"]),
        ({"labels": [0, 1, 2, 0, 1, 10**12]}, "NB503", ["label 1000000000000"]),
        ({"labels": [0, 1, 2]}, "NB503", ["6 samples"]),
        ({"labels": [0, 1, 2, 0, 1, 0.5]}, "NB503", ["0.5", "whole"]),
        ({"offsets": [0, 5]}, "NB501", ["offsets", "200"]),
        ({"offsets": [0, 50, 20, 100, 150, 160, 200]}, "NB501", ["offsets fall"]),
        ({"units": np.zeros(199)}, "NB501", ["(199,)"]),
        ({"times": np.array(["a"] * 200)}, "NB501", ["dtype"]),
        ({"n_units": np.float64("nan")}, "NB501", ["n_units"]),
    ],
)
def test_bad_arrays_are_named(tmp_path: Path, change: dict, code: str, words: list[str]) -> None:
    np.savez(tmp_path / "bad.npz", **{**arrays_of(made()), **change})
    expect(tmp_path / "bad.npz", code, *words)


@pytest.mark.parametrize(
    ("name", "value", "word"),
    [("times", np.nan, "nan"), ("times", -0.5, "-0.5"), ("times", np.inf, "inf"), ("units", -3, "-3")],
)
@pytest.mark.parametrize("ending", [".npz", ".h5", ".h5.gz"])
def test_bad_spikes_are_named_by_sample(
    tmp_path: Path, ending: str, name: str, value: float, word: str
) -> None:
    data = made()
    getattr(data.spikes, name)[int(data.spikes.offsets[2]) + 4] = value
    write = {"times": data.spikes.times, "units": data.spikes.units.astype(np.int32)}
    path = tmp_path / f"bad{ending}"
    if ending == ".npz":
        np.savez(path, offsets=data.spikes.offsets, **write)
    else:
        with h5py.File(tmp_path / "raw", "w") as file:
            for key, flat in write.items():
                out = file.create_dataset(f"spikes/{key}", (6,), dtype=h5py.vlen_dtype(flat.dtype))
                for at, row in enumerate(np.split(flat, data.spikes.offsets[1:-1])):
                    out[at] = row
        content = (tmp_path / "raw").read_bytes()
        path.write_bytes(gzip.compress(content) if ending.endswith("gz") else content)
    expect(path, "NB501", "sample 2", "spike 4", word)


@pytest.mark.parametrize("ending", ENDINGS)
@pytest.mark.parametrize("keep", [0, 3, 1000, -40])
def test_a_truncated_file_is_named(tmp_path: Path, ending: str, keep: int) -> None:
    path = tmp_path / f"cut{ending}"
    write_dataset(path, made())
    path.write_bytes(path.read_bytes()[:keep])
    expect(path, "NB001", "cannot be read as HDF5" if ending == ".nir" else "not a readable")


def test_a_missing_file_and_a_folder_are_named(tmp_path: Path) -> None:
    expect(tmp_path / "none.h5", "NB001", "no such file")
    (tmp_path / "folder.npz").mkdir()
    expect(tmp_path / "folder.npz", "NB001", "folder")


def test_an_unknown_ending_is_named(tmp_path: Path) -> None:
    (tmp_path / "data.csv").write_text("1,2")
    expect(tmp_path / "data.csv", "NB509", ".csv", ".npz")
    with pytest.raises(BadInput, match=r"\.mat"):
        write_dataset(tmp_path / "data.mat", made())


def test_an_npz_of_images_is_no_spikes_file(tmp_path: Path) -> None:
    np.savez(tmp_path / "mnist.npz", x=np.zeros((3, 28, 28)), y=np.zeros(3))
    expect(tmp_path / "mnist.npz", "NB507", "x (3, 28, 28)", "offsets")


def test_nothing_is_unpickled(tmp_path: Path) -> None:
    np.savez(tmp_path / "p.npz", times=np.array([{}, {}], dtype=object), units=[0, 1], offsets=[0, 2])
    expect(tmp_path / "p.npz", "NB001")


def test_an_hdf5_file_without_spikes_is_named(tmp_path: Path) -> None:
    with h5py.File(tmp_path / "g.h5", "w") as file:
        file["node/weight"] = np.zeros(3)
    expect(tmp_path / "g.h5", "NB507", "node", "spikes/times")
    with h5py.File(tmp_path / "flat.h5", "w") as file:
        file["spikes/times"] = np.zeros(3)
        file["spikes/units"] = np.zeros(3)
    expect(tmp_path / "flat.h5", "NB507", "variable length")


def test_links_out_of_the_file_are_refused(tmp_path: Path) -> None:
    write_dataset(tmp_path / "good.h5", made())
    for name, link, code in (
        ("external", h5py.ExternalLink("good.h5", "/spikes"), "NB002"),
        ("soft", h5py.SoftLink("/other"), "NB003"),
    ):
        with h5py.File(tmp_path / f"{name}.h5", "w") as file:
            file["spikes"] = link
            file.create_group("other")
        expect(tmp_path / f"{name}.h5", code, "link")


@pytest.mark.parametrize("ending", [".npz", ".h5.gz", ".h5"])
def test_size_is_bounded(tmp_path: Path, ending: str) -> None:
    path = tmp_path / f"big{ending}"
    write_dataset(path, made())
    with pytest.raises(BadInput) as caught:
        read_dataset(path, max_bytes=1000)
    assert caught.value.code == "NB007"


def test_a_failed_write_leaves_the_old_file(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    path = tmp_path / "data.npz"
    write_dataset(path, made())
    before = path.read_bytes()

    def fail(*args: object, **options: object) -> None:
        raise KeyboardInterrupt

    monkeypatch.setattr(np, "savez_compressed", fail)
    with pytest.raises(KeyboardInterrupt):
        write_dataset(path, made(1))
    assert path.read_bytes() == before
    assert [path.name for path in tmp_path.iterdir()] == ["data.npz"]


def shipped() -> Path:
    return Path(os.environ.get("NIRBRIDGE_DATA", "../shared/data"))


@pytest.mark.skipif(not shipped().is_dir(), reason="no data folder: set NIRBRIDGE_DATA")
def test_the_shipped_spoken_digits_read_as_described() -> None:
    data = read_dataset(shipped() / "fsdd_valid.h5.gz")
    assert (len(data), data.spikes.n_units, data.spikes.duration) == (160, 700, 1.148)
    assert data.spikes.counts().max() == 10388
    assert data.classes[:3] == ("zero", "one", "two")
    assert sorted(set(data.groups.tolist())) == [1, 2, 3, 5]
