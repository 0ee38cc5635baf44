"""What an epoch's batches add up to."""

from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from nirbridge_spinnaker2.training.executor import BatchResult
from nirbridge_spinnaker2.training.structure import Stack


class Tally:
    """Sums over the batches of an epoch.

    loss, correct: over samples. hidden_spikes: of all layers but the last.
    """

    def __init__(self, stack: Stack) -> None:
        self.stack = stack
        self.samples = self.correct = self.ties = self.silent_samples = self.clamped = self.inputs = 0
        self.loss = 0.0
        self.spikes = np.zeros(stack.states, np.int64)

    def add(self, result: BatchResult, labels: NDArray[np.int64], inputs: NDArray[np.int64]) -> None:
        """Add a batch; inputs: input spikes of each sample."""
        self.samples += len(labels)
        self.loss += float(result.loss[:, 0].sum())
        self.correct += int((result.predictions == labels).sum())
        earliest = result.first.min(axis=1)
        self.ties += int(((result.first == earliest[:, None]).sum(axis=1) > 1).sum())
        output = result.counts[:, self.stack.hidden :]
        self.silent_samples += int((output.sum(axis=1) == 0).sum())
        self.clamped += result.clamped
        self.inputs += int(inputs.sum())
        self.spikes += result.counts.sum(axis=0)

    @property
    def hidden_spikes(self) -> int:
        return int(self.spikes[: self.stack.hidden].sum())

    @property
    def silent(self) -> float:
        """Share of hidden neurons without a spike in the epoch so far."""
        hidden = self.spikes[: self.stack.hidden]
        return float((hidden == 0).mean()) if len(hidden) else 0.0

    def entry(self) -> dict[str, float]:
        """The epoch in numbers: means over samples, spikes per sample of the input and of every layer."""
        n = max(self.samples, 1)
        found = {
            "loss": self.loss / n,
            "accuracy": self.correct / n,
            "ties": self.ties / n,
            "silent_outputs": self.silent_samples / n,
            "silent": self.silent,
            "spikes_per_neuron": self.hidden_spikes / n / max(self.stack.hidden, 1),
            "spikes_input": self.inputs / n,
        }
        for name, (size, _, state, _, _) in zip(self.stack.names, self.stack.layers, strict=True):
            found[f"spikes_{name}"] = float(self.spikes[state : state + size].sum()) / n
        if self.clamped:
            found["clamped"] = float(self.clamped)
        return found
