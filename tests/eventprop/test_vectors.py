"""What kernels do with vectors of neurons, held against NumPy and against the paths that do without."""

from __future__ import annotations

import numpy as np
import pytest
from numba import njit
from numba.core.errors import TypingError

from nirbridge.kernels.vectors import (
    LINE,
    NARROW,
    WIDE,
    at_least,
    blank,
    double,
    fma,
    load,
    lowest,
    magnitude,
    plus,
    root,
    splat,
    store,
    total,
    where_least,
)
from nirbridge_eventprop import executor as executors
from nirbridge_eventprop.executor import Executor
from nirbridge_eventprop.kernels import PADDED, RECURRENT
from nirbridge_eventprop.losses import LOSSES
from nirbridge_eventprop.stack import aligned
from nirbridge_eventprop.substep_spike import FEW, spike_alone, spikes_together

LABELS = [0, 1, 2]


@njit
def compute(x, y, out, exact):
    a, b = load(x, 1, NARROW), load(y, 2, NARROW)
    store(out, 0, plus(a, y, 2))
    store(out, NARROW, (a - b) * a / b)
    store(out, 2 * NARROW, where_least(a, b, a, splat(x, 7, NARROW)))
    store(out, 3 * NARROW, fma(a, b, root(a)))
    store(out, 4 * NARROW, magnitude(load(x, 1, b) - splat(x, 0.5, a)))
    store(exact, 0, double(a))
    bits = at_least(a, b)
    return bits, lowest(bits), total(a)


@njit
def compute_wide(x, y, out):
    a = load(x, 0, WIDE) + load(y, 0, WIDE)
    store(out, 0, a)
    return at_least(a, splat(x, 1, WIDE)), total(a)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_lanes_are_those_of_numpy(dtype):
    rng = np.random.default_rng(0)
    x, y = rng.uniform(0.1, 1, (2, 40)).astype(dtype)
    y[5] = x[4]  # equal in lane 3
    out, exact = np.zeros(5 * NARROW, dtype), np.zeros(NARROW)
    bits, first, summed = compute(x, y, out, exact)
    a, b = x[1:17], y[2:18]
    plain = np.concatenate([a + b, (a - b) * a / b, np.where(a >= b, a, dtype(7))])
    assert out[: 3 * NARROW].tobytes() == plain.tobytes()
    assert out[4 * NARROW :].tobytes() == np.abs(a - dtype(0.5)).tobytes()
    np.testing.assert_allclose(out[3 * NARROW : 4 * NARROW], a * b + np.sqrt(a), rtol=2 * np.finfo(dtype).eps)
    assert exact.tobytes() == a.astype(np.float64).tobytes()
    assert [int(bits) >> i & 1 for i in range(64)] == [*(a >= b).astype(int), *[0] * 48]
    assert first == np.flatnonzero(a >= b)[0]
    assert summed == pytest.approx(a.sum(dtype=np.float64), rel=1e-6)


@pytest.mark.parametrize("dtype", [np.float32, np.float64])
def test_wide_lanes_and_their_bits(dtype):
    x, y = np.random.default_rng(1).uniform(0, 1, (2, 70)).astype(dtype)
    out = np.zeros(WIDE, dtype)
    bits, summed = compute_wide(x, y, out)
    expected = (x + y)[:WIDE]
    assert out.tobytes() == expected.tobytes()
    assert [int(bits) >> i & 1 for i in range(64)] == (expected >= 1).astype(int).tolist()
    assert summed == pytest.approx(expected.sum(dtype=np.float64), rel=1e-6)


def test_numbers_of_another_type_and_gaps_are_refused():
    x = np.zeros(100)
    with pytest.raises(TypingError):
        compute_wide(x, x, np.zeros(WIDE, np.float32))
    with pytest.raises(TypingError):
        compute_wide(x[::2], x[::2], np.zeros(WIDE))


@pytest.mark.parametrize("size", [1, 16, 1000])
def test_work_space_begins_at_a_line_of_the_cache(size):
    for like in (np.zeros(1, np.float32), np.zeros(1)):
        found = blank(size, like)
        assert (found.dtype, found.shape, found.ctypes.data % LINE) == (like.dtype, (size,), 0)
        assert not found.any()
        values = np.arange(size + 1, dtype=like.dtype)[1:]
        moved = aligned(values)
        assert moved.ctypes.data % LINE == 0
        np.testing.assert_array_equal(moved, values)


def neurons(rng, n, same):
    """Parameters and end states in float32 of n neurons above threshold, in all ways of getting there."""
    par = np.zeros((14, n), np.float32)
    tau_m, tau_s = rng.uniform(5e-3, 30e-3, n), rng.uniform(3e-3, 8e-3, n)
    tau_s[::7] = tau_m[::7]
    par[7], par[8], par[10] = tau_m, tau_s, rng.uniform(-0.2, 0.2, n)
    par[5], par[6] = rng.uniform(0.8, 1.2, n), rng.uniform(-0.3, 0.3, n)
    if same:
        par[:] = par[:, 3:4]
    v = par[5] + rng.exponential(0.05, n).astype(np.float32)
    v[::11] = par[5, ::11]  # at threshold, not above
    current = rng.uniform(0.5, 6, n).astype(np.float32)
    current[::13], v[::13] = 60, par[5, ::13] + 2  # rises to the threshold again behind the spike
    start = (par[5] + rng.uniform(-0.3, 0.1, n)).astype(np.float32)
    return par, v, current, np.minimum(start, v - np.float32(1e-3))


