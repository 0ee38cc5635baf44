"""The closed forms between events against slower ways to the same numbers."""

from __future__ import annotations

import math

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge_eventprop.exact.crossing import first_crossing
from nirbridge_eventprop.exact.flow import extremum, factors, slope_of_phi, tau_factors

TAU = st.floats(2e-3, 50e-3)
TIME = st.floats(1e-6, 0.1)


def membrane(x, v, i, e, tau_m, tau_s):
    em, _, kappa = factors(x, tau_m, tau_s)
    return e + (v - e) * em + kappa * i


@given(TIME, TAU, TAU)
@settings(deadline=None)
def test_kappa_is_the_difference_of_exponentials(x, tau_m, tau_s):
    em, es, kappa = factors(x, tau_m, tau_s)
    assert em == math.exp(-x / tau_m) and es == math.exp(-x / tau_s)
    if abs(tau_m - tau_s) > 0.1 * tau_m:
        assert kappa == pytest.approx(tau_s / (tau_m - tau_s) * (em - es), rel=1e-9, abs=1e-300)


@given(TIME, TAU, st.floats(-1.0, 1.0))
@settings(deadline=None)
def test_the_derivatives_of_kappa_hold_through_equal_time_constants(x, tau, gap):
    tau_s = tau * (1.0 + gap**5 * 0.5)  # mostly very near, where the quotient of differences fails
    h = 1e-4
    by_m, by_s = tau_factors(x, tau, tau_s)
    for found, moved in (
        (by_m, lambda k: factors(x, tau * (1 + k * h), tau_s)[2]),
        (by_s, lambda k: factors(x, tau, tau_s * (1 + k * h))[2]),
    ):
        base = tau if found == by_m else tau_s
        expected = (8 * (moved(1) - moved(-1)) - (moved(2) - moved(-2))) / (12 * h * base)
        assert found == pytest.approx(expected, rel=1e-8, abs=1e-9 / tau)


@given(st.floats(-0.3, 0.3))
@settings(deadline=None)
def test_the_series_of_phi_meets_its_closed_form(z):
    exact = sum((-1) ** n * n * z ** (n - 1) / math.factorial(n + 1) for n in range(1, 25))
    assert slope_of_phi(z) == pytest.approx(exact, rel=1e-12)


@pytest.mark.parametrize("tau_m, tau_s", [(0.02, 0.005), (0.01, 0.01), (0.005, 0.02), (0.01, 0.01000001)])
@pytest.mark.parametrize("i", [0.4, -0.4, 3.0])
def test_the_extremum_has_no_slope(tau_m, tau_s, i):
    x = extremum(-0.1, i, 0.05, tau_m, tau_s)
    if math.isfinite(x):
        values = [membrane(x + step, -0.1, i, 0.05, tau_m, tau_s) for step in (-1e-6, 0.0, 1e-6)]
        assert (values[0] < values[1] > values[2]) if i > 0 else (values[0] > values[1] < values[2])


@given(
    v=st.floats(-1.0, 0.99),
    i=st.floats(-4.0, 8.0),
    b=st.floats(0.0, 0.6),
    e=st.floats(-0.5, 1.6),
    tau_m=TAU,
    tau_s=TAU,
    tau_b=st.floats(5e-3, 0.1),
)
@settings(max_examples=300, deadline=None)
def test_the_first_crossing_is_that_of_a_fine_grid(v, i, b, e, tau_m, tau_s, tau_b):
    """4000 samples of V − θ − B: the first upward change of sign, unless the peak is too flat to tell."""
    span, theta, top = 0.08, 1.0, 1.0
    found = first_crossing(v, i, b, span, e, theta, tau_m, tau_s, tau_b, top)
    grid = np.linspace(0.0, span, 4001)
    f = np.array([membrane(x, v, i, e, tau_m, tau_s) - theta - b * math.exp(-x / tau_b) for x in grid])
    up = np.flatnonzero((f[:-1] < 0) & (f[1:] >= 0))
    if len(up):
        assert grid[up[0]] - 1e-9 <= found <= grid[up[0] + 1] + 1e-9 or found < grid[up[0]]
    if math.isfinite(found):
        assert membrane(found, v, i, e, tau_m, tau_s) - theta - b * math.exp(-found / tau_b) == pytest.approx(
            0.0, abs=1e-9
        )
        assert (f[grid < found - 2e-5] < 1e-9).all()
    else:
        assert not len(up)


def test_a_closed_form_of_the_crossing():
    """τm = 2·τs, E = 0: e^(−t/τm) is the larger root of I·y² − (V + I)·y + θ."""
    v, i, theta, tau_s = 0.2, 5.0, 1.0, 0.005
    a = v + i
    t = -2 * tau_s * math.log((a + math.sqrt(a * a - 4 * i * theta)) / (2 * i))
    found = first_crossing(v, i, 0.0, 0.1, 0.0, theta, 2 * tau_s, tau_s, 1.0, 1.0)
    assert found == pytest.approx(t, abs=1e-15)


def test_at_the_threshold_only_a_rising_membrane_crosses():
    now = {"span": 0.1, "e": 0.0, "theta": 1.0, "tau_m": 0.02, "tau_s": 0.005, "tau_b": 1.0, "top": 1.0}
    assert first_crossing(1.0, 3.0, 0.0, **now) == 0.0
    assert first_crossing(1.0, 0.5, 0.0, **now) == math.inf
    assert first_crossing(1.0, 1.5, 0.0, **{**now, "span": 0.0}) == 0.0
