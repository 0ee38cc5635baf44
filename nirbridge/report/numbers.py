"""Numbers as the report prints them: two digits that matter, an SI prefix, the interval beside."""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import Any

_PREFIXES = ((1e6, "M"), (1e3, "k"), (1.0, ""), (1e-3, "m"), (1e-6, "µ"), (1e-9, "n"), (1e-12, "p"))


def quantity(value: float, unit: str) -> str:
    """A value in SI units with a prefix: ``0.00019, "J"`` is "0.19 mJ"."""
    factor, prefix = _prefix(value)
    return f"{_rounded(value / factor, 2)} {prefix}{unit}"


def interval(total: Mapping[str, Any]) -> str:
    """A total or term (value, low, high, unit) with its interval: "0.19 mJ [.15–.26]"."""
    if total["value"] is None:
        return "unknown"
    value, low, high = float(total["value"]), total["low"], total["high"]
    if low is None or high is None or (low == value and high == value):
        return quantity(value, total["unit"])
    factor, prefix = _prefix(value)
    for digits in (2, 3, 4):  # more where two would show a narrow interval as none
        middle, bottom, top = (_rounded(number / factor, digits) for number in (value, low, high))
        if bottom != top:
            break
    return f"{middle} {prefix}{total['unit']} [{_short(bottom)}–{_short(top)}]"


def unknown(cost: Mapping[str, Any], name: str) -> str:
    """Why a cost (`Cost.as_dict`) has no ``energy``: the reason of its first unknown term."""
    reasons = [term["source"] for term in cost[f"{name}_terms"] if term["value"] is None]
    said = [reason for reason in reasons if reason.startswith("unknown")]
    return str(said[0]) if said else "unknown: no basis for a figure"


def amount(value: float) -> str:
    """A count or size: whole numbers in full, others to four digits."""
    return f"{value:,.0f}" if float(value).is_integer() else f"{value:,.4g}"


def plural(count: int, word: str) -> str:
    """ "1 pass", "2 passes"."""
    return f"{count:,} {word if count == 1 else word + ('es' if word.endswith('s') else 's')}"


def share(value: float) -> str:
    """A share of 1 without the leading zero: ".881", "1.000"."""
    return _short(f"{value:.3f}")


def percent(value: float, digits: int = 1) -> str:
    """A share of 1 in percent; 100 only where nothing is missing, 0 only where nothing is there."""
    text = f"{100 * value:.{digits}f}"
    if float(text) == 100 and value < 1:
        text = f"{100 - 10.0**-digits:.{digits}f}"
        return f"> {text} %"
    if float(text) == 0 and value > 0:
        return f"< {10.0**-digits:.{digits}f} %"
    return f"{100 if value == 1 else text} %"


def signed(value: int) -> str:
    """A whole number with its sign, a true minus included; 0 has none."""
    return "0" if value == 0 else f"{'+' if value > 0 else '−'}{abs(value)}"


def per_text(per: str, batch: int) -> str:
    """What a figure is per: "sample", "batch of 64", "training sample"."""
    return f"batch of {batch}" if per == "batch" else per.replace("-", " ")


def _prefix(value: float) -> tuple[float, str]:
    """The largest prefix that leaves at least 0.1 in front of it."""
    if value == 0 or not math.isfinite(value):
        return 1.0, ""
    for factor, prefix in _PREFIXES:
        if abs(value) >= 0.0995 * factor:
            return factor, prefix
    return _PREFIXES[-1]


def _rounded(value: float, digits: int) -> str:
    """A number between 0.1 and 1000 with so many digits that matter; whole digits are all kept."""
    size = abs(value)
    if size == 0:
        return "0"
    before = len(f"{size:.0f}") if size >= 0.995 else 0
    return f"{value:,.{max(digits - before, 0)}f}"


def _short(text: str) -> str:
    return text[1:] if text.startswith("0.") else text
