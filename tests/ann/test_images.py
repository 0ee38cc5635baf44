"""Images: what a file of samples may hold, and how it fits an ANN."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pytest

from nirbridge.data import Images
from nirbridge.errors import BadInput
from nirbridge.io.images import holds_images, read_images


def written(path: Path, **arrays: Any) -> Path:
    np.savez(path, **arrays)
    return path


def code(path: Path) -> str:
    with pytest.raises(BadInput) as caught:
        read_images(path)
    assert str(path) in caught.value.message
    return caught.value.code


def test_pixels_are_divided_by_255_and_floats_taken_as_they_are(tmp_path: Path) -> None:
    pixels = np.array([[[0, 51], [255, 1]]], np.uint8)
    images = read_images(written(tmp_path / "a.npz", x=pixels, y=np.array([3], np.uint8)))
    np.testing.assert_allclose(images.values()[0], pixels[0] / 255, rtol=1e-6)
    assert images.labels is not None and images.labels.tolist() == [3]
    floats = read_images(written(tmp_path / "b.npz", x=pixels.astype(np.float64)))
    np.testing.assert_array_equal(floats.values(), pixels)
    assert floats.labels is None
    stated = read_images(written(tmp_path / "c.npz", x=pixels, scale=np.array(2.0), classes=np.array(["a"])))
    np.testing.assert_array_equal(stated.values(), 2.0 * pixels)
    assert stated.classes == ("a",)


def test_what_is_no_file_of_images(tmp_path: Path) -> None:
    x = np.ones((3, 4))
    assert code(tmp_path / "absent.npz") == "NB001"
    broken = tmp_path / "broken.npz"
    broken.write_bytes(b"PK\x03\x04 nothing")
    assert code(broken) == "NB001"
    bad: list[dict[str, Any]] = [
        {"z": x},
        {"x": x, "y": np.ones(2, int)},
        {"x": x, "y": np.ones(3)},
        {"x": x, "y": np.array([-1, 0, 1])},
        {"x": x, "y": np.array([0, 1, 2]), "classes": np.array(["a", "b"])},
        {"x": np.full((3, 4), np.nan)},
        {"x": np.zeros((0, 4))},
        {"x": np.zeros(4)},
        {"x": np.array([["a"]])},
        {"x": x, "scale": np.array([1.0, 2.0])},
        {"x": x, "scale": np.array(-1.0)},
        {"x": x, "scale": np.array(np.nan)},
    ]
    for at, arrays in enumerate(bad):
        assert code(written(tmp_path / f"{at}.npz", **arrays)) == "NB513", at


def test_objects_are_not_unpickled(tmp_path: Path) -> None:
    assert code(written(tmp_path / "a.npz", x=np.array([{}], dtype=object))) == "NB001"


def test_samples_take_the_shape_of_the_ann(tmp_path: Path) -> None:
    images = Images(x=np.arange(24).reshape(2, 3, 4))
    for shape in ((12,), (1, 3, 4), (3, 4), (3, 1, 4)):
        shaped = images.shaped(shape)
        assert shaped.x.shape == (2, *shape)
        np.testing.assert_array_equal(shaped.x.reshape(-1), images.x.reshape(-1))
    for shape in ((4, 3), (11,), (2, 6), (12, 1)):
        with pytest.raises(BadInput, match="channels first"):
            images.shaped(shape)


def test_which_files_hold_images(tmp_path: Path) -> None:
    assert holds_images(written(tmp_path / "a.npz", x=np.ones((2, 2))))
    assert not holds_images(written(tmp_path / "b.npz", times=np.ones(2)))
    assert not holds_images(tmp_path / "absent.npz")
    (tmp_path / "c.npz").write_bytes(b"no zip")
    assert not holds_images(tmp_path / "c.npz")
