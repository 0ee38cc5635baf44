"""What the trainer accepts in its fields, checked before anything is allocated."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from nirbridge.errors import UsageError
from nirbridge_spinnaker2.training.formats import FormatName

Device = Literal["chip", "host"]
Mode = Literal["batch", "online"]
Rounding = Literal["nearest", "stochastic"]
Master = Literal["float", "s8.23"]

CHOICES: dict[str, tuple[str, ...]] = {
    "device": get_args(Device),
    "mode": get_args(Mode),
    "format": get_args(FormatName),
    "rounding": get_args(Rounding),
    "master": get_args(Master),
    "master_rounding": get_args(Rounding),
}
POSITIVE = ("epochs", "batch", "chips", "lr", "gamma", "eps", "xi", "beta_r")
NOT_NEGATIVE = ("weight_decay", "alpha_r", "threads", "optimiser_pes")


def check_options(options: dict[str, Any]) -> None:
    """Raise `UsageError` (NB701) that names the first field out of range."""
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise _bad(name, options[name], f"one of {', '.join(choices)}")
    for name in POSITIVE:
        if not 0 < options[name] < math.inf:
            raise _bad(name, options[name], "above 0 and finite")
    for name in NOT_NEGATIVE:
        if not 0 <= options[name] < math.inf:
            raise _bad(name, options[name], "at least 0 and finite")
    for name in ("beta1", "beta2"):
        if not 0 <= options[name] < 1:
            raise _bad(name, options[name], "in [0, 1)")
    if not options["gamma"] <= 1:
        raise _bad("gamma", options["gamma"], "above 0 and at most 1")


def _bad(name: str, value: Any, expected: str) -> UsageError:
    return UsageError(f"trainer option {name} is {value}, expected {expected}", code="NB701")
