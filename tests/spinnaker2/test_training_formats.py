"""Number formats of on-chip training: rounding, the stated cosines, master weights, κ."""

from __future__ import annotations

import os
from fractions import Fraction
from pathlib import Path

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numba import njit

from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.network import build
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2.training.adam import adam_step
from nirbridge_spinnaker2.training.arithmetic import product, quotient
from nirbridge_spinnaker2.training.executor import Executor, events_of
from nirbridge_spinnaker2.training.formats import Format
from nirbridge_spinnaker2.training.structure import matrices, stack_of

GOLDEN = Path(os.environ.get("NIRBRIDGE_GOLDEN") or Path(__file__).resolve().parents[3] / "shared" / "golden")
INIT = GOLDEN / "spinnaker2" / "eventprop_init_f64.npz"
NUMBERS = st.integers(-(2**31), 2**31 - 1)
TOP = 2**31 - 1


@njit
def times(a, b, rule, noise):
    return product(a, b, rule, noise)


@njit
def over(a, b, rule, noise):
    return quotient(a, b, rule, noise)


def clamped(value: int) -> int:
    return max(-TOP - 1, min(TOP, value))


def quiet():
    return np.zeros(2, np.uint64)


@settings(deadline=None)
@given(NUMBERS, NUMBERS, st.sampled_from([15, 23]))
def test_products_round_half_to_even_and_stay_in_32_bits(a, b, bits):
    """round() of a Fraction is exact and rounds ties to even."""
    noise = quiet()
    found = times(np.int64(a), np.int64(b), np.array([bits, 0]), noise)
    exact = round(Fraction(a * b, 2**bits))
    assert found == clamped(exact)
    assert noise[1] == (exact != clamped(exact))


@settings(deadline=None)
@given(NUMBERS, NUMBERS.filter(bool), st.sampled_from([15, 23]))
def test_quotients_round_half_to_even_and_stay_in_32_bits(a, b, bits):
    found = over(np.int64(a), np.int64(b), np.array([bits, 0]), quiet())
    assert found == clamped(round(Fraction(a * 2**bits, b)))


@pytest.mark.parametrize("operation", [times, over])
def test_stochastic_rounding_is_right_on_average(operation):
    """The mean over draws is the exact value, each draw one of its two neighbours."""
    a, b, bits, n = np.int64(12345), np.int64(1 << 15 | 77), 15, 40_000
    exact = a * b / 2**bits if operation is times else a * 2**bits / b
    noise = np.array([9, 0], np.uint64)
    draws = np.array([operation(a, b, np.array([bits, 1]), noise) for _ in range(n)])
    assert set(draws.tolist()) == {int(np.floor(exact)), int(np.ceil(exact))}
    share = exact - np.floor(exact)
    assert abs(draws.mean() - exact) < 4 * np.sqrt(share * (1 - share) / n)


def gradients(name, *, unscaled=False, weights=None):
    """Σ of the init case's gradients by node, flipped hidden and output spikes."""
    case = dict(np.load(INIT, allow_pickle=False))
    graph = spiking_stack(inputs=5, hidden=[120], outputs=3, dt=1e-3, rng=np.random.default_rng(0))
    graph.nodes["w1"].weight, graph.nodes["w_out"].weight = case["w0"], case["w1"]
    stack = stack_of(build(with_semantics(graph, Semantics(dt=1e-3, decay="exact", feedforward_delay=1))))
    executor = Executor(stack, Format(name), xi=1.5, alpha_r=0.01, beta_r=100.0, unscaled=unscaled)
    events = events_of(Spikes.from_dense(case["in_spikes"].transpose(1, 0, 2), 1e-3), stack)
    used = stack.weights if weights is None else weights(stack)
    result = executor.run(events, np.arange(22), case["labels"], used, learn=True, spikes=True)
    found = matrices(stack, executor.gradients.sum(axis=0) * executor.form.unit)
    spikes = result.spikes.transpose(1, 0, 2)
    flips = (
        int((spikes[:, :, :120] != case["hid_spikes"]).sum()),
        int((spikes[:, :, 120:] != case["out_spikes"]).sum()),
    )
    executor.close()
    cosine = [
        float((found[name] * case[key]).sum() / np.linalg.norm(found[name]) / np.linalg.norm(case[key]))
        for name, key in (("w1", "gw0"), ("w_out", "gw1"))
    ]
    return cosine, found, flips


