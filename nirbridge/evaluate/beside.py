"""Other ways to bring a graph to a target, run beside the one that its passes take."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import nir

from nirbridge.data import Dataset
from nirbridge.evaluate.running import Run, run
from nirbridge.graph import digest
from nirbridge.passes import Pipeline
from nirbridge.protocols import Target
from nirbridge.report import Beside


def beside(
    graph: nir.NIRGraph,
    target: Target,
    here: tuple[nir.NIRGraph, Run],
    data: Dataset,
    spiking: list[str],
    batch: int,
    agree: Callable[[Run], float | None],
) -> tuple[Beside, ...]:
    """Accuracy and share of agreeing spikes of every way that the target names.

    A target may have ``beside(graph)``, which gives pairs of a name and passes; it is no part of the
    protocol. here: the graph that the target ran and its run, which is not repeated; agree: the share of a
    run's spikes that agree with the first target.
    """
    ways: Any = getattr(target, "beside", None)
    found = []
    for name, passes in ways(graph) if ways is not None else ():
        lowered = Pipeline(tuple(passes))(graph)
        shown = digest(lowered) == digest(here[0])
        done = here[1] if shown else run(lowered, target, data, record=spiking, batch=batch)
        found.append(
            Beside(
                way=name,
                shown=shown,
                accuracy=done.accuracy,
                correct=done.correct,
                spikes_agree=agree(done),
            )
        )
    return tuple(found)
