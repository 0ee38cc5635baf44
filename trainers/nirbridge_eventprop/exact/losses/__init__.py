"""Losses in continuous time: on the read-out's V(t), its maximum or first spikes (EVENTPROP.md §5)."""

from __future__ import annotations

from nirbridge_eventprop.exact.losses import (
    mse_trace,
    ttfs_mse,
    ttfs_rel_mse,
    ttfs_xent,
    xent_exp,
    xent_linear,
    xent_max,
    xent_mean,
    xent_sigmoid,
    xent_sum,
    xent_timestep,
)
from nirbridge_eventprop.exact.losses.kinds import FirstSpikeLoss, Loss, MaximumLoss, MembraneLoss

LOSSES: dict[str, type[Loss]] = {
    "xent-sum": xent_sum.XentSum,
    "xent-mean": xent_mean.XentMean,
    "xent-exp": xent_exp.XentExp,
    "xent-linear": xent_linear.XentLinear,
    "xent-sigmoid": xent_sigmoid.XentSigmoid,
    "xent-max": xent_max.XentMax,
    "xent-timestep": xent_timestep.XentTimestep,
    "mse-trace": mse_trace.MseTrace,
    "ttfs-xent": ttfs_xent.TtfsXent,
    "ttfs-mse": ttfs_mse.TtfsMse,
    "ttfs-rel-mse": ttfs_rel_mse.TtfsRelMse,
}

__all__ = ["LOSSES", "FirstSpikeLoss", "Loss", "MaximumLoss", "MembraneLoss"]
