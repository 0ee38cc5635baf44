"""Labelled spike trains: what a trainer fits and what accuracy is measured on."""

from __future__ import annotations

from collections.abc import Callable, Iterator
from dataclasses import dataclass, replace

import numpy as np
from numpy.random import Generator
from numpy.typing import ArrayLike, NDArray

from nirbridge.errors import BadInput
from nirbridge.spikes import Spikes

Augmentation = Callable[["Dataset", Generator], "Dataset"]


@dataclass(frozen=True, slots=True, eq=False)
class Dataset:
    """`Spikes` with a class for every sample.

    spikes: n_samples samples.
    labels: (n_samples,) int64 in 0 … len(classes)−1, or None where the classes are not known.
    classes: class names in label order.
    groups: (n_samples,) int64, such as the speaker, or None.
    source: what the data came from, for messages and reports.
    augmentations: how a trainer varies each batch, in order; nothing else applies them.

    Raises `BadInput` (NB503) where labels, classes and samples do not agree.
    """

    spikes: Spikes
    labels: NDArray[np.int64] | None = None
    classes: tuple[str, ...] = ()
    groups: NDArray[np.int64] | None = None
    source: str = "memory"
    augmentations: tuple[Augmentation, ...] = ()

    def __post_init__(self) -> None:
        set_field = object.__setattr__
        n = self.spikes.n_samples
        if self.labels is not None:
            labels = np.ascontiguousarray(self.labels, dtype=np.int64)
            set_field(self, "labels", labels)
            if labels.shape != (n,):
                raise self._bad(f"{n} samples but labels of shape {labels.shape}")
            if n and (labels.min() < 0 or (self.classes and labels.max() >= len(self.classes))):
                top = len(self.classes) or int(labels.max()) + 1
                at = int(np.argmax((labels < 0) | (labels >= top)))
                raise self._bad(
                    f"sample {at} has label {labels[at]}, expected 0 to {max(top - 1, 0)} "
                    f"({len(self.classes)} class names)"
                )
            if not self.classes:
                set_field(self, "classes", tuple(str(k) for k in range(int(labels.max(initial=-1)) + 1)))
        if self.groups is not None:
            groups = np.ascontiguousarray(self.groups, dtype=np.int64)
            set_field(self, "groups", groups)
            if groups.shape != (n,):
                raise self._bad(f"{n} samples but groups of shape {groups.shape}")

    def _bad(self, message: str) -> BadInput:
        return BadInput(f"{self.source}: {message}", code="NB503", fix="correct the labels in the file")

    def __len__(self) -> int:
        return self.spikes.n_samples

    def select(self, samples: ArrayLike) -> Dataset:
        """The given samples (indices or a mask), in the given order."""
        index = np.asarray(samples)
        if index.size == 0:
            index = index.astype(np.int64)
        return replace(
            self,
            spikes=self.spikes.select(index),
            labels=None if self.labels is None else self.labels[index],
            groups=None if self.groups is None else self.groups[index],
        )

    def head(self, n: int | None) -> Dataset:
        """The first ``n`` samples; all of them if ``n`` is None or beyond."""
        return self if n is None or n >= len(self) else self.select(np.arange(n))

    def batches(self, n: int) -> Iterator[Dataset]:
        """Batches of at most ``n`` samples in order; no sample is padded."""
        for start in range(0, len(self), n):
            yield self.select(np.arange(start, min(start + n, len(self))))

    def with_spikes(self, spikes: Spikes) -> Dataset:
        """The same labels over other spikes of the same samples."""
        return replace(self, spikes=spikes)

    def augmented(self, rng: Generator) -> Dataset:
        """The samples varied by the data's augmentations."""
        data = self
        for augmentation in self.augmentations:
            data = augmentation(data, rng)
        return data
