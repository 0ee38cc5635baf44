"""What the trainer accepts in its fields, checked before anything is allocated."""

from __future__ import annotations

import math
from typing import Any, Literal, get_args

from nirbridge.errors import UsageError

Mode = Literal["step", "substep", "exact"]
Slope = Literal["start", "crossing"]
LossName = Literal[
    "xent-mean",
    "xent-exp",
    "xent-sum",
    "xent-linear",
    "xent-sigmoid",
    "xent-max",
    "xent-timestep",
    "ttfs-xent",
    "ttfs-mse",
    "ttfs-rel-mse",
    "mse-trace",
]
Penalty = Literal["exp", "inverse"]
Schedule = Literal["constant", "exponential", "cosine", "plateau"]
Optimiser = Literal["adam", "sgd"]
Metric = Literal["accuracy", "loss"]
TauSharing = Literal["neuron", "layer"]
WeightScheme = Literal["max", "percentile", "mse", "power-of-two"]

TRAINED = ("train_tau", "train_threshold", "train_v_reset", "train_v_leak", "train_bias", "train_delay")
CHOICES = {
    "mode": get_args(Mode),
    "slope": get_args(Slope),
    "loss": get_args(LossName),
    "schedule": get_args(Schedule),
    "optimiser": get_args(Optimiser),
    "metric": get_args(Metric),
    "scheme": get_args(WeightScheme),
    "ttfs_penalty": get_args(Penalty),
    "tau_sharing": get_args(TauSharing),
}
POSITIVE = (
    "epochs", "batch", "lr", "logit_scale", "shards", "slope_floor", "plateau", "ttfs_tau0", "ttfs_tau1",
    "ttfs_scale",
)  # fmt: skip
NOT_NEGATIVE = (
    "rate_lower", "rate_upper", "rate_target", "lift", "clip", "threads", "patience", "memory_limit",
    "rescue", "wake", *TRAINED, "max_delay", "ttfs_alpha", "ttfs_delta", "ttfs_label",
    "ttfs_other",
)  # fmt: skip


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
    for name in ("trace_label", "trace_other"):
        if not math.isfinite(options[name]):
            raise _bad(name, options[name], "finite")
    for name in ("beta1", "beta2", "ema", "momentum"):
        if not 0 <= options[name] < 1:
            raise _bad(name, options[name], "in [0, 1)")
    if not options["ease_in"] >= 1:
        raise _bad("ease_in", options["ease_in"], "at least 1")
    if not 0 < options["decay"] <= 1:
        raise _bad("decay", options["decay"], "above 0 and at most 1")
    if options["bits"] not in (0, 2, 3, 4, 5, 6, 7, 8):
        raise _bad("bits", options["bits"], "0 for float weights, or 2 to 8")


def _bad(name: str, value: Any, expected: str) -> UsageError:
    return UsageError(f"trainer option {name} is {value}, expected {expected}", code="NB701")
