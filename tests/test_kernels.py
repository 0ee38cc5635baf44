"""Comparisons side by side say what one after the other says, wherever they lie; memory asked for ahead."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from nirbridge.kernels.vectors import LINE, WIDE, aligned_empty, at_least, load, lowest, prefetch


@njit
def _listed(v, i, theta, j):  # type: ignore[no-untyped-def]
    """Places of the set bits, lowest first."""
    found = np.empty(WIDE, np.int64)
    n = 0
    bits = at_least(load(v, i, WIDE), load(theta, j, WIDE))
    while bits != 0:
        found[n] = lowest(bits)
        n += 1
        bits &= bits - np.uint64(1)
    return found[:n]


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_bits_are_the_comparisons(dtype: type) -> None:
    rng = np.random.default_rng(0)
    v = rng.integers(-2, 3, 500).astype(dtype)
    v[::7] = np.nan
    v[3::11] = np.inf
    theta = rng.integers(-1, 2, (3, 200)).astype(dtype)
    theta[1, ::13] = np.nan
    for i in (0, 1, 17, 500 - WIDE):
        for j in (0, 5, 200, 333, 600 - WIDE):
            with np.errstate(invalid="ignore"):
                expected = np.flatnonzero(v[i : i + WIDE] >= theta.reshape(-1)[j : j + WIDE])
            np.testing.assert_array_equal(_listed(v, i, theta, j), expected)


@pytest.mark.parametrize("place", [*range(WIDE)])
def test_each_bit_alone(place: int) -> None:
    v = np.zeros(WIDE, np.float32)
    v[place] = 1
    assert _listed(v, 0, np.ones(WIDE, np.float32), 0).tolist() == [place]


def test_a_prefetch_outside_the_array_does_nothing() -> None:
    @njit
    def ask(x, at):  # type: ignore[no-untyped-def]
        prefetch(x, at)
        return x.sum()

    x = np.arange(10, dtype=np.float32)
    for at in (0, 9, 10**7, -(10**7), 2**61):
        assert ask(x, at) == 45


def test_types_that_differ_are_refused() -> None:
    with pytest.raises(TypingError):
        _listed(np.zeros(64, np.float32), 0, np.zeros(64), 0)
    with pytest.raises(TypingError):
        _listed(np.zeros(128, np.float32)[::2], 0, np.zeros(64, np.float32), 0)


@pytest.mark.parametrize("dtype", [np.float32, np.float64, np.int64])
def test_arrays_begin_at_a_line_of_the_cache(dtype: type) -> None:
    for size in (1, 1000, 10**6):
        x = aligned_empty(size, dtype)
        assert x.shape == (size,) and x.dtype == dtype and x.flags.c_contiguous and x.flags.writeable
        assert x.ctypes.data % LINE == 0
