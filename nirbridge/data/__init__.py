"""Labelled spike trains and how they are varied while training; reading files is `nirbridge.io`."""

from nirbridge.data.blend import Blend
from nirbridge.data.channel_shift import ChannelShift
from nirbridge.data.dataset import Augmentation, Dataset
from nirbridge.data.drop import Drop
from nirbridge.data.hold_out import hold_out
from nirbridge.data.images import Images
from nirbridge.data.jitter import Jitter
from nirbridge.data.latency import Latency
from nirbridge.data.neighbour_swap import NeighbourSwap
from nirbridge.data.time_stretch import TimeStretch

__all__ = [
    "Augmentation",
    "Blend",
    "ChannelShift",
    "Dataset",
    "Drop",
    "Images",
    "Jitter",
    "Latency",
    "NeighbourSwap",
    "TimeStretch",
    "hold_out",
]
