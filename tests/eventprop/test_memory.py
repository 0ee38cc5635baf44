"""The forecast of the general engines' memory, held against what a process really grows by."""

from __future__ import annotations

import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge_eventprop import EventProp

sys.path.append(str(Path(__file__).parent))

from growth import CASES, network, samples

GROWTH = Path(__file__).parent / "growth.py"
linux = pytest.mark.skipif(not Path("/proc/self/status").exists(), reason="reads /proc/self/status")


@linux
@pytest.mark.parametrize("case", CASES)
def test_the_forecast_is_what_a_process_grows_by(case):
    """Between two thirds and one and a half, in a process that takes its kernels from the cache."""
    for what in ("compile", "measure"):
        done = subprocess.run(
            [sys.executable, str(GROWTH), case, what], capture_output=True, text=True, check=True, timeout=500
        )
    grown, forecast, is_peak = done.stdout.split()
    assert is_peak == "True", "the compilation took more than the training: the case is too small"
    assert 0.67 * int(grown) < int(forecast) < 1.5 * int(grown)


def test_tapes_count_with_the_batch_and_dense_ones_with_time():
    rng = np.random.default_rng(0)
    graph, data = network(rng, 20, 30, 0), samples(rng, 20, 40, 64, 0.1)
    longer = data.with_spikes(data.spikes.with_duration(0.4)[0])

    def bytes_of(data, **options):
        return EventProp(threads=1, **options).memory(graph, data)

    many, few = (bytes_of(data, mode="exact", batch=batch) for batch in (64, 8))
    assert many - few > 56 * 30 * 88, "56 tapes more, each with a row for every neuron"
    long, short = (bytes_of(d, mode="substep", train_tau=1e-3) for d in (longer, data))
    assert long - short > 300 * 30 * 3 * 8
    plain = [bytes_of(d, mode="substep", rescue=1e-3) for d in (longer, data)]
    assert plain[0] - plain[1] < 0.5 * (long - short), "V, I and B of every step are kept for gradients by τ"


@pytest.mark.parametrize("options", [{"mode": "exact"}, {"mode": "substep", "train_tau": 1e-3}], ids=str)
def test_the_limit_is_kept(options):
    rng = np.random.default_rng(0)
    graph, data = network(rng, 20, 30, 0), samples(rng, 20, 40, 8, 0.1)
    with pytest.raises(BadInput, match="GiB of memory") as caught:
        EventProp(memory_limit=1e-5, **options).fit(graph, data, rng=np.random.default_rng(0))
    assert caught.value.code == "NB514"
