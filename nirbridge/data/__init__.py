"""Labelled spike trains and how they are varied while training; reading files is `nirbridge.io`."""

from nirbridge.data.channel_shift import ChannelShift
from nirbridge.data.dataset import Augmentation, Dataset
from nirbridge.data.images import Images

__all__ = ["Augmentation", "ChannelShift", "Dataset", "Images"]
