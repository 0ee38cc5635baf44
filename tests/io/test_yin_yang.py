"""The Yin-Yang generator against the published arrays and their stated first values."""

from __future__ import annotations

import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import UsageError
from nirbridge.io.yin_yang import SEEDS, SIZES, yin_yang, yin_yang_samples

SHIPPED = Path(os.environ.get("NIRBRIDGE_DATA", "../shared/data")) / "yinyang"


@pytest.mark.skipif(not SHIPPED.is_dir(), reason="no data folder: set NIRBRIDGE_DATA")
@pytest.mark.parametrize("split", SEEDS)
def test_the_published_arrays_come_out_bit_for_bit(split: str) -> None:
    samples, labels = yin_yang_samples(split, SIZES[split])
    assert np.array_equal(samples, np.load(SHIPPED / f"{split}_samples.npy"))
    assert np.array_equal(labels, np.load(SHIPPED / f"{split}_labels.npy"))


def test_first_training_samples() -> None:
    samples, labels = yin_yang_samples("train", 6)
    assert samples[0, :2].round(6).tolist() == [0.680308, 0.450499]
    assert labels.tolist() == [2, 1, 2, 1, 1, 1]
    assert np.array_equal(samples[:3], yin_yang_samples("train", 3)[0])


def test_a_value_is_a_latency() -> None:
    values, labels = yin_yang_samples("test", 20)
    data = yin_yang("test", 20, t_min_s=0.002, t_max_s=0.012, duration_s=0.02)
    assert np.array_equal(data.labels, labels)
    assert (data.spikes.n_units, data.spikes.duration) == (5, 0.02)
    for sample in range(20):
        here = slice(*data.spikes.offsets[sample : sample + 2])
        times = np.empty(5)
        times[data.spikes.units[here]] = data.spikes.times[here]
        assert np.allclose(times[:4], 0.002 + values[sample] * 0.01)
        assert times[4] == 0.002
    assert yin_yang("test", 3, bias=False).spikes.n_units == 4


def test_impossible_windows_are_refused() -> None:
    with pytest.raises(UsageError, match="t_min"):
        yin_yang("train", 3, t_min_s=0.03, t_max_s=0.01)
    with pytest.raises(UsageError, match="split"):
        yin_yang("trian", 3)  # type: ignore[arg-type]
