"""A trainer: logistic regression on spike counts, for a graph with one weight node."""

from __future__ import annotations

from collections.abc import Callable
from copy import deepcopy
from dataclasses import dataclass
from pathlib import Path
from typing import ClassVar

import nir
import numpy as np
from numpy.random import Generator

from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Unsupported
from nirbridge.graph import read_metadata, replace_nodes, write_metadata
from nirbridge.protocols import TrainStats


@dataclass(frozen=True)
class DeltaRule:
    """w ← w + lr·(1[label] − softmax(w·n))·n, sample by sample, with n the input's spike counts."""

    epochs: int = 10
    lr: float = 0.01
    name: ClassVar[str] = "delta-rule"

    def fit(
        self,
        graph: nir.NIRGraph,
        data: Dataset,
        *,
        validation: Dataset | None = None,
        rng: Generator,
        checkpoint: Path | None = None,
        on_step: Callable[[TrainStats], None] | None = None,
    ) -> nir.NIRGraph:
        """A graph with other weights. Too short to leave a checkpoint."""
        found = {name: node for name, node in graph.nodes.items() if isinstance(node, nir.Linear)}
        metadata = read_metadata(graph)
        if len(found) != 1 or metadata is None:
            raise Unsupported("trainer 'delta-rule' needs one Linear and a stated dt", code="NB202")
        if data.labels is None:
            raise BadInput(f"{data.source}: no labels", code="NB503", fix="add labels to the file")
        ((name, node),) = found.items()
        trained = deepcopy(node)
        weight = np.asarray(node.weight, dtype=np.float64).copy()
        counts = data.spikes.to_dense(metadata.dt).sum(axis=1)
        for epoch in range(1, self.epochs + 1):
            loss = right = 0.0
            for sample in rng.permutation(len(data)):
                n, label = counts[sample], int(data.labels[sample])
                score = weight @ n
                p = np.exp(score - score.max())
                p /= p.sum()
                loss -= float(np.log(p[label] + 1e-12))
                right += float(p.argmax() == label)
                weight -= self.lr * np.outer(p - (np.arange(len(p)) == label), n)
            if on_step is not None:
                on_step(
                    TrainStats(
                        epoch=epoch,
                        epochs=self.epochs,
                        samples=len(data),
                        epoch_samples=len(data),
                        loss=loss / len(data),
                        accuracy=right / len(data),
                        spikes_per_neuron=0.0,
                        silent=0.0,
                        epoch_done=True,
                    )
                )
        trained.weight = weight.astype(np.float32)
        summary = {"trainer": self.name, "epochs": self.epochs, "duration": data.spikes.duration}
        update = {"training": summary, "classes": list(data.classes), "readout": "sum"}
        return write_metadata(replace_nodes(graph, {name: trained}), metadata.model_copy(update=update))
