"""Samples of the training data kept apart to choose by, so that no choice is made on test samples."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np

from nirbridge.data.dataset import Dataset
from nirbridge.errors import BadInput


def hold_out(data: Dataset, which: int | Sequence[int]) -> tuple[Dataset, Dataset]:
    """The samples to train with and those held out, both in their order.

    which: the number of last samples, or the groups whose samples are held out (such as speakers). What is
    held out loses its augmentations. Raises `BadInput` (NB515) where a named group is missing, or where
    either part would be empty.
    """
    if isinstance(which, int):
        held = np.arange(len(data)) >= len(data) - which
        said = f"the last {which} of {len(data)} samples"
    else:
        groups = data.groups
        there = [] if groups is None else np.unique(groups).tolist()
        missing = [group for group in which if group not in there]
        if groups is None or missing:
            known = f"groups {', '.join(map(str, there[:40]))}" if there else "no groups"
            raise BadInput(
                f"{data.source}: held out are groups {', '.join(map(str, missing))}, found {known}",
                code="NB515",
                fix="hold out groups that the data have, or a number of last samples",
            )
        held = np.isin(groups, which)
        said = f"groups {', '.join(map(str, which))}"
    if not held.any() or held.all():
        raise BadInput(
            f"{data.source}: holding out {said} leaves {int((~held).sum())} samples to train with and "
            f"{int(held.sum())} to choose by",
            code="NB515",
            fix="hold out at least one sample, and not all",
        )
    return data.select(~held), replace(data.select(held), augmentations=())
