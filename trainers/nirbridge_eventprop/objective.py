"""The loss that the trainer's options name, with the targets that some of them want."""

from __future__ import annotations

from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from nirbridge.errors import UsageError
from nirbridge_eventprop.exact.losses import LOSSES, Loss
from nirbridge_eventprop.exact.losses.mse_trace import MseTrace
from nirbridge_eventprop.exact.losses.ttfs_mse import TtfsMse
from nirbridge_eventprop.exact.losses.ttfs_rel_mse import TtfsRelMse
from nirbridge_eventprop.exact.losses.ttfs_xent import TtfsXent

if TYPE_CHECKING:
    from nirbridge_eventprop.trainer import EventProp

Floats = NDArray[np.float64]
AIMED = ("ttfs-mse", "mse-trace")  # losses with a target


def loss_of(trainer: EventProp, n_outputs: int) -> Loss:
    """The loss for so many outputs, which are as many classes; raises `UsageError` as `target_of` does."""
    if trainer.loss == "ttfs-xent":
        return TtfsXent(
            tau0=trainer.ttfs_tau0,
            tau1=trainer.ttfs_tau1,
            alpha=trainer.ttfs_alpha,
            penalty=trainer.ttfs_penalty,
        )
    if trainer.loss == "ttfs-rel-mse":
        return TtfsRelMse(delta=trainer.ttfs_delta, t_scale=trainer.ttfs_scale)
    if trainer.loss == "ttfs-mse":
        return TtfsMse(target_of(trainer, n_outputs), trainer.ttfs_scale)
    if trainer.loss == "mse-trace":
        return MseTrace(target_of(trainer, n_outputs))
    options: dict[str, Any] = {"logit_scale": trainer.logit_scale}
    return LOSSES[trainer.loss](**options)


def target_of(trainer: EventProp, n_outputs: int) -> Floats:
    """What ``ttfs-mse`` and ``mse-trace`` aim at: first spike times [s] (classes, outputs), V (classes, bins,
    outputs).

    From the file that option ``target`` names, or one value for the label's output and one for the others.
    Raises `UsageError` (NB701) where the file is no array of numbers of that shape, or where a time is
    negative.
    """
    timed = trainer.loss == "ttfs-mse"
    if not trainer.target:
        own, other = (
            (trainer.ttfs_label, trainer.ttfs_other) if timed else (trainer.trace_label, trainer.trace_other)
        )
        found: Floats = np.where(np.eye(n_outputs, dtype=bool), own, other).astype(np.float64)
        return found if timed else found.reshape(n_outputs, 1, n_outputs)
    values = _read(trainer.target)
    wanted = (n_outputs, n_outputs) if timed else (n_outputs, "bins", n_outputs)
    fits = values.ndim == len(wanted) and values.size > 0
    if not fits or values.shape[0] != n_outputs or values.shape[-1] != n_outputs:
        shown = ", ".join(map(str, wanted))
        raise _refused(trainer.target, f"an array of shape {values.shape}", f"({shown})")
    if not np.isfinite(values).all() or (timed and values.min() < 0):
        raise _refused(trainer.target, "a value not finite or a negative time", "times [s] or values of V")
    return values


def _read(name: str) -> Floats:
    try:
        array = np.load(Path(name), allow_pickle=False)
        if not isinstance(array, np.ndarray) or array.dtype.kind not in "fiu":
            raise ValueError("no array of numbers")
    except (OSError, EOFError, ValueError) as error:
        raise _refused(name, f"no array that can be read: {error}", "a file .npy of numbers") from error
    return array.astype(np.float64)


def _refused(name: str, found: str, expected: str) -> UsageError:
    return UsageError(
        f"trainer option target = '{name}': {found}, expected {expected}",
        code="NB701",
        fix="numpy.save the targets by class, or leave target out and give a value for the label's output "
        "and one for the others",
    )
