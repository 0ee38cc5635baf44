"""Numbers as the report prints them."""

from __future__ import annotations

import pytest

from nirbridge.report.numbers import amount, interval, percent, plural, quantity, share, signed, unknown


@pytest.mark.parametrize(
    ("value", "unit", "text"),
    [
        (1.9e-4, "J", "0.19 mJ"),
        (0.024, "J", "24 mJ"),
        (0.0023, "s", "2.3 ms"),
        (1.0, "s", "1.0 s"),
        (9.97e-3, "J", "10 mJ"),
        (0.0, "J", "0 J"),
        (3.2e-13, "J", "0.32 pJ"),
        (2.5e-15, "J", "0.00 pJ"),
    ],
)
def test_two_digits_and_a_prefix(value: float, unit: str, text: str) -> None:
    assert quantity(value, unit) == text


def test_an_interval_stands_beside_its_value() -> None:
    total = {"value": 1.9e-4, "low": 1.5e-4, "high": 2.6e-4, "unit": "J"}
    assert interval(total) == "0.19 mJ [.15–.26]"
    assert interval({**total, "low": 1.9e-4, "high": 1.9e-4}) == "0.19 mJ"
    narrow = {"value": 1.01e-2, "low": 1.0e-2, "high": 1.03e-2, "unit": "J"}
    assert interval(narrow) == "10.1 mJ [10.0–10.3]"
    assert interval({**total, "value": None}) == "unknown"


def test_shares_do_not_round_to_perfection() -> None:
    assert percent(1.0) == "100 %"
    assert percent(0.99999) == "> 99.9 %"
    assert percent(0.00001) == "< 0.1 %"
    assert percent(0.987) == "98.7 %"
    assert (share(0.8812), share(1.0)) == (".881", "1.000")


def test_counts() -> None:
    assert (signed(-1), signed(0), signed(3)) == ("−1", "0", "+3")
    assert (plural(1, "pass"), plural(2, "pass"), plural(2, "core")) == ("1 pass", "2 passes", "2 cores")
    assert (amount(9e6), amount(0.12345)) == ("9,000,000", "0.1235")


def test_an_unknown_energy_says_why() -> None:
    silent = {"value": None, "source": "unknown: no power counter here"}
    assert unknown({"energy_terms": [silent]}, "energy") == "unknown: no power counter here"
    assert unknown({"energy_terms": [{"value": 1.0, "source": "a"}]}, "energy").startswith("unknown: ")
