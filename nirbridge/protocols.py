"""The five interfaces that everything in nirbridge speaks; whoever has the methods fits.

Passes, targets and trainers are frozen dataclasses whose fields are their options.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any, ClassVar, Protocol, runtime_checkable

from nir import NIRGraph
from numpy.random import Generator

from nirbridge.cost import Cost
from nirbridge.data import Dataset
from nirbridge.errors import Finding
from nirbridge.placement import Placement
from nirbridge.recording import Recording
from nirbridge.spikes import Spikes


@runtime_checkable
class Pass(Protocol):
    """graph -> graph: a valid graph in, a new valid graph out, the input untouched."""

    name: ClassVar[str]

    def __call__(self, graph: NIRGraph, /) -> NIRGraph: ...


@runtime_checkable
class Program(Protocol):
    """A compiled graph, ready to run."""

    @property
    def graph(self) -> NIRGraph:
        """The graph as this target executes it."""

    @property
    def placement(self) -> Placement: ...

    def run(
        self,
        spikes: Spikes,
        *,
        record: Sequence[str] = (),
        progress: Callable[[int], None] | None = None,
    ) -> Recording:
        """Run a batch. ``record``: "node" for spikes, "node:v", "node:i", "node:x" for traces;
        ``progress`` is called with the number of samples done."""

    def cost(self, recording: Recording) -> Cost:
        """What the recorded run costs on this target."""


@runtime_checkable
class Target(Protocol):
    """What can compile a graph."""

    name: ClassVar[str]

    def passes(self, graph: NIRGraph) -> Sequence[Pass]:
        """The passes that make the graph legal here; running them twice changes nothing more."""

    def check(self, graph: NIRGraph) -> list[Finding]:
        """Everything that keeps the graph from running here, all at once."""

    def compile(self, graph: NIRGraph) -> Program:
        """Raises `Unsupported` or `DoesNotFit` (which carries its placement)."""


@dataclass(frozen=True, slots=True, kw_only=True)
class TrainStats:
    """Progress of a training run, handed to ``on_step`` after every batch.

    ``loss`` and ``accuracy`` are of this epoch so far; ``spikes_per_neuron`` is the mean over hidden
    neurons per sample; ``valid_accuracy`` is that of the last finished epoch; ``samples`` counts
    samples seen in this epoch of ``epoch_samples``; ``valid_loss`` and ``rate``, the learning rate, are
    those of a finished epoch.
    """

    epoch: int
    epochs: int
    samples: int
    epoch_samples: int
    loss: float
    accuracy: float
    spikes_per_neuron: float
    silent: float
    valid_accuracy: float | None = None
    epoch_done: bool = False
    valid_loss: float | None = None
    rate: float | None = None


@runtime_checkable
class Trainer(Protocol):
    """Fits a graph to a data set and returns the trained graph."""

    name: ClassVar[str]

    def fit(
        self,
        graph: NIRGraph,
        data: Dataset,
        *,
        validation: Dataset | None = None,
        rng: Generator,
        checkpoint: Path | None = None,
        on_step: Callable[[TrainStats], None] | None = None,
    ) -> NIRGraph: ...


class Format(Protocol):
    """A file ending's reader and writer of graphs."""

    endings: ClassVar[tuple[str, ...]]

    def read(self, path: Path) -> NIRGraph: ...

    def write(self, path: Path, graph: NIRGraph) -> str | None:
        """Write the graph; may return a line about what the file holds."""


def options_of(thing: Any) -> dict[str, Any]:
    """The options of a pass, target or trainer: its dataclass fields with their values."""
    from dataclasses import fields

    return {f.name: getattr(thing, f.name) for f in fields(thing)}
