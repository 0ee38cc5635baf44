"""A small recurrent network and data that every target and trainer of dense networks can take."""

from __future__ import annotations

import nir
import numpy as np
from numpy.random import Generator

from nirbridge.data import Dataset
from nirbridge.graph import GraphMetadata, write_metadata
from nirbridge.graph.spiking_stack import spiking_stack
from nirbridge.graph.stack import layered
from nirbridge.spikes import Spikes

INPUTS, HIDDEN, CLASSES = 20, 24, 3
DT = 1e-3
STEPS = 60


def example_graph(rng: Generator, *, layers: int = 1, recurrent: bool = True) -> nir.NIRGraph:
    """20 inputs, ``layers`` hidden layers of 24 CubaLIF neurons, a CubaLI read-out of 3, dt 1 ms."""
    graph = layered(
        inputs=INPUTS,
        hidden=[HIDDEN] * layers,
        outputs=CLASSES,
        dt=DT,
        rng=rng,
        recurrent=recurrent,
        input_mean=0.6,
        input_sd=0.5,
        hidden_mean=0.15,
        hidden_sd=0.3,
        recurrent_sd=0.2,
        output_sd=0.3,
    )
    metadata = GraphMetadata(dt=DT, semantics={"decay": "exact"}, readout="mean")
    return write_metadata(graph, metadata)


def spiking_example_graph(rng: Generator, *, layers: int = 1, recurrent: bool = True) -> nir.NIRGraph:
    """The same stack with a read-out that spikes first in its class, one step a hop (`spiking_stack`)."""
    graph = spiking_stack(
        inputs=INPUTS,
        hidden=[HIDDEN] * layers,
        outputs=CLASSES,
        dt=DT,
        rng=rng,
        recurrent=recurrent,
        input_mean=3.0,
        input_sd=4.0,
        hidden_mean=3.0,
        recurrent_sd=1.0,
        output_mean=3.0,
    )
    metadata = GraphMetadata(
        dt=DT, semantics={"decay": "exact", "feedforward_delay": 1}, readout="first-spike"
    )
    return write_metadata(graph, metadata)


def example_data(rng: Generator, *, samples: int = 12, spikes_per_sample: int = 80) -> Dataset:
    """Samples whose class shows in which third of the channels is busiest; 60 ms each."""
    labels = rng.integers(0, CLASSES, samples)
    sample = np.repeat(np.arange(samples), spikes_per_sample)
    n = len(sample)
    third = INPUTS // CLASSES
    favoured = labels[sample] * third + rng.integers(0, third, n)
    unit = np.where(rng.random(n) < 0.6, favoured, rng.integers(0, INPUTS, n))
    step = rng.integers(0, STEPS, n)
    key = np.unique(np.stack([sample, step, unit], axis=1), axis=0)
    spikes = Spikes.from_events(
        key[:, 1] * DT, key[:, 2], key[:, 0], n_samples=samples, n_units=INPUTS, duration=STEPS * DT
    )
    return Dataset(spikes, labels, ("a", "b", "c"))