@pytest.mark.parametrize("same", [False, True])
@pytest.mark.parametrize("most", [1, FEW, NARROW, 600])
def test_spikes_together_are_those_of_one_after_the_other(most, same):
    """Series in float32 against float64; grazing ones amplify what float32 has lost of the state by 1/V'."""
    n, dt = 600, 1.5e-3
    rng = np.random.default_rng(3)
    par, v, current, start = neurons(rng, n, same)
    unit = np.arange(n)
    tapes, flagged = {}, np.zeros(n, bool)
    for dtype in (np.float32, np.float64):
        state = [x.astype(dtype) for x in (v, current, start)]
        tape = [np.zeros(n + NARROW, dtype), np.zeros(n + NARROW, dtype), np.zeros((3, n + NARROW), dtype)]
        if dtype is np.float32:
            work, first = np.zeros(8 * NARROW, dtype), 0
            while first < n:
                last = min(n, first + int(rng.integers(1, most + 1)))
                again = spikes_together(first, last, *state, par, same, dt, work, unit, *tape)
                flagged[first:last] = again
                first = last
        else:
            for i in range(n):
                spike_alone(i, i, *state, par.astype(dtype), dt, False, *tape)
        tapes[dtype] = [state[0], tape[0][:n], tape[1][:n] / dt, *tape[2][:, :n]]
    x = tapes[np.float64][2]
    rise = (tapes[np.float64][1] + par[10] - par[5]) / par[7] * dt  # of V in a step, at the spike
    clear = (rise > 0.02) | (x == 1)
    assert clear.sum() > 400 and (x == 1).sum() > 10 and (x == 0).sum() > 20
    for found, expected in zip(tapes[np.float32], tapes[np.float64], strict=True):
        np.testing.assert_allclose(found[clear], expected[clear], rtol=1e-5, atol=1e-5)
    above = tapes[np.float32][0] >= par[5]
    assert above.sum() > 5 and flagged[above].all()
    assert most > 1 or not flagged.all()


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
def test_neurons_that_no_spike_reaches_fire_again_as_those_of_a_loop(make_stack, make_spikes, arithmetic):
    """Several times a step; beside it a loop of zero weights, after which all neurons are looked at."""
    rng = np.random.default_rng(8)
    stack, spikes = make_stack(rng, hidden=(70,), arithmetic=arithmetic), make_spikes(rng)
    weights = 40 * stack.weights
    loop = int(stack.sizes[0, RECURRENT])
    weights[loop : loop + 70 * int(stack.sizes[0, PADDED])] = 0
    found, gradients = [], []
    for at in (loop, -1):
        stack.sizes[0, RECURRENT] = at
        executor = Executor(stack, threads=1, shards=1, slope="substep", slope_floor=0.01)
        omega = LOSSES["xent-exp"].omega(40, 1e-3)
        result = executor.run(spikes, np.array(LABELS), weights, omega=omega, omega_read=omega, learn=True)
        found.append(result)
        gradients.append(executor.gradients[0].copy())
        executor.close()
    assert found[0].counts.max() > 2 * 40
    np.testing.assert_array_equal(found[0].counts, found[1].counts)
    np.testing.assert_array_equal(found[0].logits, found[1].logits)
    gradients[0][loop : loop + 70 * int(stack.sizes[0, PADDED])] = 0
    assert np.abs(gradients[1]).max() > 0
    np.testing.assert_array_equal(gradients[0], gradients[1])


@pytest.fixture
def gradients(make_stack, make_spikes):
    """gradients(slope, arithmetic, hidden, change): result and gradient, after change(executor)."""

    def run(slope, arithmetic, hidden, change=lambda executor: None):
        rng = np.random.default_rng(8)
        stack, spikes = make_stack(rng, hidden=hidden, arithmetic=arithmetic), make_spikes(rng)
        executor = Executor(stack, threads=1, shards=1, slope=slope, slope_floor=0.01)
        change(executor)
        omega = LOSSES["xent-exp"].omega(40, 1e-3)
        result = executor.run(
            spikes, np.array(LABELS), stack.weights, omega=omega, omega_read=omega, learn=True
        )
        executor.close()
        assert result.counts.sum() > 50
        return result, executor.gradients[0].copy()

    return run


def agree(one, other, arithmetic):
    small = 1e-12 if arithmetic == "float64" else 3e-5
    np.testing.assert_array_equal(one[0].counts, other[0].counts)
    np.testing.assert_allclose(one[0].logits, other[0].logits, rtol=10 * small, atol=small)
    assert np.linalg.norm(one[1] - other[1]) <= small * np.linalg.norm(one[1])
    assert np.linalg.norm(one[1]) > 0


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("hidden", [(10,), (70, 9)])
@pytest.mark.parametrize("slope", ["start", "crossing", "substep"])
def test_rows_summed_from_a_record_are_those_added_one_by_one(
    gradients, monkeypatch, slope, hidden, arithmetic
):
    direct = gradients(slope, arithmetic, hidden)
    monkeypatch.setattr(executors, "CACHE", 0)
    agree(direct, gradients(slope, arithmetic, hidden), arithmetic)


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("slope", ["start", "substep"])
def test_coefficients_of_a_layer_or_of_each_neuron(gradients, slope, arithmetic):
    """Those of each neuron are what a layer of different neurons is computed with; here all are the same."""

    def apart(executor):
        assert executor.alike.all() and executor.shared
        executor.alike[:] = False
        executor.shared = False

    common, own = gradients(slope, arithmetic, (70, 9)), gradients(slope, arithmetic, (70, 9), apart)
    agree(common, own, arithmetic)
    if slope == "start":
        np.testing.assert_array_equal(common[0].logits, own[0].logits)


def test_long_steps_do_without_series(gradients):
    """Solved one by one, as where a step is not short against a time constant."""

    def alone(executor):
        assert executor.series
        executor.series = False

    agree(gradients("substep", "float32", (70,)), gradients("substep", "float32", (70,), alone), "float32")
