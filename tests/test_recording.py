"""Laws of `Recording`: alignment, read-outs against a plain statement of them, joining."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.recording import READOUTS, Readout, Recording
from nirbridge.spikes import Spikes

DT, STEPS = 2e-3, 12


def grid(seed: int = 0, samples: int = 4, steps: int = STEPS, units: int = 3) -> np.ndarray:
    rng = np.random.default_rng(seed)
    return (rng.random((samples, steps, units)) < 0.25).astype(np.int32)


def late(cells: np.ndarray, lag: int) -> Spikes:
    """The same spikes ``lag`` ticks later, in a run that is ``lag`` ticks longer."""
    return Spikes.from_dense(np.pad(cells, ((0, 0), (lag, 0), (0, 0))), DT)


def recorded(**changes: Any) -> Recording:
    rng = np.random.default_rng(1)
    fields: dict[str, Any] = {
        "output": rng.normal(size=(4, STEPS, 3)).astype(np.float32),
        "dt": DT,
        "n_steps": STEPS,
        "spikes": {"h": Spikes.from_dense(grid(), DT)},
        "traces": {"h:v": rng.normal(size=(4, STEPS, 3))},
        "counts": {"h": {"spikes": np.arange(4), "synops": np.arange(4) * 7}},
        "wall_s": 0.5,
    }
    return Recording(**(fields | changes))


def score(x: np.ndarray, readout: Readout) -> float:
    """The read-out of one unit of one sample, as the words of `Recording.scores` say it."""
    steps = len(x)
    if readout == "first-spike":
        fired = [k for k in range(steps) if x[k] > 0]
        return -float(fired[0]) if fired else -float(steps)
    if readout == "max":
        return max(float(v) for v in x)
    if readout == "last":
        return float(x[-1])
    if readout == "exp-mean":
        return sum(float(x[k]) * math.exp(-(k + 0.5) / steps) for k in range(steps)) / steps
    total = sum(float(v) for v in x)
    return total / steps if readout == "mean" else total


def plain(x: np.ndarray, readout: Readout) -> np.ndarray:
    return np.array([[score(sample[:, unit], readout) for unit in range(x.shape[2])] for sample in x])


@pytest.mark.parametrize("lag", [0, 1, 5])
def test_aligned_spikes_are_those_of_a_run_without_lag(lag: int) -> None:
    cells = grid()
    recording = recorded(
        output=late(cells, lag), spikes={"h": late(cells, lag)}, lag={"h": lag}, output_lag=lag
    )
    assert recording.ticks == STEPS + lag
    for spikes in (recording.aligned("h"), recording.aligned_output()):
        assert isinstance(spikes, Spikes)
        assert spikes.n_steps(DT) == STEPS
        assert np.array_equal(spikes.to_dense(DT), cells)


def test_what_comes_before_the_lag_or_after_the_end_is_cut() -> None:
    cells = np.ones((1, STEPS + 3, 1), dtype=int)
    recording = recorded(spikes={"h": Spikes.from_dense(cells, DT)}, lag={"h": 2})
    assert recording.aligned("h").to_dense(DT).tolist() == [[[1]] * STEPS]


def test_aligned_values_are_the_window_after_the_lag() -> None:
    values = np.random.default_rng(3).normal(size=(4, STEPS + 2, 3)).astype(np.float32)
    recording = recorded(output=values, output_lag=2)
    assert (recording.ticks, recording.n_samples) == (STEPS + 2, 4)
    assert np.array_equal(recording.aligned_output(), values[:, 2 : STEPS + 2])


def test_a_node_that_was_not_recorded_is_named() -> None:
    with pytest.raises(BadInput, match="'g' was not recorded; recorded: h") as caught:
        recorded().aligned("g")
    assert (caught.value.code, caught.value.fix) == ("NB504", "run again with --record g")


@pytest.mark.parametrize("lag", [0, 2])
@pytest.mark.parametrize("readout", READOUTS)
def test_the_score_of_spikes_is_as_stated(readout: Readout, lag: int) -> None:
    cells = grid(5)
    recording = recorded(output=late(cells, lag), output_lag=lag)
    assert np.allclose(recording.scores(readout), plain(cells, readout), rtol=1e-12)


@pytest.mark.parametrize("readout", ["mean", "exp-mean", "sum", "max"])
def test_graded_spikes_score_as_their_values(readout: Readout) -> None:
    graded = Spikes([0.0, 0.0, 3 * DT, DT], [0, 1, 1, 0], [0, 3, 4], 2, STEPS * DT, [5, 2, -1, 4])
    expected = plain(graded.to_dense(DT), readout)
    assert np.allclose(recorded(output=graded).scores(readout), expected, rtol=1e-12)


@pytest.mark.parametrize("readout", ["mean", "exp-mean", "sum", "max"])
def test_the_score_of_values_is_as_stated(readout: Readout) -> None:
    recording = recorded()
    assert isinstance(recording.output, np.ndarray)
    assert np.allclose(recording.scores(readout), plain(recording.output, readout), rtol=1e-9)


@pytest.mark.parametrize("readout", ["count", "first-spike"])
def test_values_have_no_spikes_to_read(readout: Readout) -> None:
    with pytest.raises(BadInput) as caught:
        recorded().scores(readout)
    assert caught.value.code == "NB505"


def test_the_first_of_equal_scores_is_predicted() -> None:
    output = np.zeros((2, STEPS, 3), np.float32)
    output[1, :, 1:] = 1.0
    assert recorded(output=output).predictions("mean").tolist() == [0, 1]


@pytest.mark.parametrize("spiking", [True, False])
def test_joining_the_batches_gives_the_whole(spiking: bool) -> None:
    whole = recorded(**({"output": Spikes.from_dense(grid(8), DT)} if spiking else {}))
    parts = [
        recorded(
            output=whole.output.select(index) if isinstance(whole.output, Spikes) else whole.output[index],
            spikes={"h": whole.spikes["h"].select(index)},
            traces={"h:v": whole.traces["h:v"][index]},
            counts={"h": {key: values[index] for key, values in whole.counts["h"].items()}},
            wall_s=0.25,
        )
        for index in (np.array([0, 1, 2]), np.array([3]))
    ]
    joined = Recording.join(parts)
    assert (joined.n_samples, joined.ticks, joined.wall_s) == (4, STEPS, 0.5)
    assert np.array_equal(joined.scores("mean"), whole.scores("mean"))
    assert np.array_equal(joined.spikes["h"].to_dense(DT), whole.spikes["h"].to_dense(DT))
    assert np.array_equal(joined.traces["h:v"], whole.traces["h:v"])
    assert all(np.array_equal(joined.counts["h"][k], whole.counts["h"][k]) for k in ("spikes", "synops"))


def test_an_unmeasured_batch_leaves_the_time_unknown() -> None:
    assert Recording.join([recorded(), recorded(wall_s=None)]).wall_s is None
