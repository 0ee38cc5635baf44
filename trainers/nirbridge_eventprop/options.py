"""What the trainer accepts in its fields, checked before anything is allocated."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from nirbridge.errors import UsageError

Mode = Literal["step", "substep"]
Slope = Literal["start", "crossing"]
LossName = Literal["xent-mean", "xent-exp", "xent-sum"]
Schedule = Literal["constant", "exponential", "cosine"]

CHOICES = {
    "mode": get_args(Mode),
    "slope": get_args(Slope),
    "loss": get_args(LossName),
    "schedule": get_args(Schedule),
}
POSITIVE = ("epochs", "batch", "lr", "logit_scale", "shards", "slope_floor")
NOT_NEGATIVE = ("rate_lower", "rate_upper", "rate_target", "lift", "clip", "threads")


def check_options(options: dict[str, Any]) -> None:
    """Raise `UsageError` (NB701) that names the first field out of range."""
    for name, choices in CHOICES.items():
        if options[name] not in choices:
            raise _bad(name, options[name], f"one of {', '.join(choices)}")
    for name in POSITIVE:
        if not 0 < options[name] < math.inf:
            raise _bad(name, options[name], "above 0 and finite")
    for name in NOT_NEGATIVE:
        if not options[name] >= 0:
            raise _bad(name, options[name], "at least 0")
    for name in ("beta1", "beta2", "ema"):
        if not 0 <= options[name] < 1:
            raise _bad(name, options[name], "in [0, 1)")
    if not options["ease_in"] >= 1:
        raise _bad("ease_in", options["ease_in"], "at least 1")
    if not 0 < options["decay"] <= 1:
        raise _bad("decay", options["decay"], "above 0 and at most 1")


def _bad(name: str, value: Any, expected: str) -> UsageError:
    return UsageError(f"trainer option {name} is {value}, expected {expected}", code="NB701")
