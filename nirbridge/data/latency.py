"""Images as one spike a value, the earlier the larger the value is."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import nir
import numpy as np

from nirbridge.data.images import Images
from nirbridge.errors import BadInput
from nirbridge.graph import read_metadata, write_metadata
from nirbridge.spikes import Spikes

KEY = "latency_coding"
BLOCK = 4096  # samples that are encoded at once


@dataclass(frozen=True, slots=True, kw_only=True)
class Latency:
    """A value v in [0, 1] fires once, at (1 − v)·span; values up to ``above`` are silent.

    span: seconds, of every sample too. above: in [0, 1); 1/255 leaves out the two darkest grey levels, as
    latency-coded MNIST does (Wunderlich & Pehle 2021, doi 10.1038/s41598-021-91786-z).
    """

    span: float
    above: float = 1.0 / 255.0

    def spikes(self, images: Images) -> Spikes:
        """The spikes of these samples, (n, ...) flattened row-major to channels.

        Raises `BadInput` (NB513) for values outside [0, 1], which have no latency.
        """
        parts = [self._block(images, first) for first in range(0, len(images), BLOCK)]
        return Spikes.join(parts)

    def _block(self, images: Images, first: int) -> Spikes:
        part = images.select(slice(first, first + BLOCK))
        values = part.x.reshape(len(part), -1).astype(np.float64) * images.scale
        if values.min() < 0 or values.max() > 1:
            at = int(np.argmax(((values < 0) | (values > 1)).any(axis=1)))
            raise BadInput(
                f"{images.source}: sample {first + at} has values from {values[at].min():g} to "
                f"{values[at].max():g}, expected 0 to 1 for a latency code",
                code="NB513",
                fix="store 'scale' in the file, what its values are multiplied by",
            )
        sample, unit = np.nonzero(values > self.above)
        return Spikes.from_events(
            (1.0 - values[sample, unit]) * self.span,
            unit,
            sample,
            n_samples=len(values),
            n_units=values.shape[1],
            duration=self.span,
        )


def with_latency(graph: nir.NIRGraph, code: Latency) -> nir.NIRGraph:
    """A copy of the graph whose metadata say that it takes images by this code; it needs metadata."""
    metadata = read_metadata(graph)
    if metadata is None:
        raise BadInput(
            "the graph has no metadata to keep its latency code in", code="NB401", fix="state its semantics"
        )
    said = {"span": code.span, "above": code.above}
    return write_metadata(graph, metadata.model_copy(update={KEY: said}))


def latency_in(graph: nir.NIRGraph) -> Latency | None:
    """The code by which a graph takes images, as its metadata say, or None where they say nothing about it.

    Raises `BadInput` (NB401) where they say it wrongly.
    """
    metadata = read_metadata(graph)
    said: Any = (metadata.model_extra or {}).get(KEY) if metadata is not None else None
    if said is None:
        return None
    keys = ("span", "above")
    if not (isinstance(said, dict) and all(isinstance(said.get(key), int | float) for key in keys)):
        raise _unclear()
    span, above = (float(said[key]) for key in keys)
    if not (0 < span <= 1e4 and 0 <= above < 1):
        raise _unclear()
    return Latency(span=span, above=above)


def _unclear() -> BadInput:
    return BadInput(
        f"metadata key '{KEY}' does not say span [s] and above",
        code="NB401",
        fix="train the graph again, or remove the key",
    )