@pytest.mark.skipif(not INIT.is_file(), reason="no golden folder: set NIRBRIDGE_GOLDEN")
class TestTheStatedCosines:
    """Gradient of one batch against float64, at the start of a training (SPINNAKER2.md §6)."""

    def test_s16_15_as_written_loses_the_gradient(self):
        cosine, found, flips = gradients("s16.15")
        assert np.round(cosine, 2).tolist() == [0.88, 0.65]
        assert round(float((found["w1"] == 0).mean()), 2) == 0.99
        assert flips == (2, 2)

    def test_s16_15_without_tau_and_batch_keeps_it(self):
        cosine, _, flips = gradients("s16.15", unscaled=True)
        assert np.round(cosine, 4).tolist() == [1.0, 1.0]
        assert flips == (2, 2)

    def test_s8_23_keeps_it(self):
        cosine, _, flips = gradients("s8.23")
        assert np.round(cosine, 4).tolist() == [1.0, 1.0]
        assert flips == (0, 0)

    def test_int8_weights_in_the_loop_do_not(self):
        def int8(stack):
            used = stack.weights.copy()
            for place in stack.nodes:
                block = used[place.offset : place.offset + place.rows * place.columns]
                scale = np.abs(block).max() / 127
                block[:] = np.rint(block / scale) * scale
            return used

        cosine, _, flips = gradients("float64", weights=int8)
        assert np.round(cosine, 2).tolist() == [0.92, 1.0]
        assert flips[0] == 187


def test_unscaled_multiplies_the_gradient_by_kappa():
    """κ = B/τ_s, up to float rounding."""
    if not INIT.is_file():
        pytest.skip("no golden folder: set NIRBRIDGE_GOLDEN")
    _, plain, _ = gradients("float64")
    _, without, _ = gradients("float64", unscaled=True)
    for name in plain:
        np.testing.assert_allclose(without[name], plain[name] * 22 / 5e-3, rtol=1e-9, atol=1e-12)


def test_numbers_are_rounded_to_even_and_clamped():
    values = np.array([0.5, 1.5, -0.5, 2.25]) * 2.0**-15
    assert Format("s16.15").numbers(values).tolist() == [0, 2, 0, 2]
    assert Format("s8.23").numbers(np.array([300.0, -300.0])).tolist() == [TOP, -TOP - 1]


def step(weights, gradient, **options):
    n = len(weights)
    values = {"lr": 1e-3, "eps": 1e-8, "decay": 0.0, "grid": True, "stochastic": False, "key": 5} | options
    adam_step(
        weights, gradient, np.zeros(n, np.float32), np.zeros(n, np.float32), 1, values["lr"], 0.9, 0.999,
        values["eps"], values["decay"], values["grid"], values["stochastic"], np.uint64(values["key"]),
    )  # fmt: skip
    return weights


def test_master_weights_lie_on_the_grid():
    rng = np.random.default_rng(2)
    weights = np.rint(rng.normal(0, 3, 500) * 2.0**23) * 2.0**-23
    for stochastic in (False, True):
        new = step(weights.copy(), rng.normal(0, 1e-3, 500).astype(np.float32), stochastic=stochastic)
        assert np.array_equal(np.rint(new * 2.0**23), new * 2.0**23)
        assert not np.array_equal(new, weights)
    assert step(np.array([255.9999999, -256.0]), np.array([-1.0, 1.0], np.float32), lr=5.0).tolist() == [
        256 - 2.0**-23,
        -256.0,
    ]


def test_updates_below_the_grid_survive_stochastic_rounding_only():
    """A step of 0.3·2^−23 is lost to nearest, and kept on average by chance."""
    n, gradient = 20_000, np.ones(20_000, np.float32)
    small = {"lr": 0.3 * 2.0**-23, "eps": 0.0}
    assert np.all(step(np.ones(n), gradient, **small) == 1.0)
    moved = (1.0 - step(np.ones(n), gradient, stochastic=True, **small)) * 2.0**23
    assert set(np.rint(moved).tolist()) == {0.0, 1.0}
    assert abs(moved.mean() - 0.3) < 0.02


def test_kappa_on_decay_and_eps_leaves_adam_as_it_was():
    rng = np.random.default_rng(3)
    weights = rng.normal(0, 1, 50)
    gradient = rng.normal(0, 1e-7, 50).astype(np.float32)
    kappa = 4400.0
    plain = step(weights.copy(), gradient, eps=1e-8, decay=1e-6, grid=False)
    scaled = step(weights.copy(), gradient * kappa, eps=1e-8 * kappa, decay=1e-6 * kappa, grid=False)
    np.testing.assert_allclose(scaled - weights, plain - weights, rtol=1e-4)
    only_gradient = step(weights.copy(), gradient * kappa, eps=1e-8, decay=1e-6, grid=False)
    assert np.abs(only_gradient - plain).max() > 1e-5
