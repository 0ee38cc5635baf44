"""What a loss looks at, as three abstract classes, and the cross-entropy that most of them share."""

from __future__ import annotations

from abc import ABC, abstractmethod

import numpy as np
from numpy.typing import NDArray

Floats = NDArray[np.float64]


class MembraneLoss(ABC):
    """A loss on V(t) of a non-spiking read-out, as a sum over quadrature nodes."""

    def edges(self, end: float) -> Floats:
        """Times [s] at which the integrand jumps: no quadrature piece crosses them."""
        return np.zeros(0)

    @abstractmethod
    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        """(value, read-out (n,), ∂value/∂V (nodes, n)) from times, weights (nodes,) [s] and V (nodes, n)."""


class IntegralLoss(MembraneLoss):
    """Cross-entropy of softmax(z) with z = logit_scale·∫₀ᵀ ω(t)·V(t) dt."""

    logit_scale: float

    @abstractmethod
    def omega(self, t: Floats, end: float) -> Floats:
        """ω [1/s] at times t [s] of a sample that ends at ``end`` [s]."""

    def at_nodes(
        self, t: Floats, weight: Floats, v: Floats, label: int, end: float
    ) -> tuple[float, Floats, Floats]:
        share = self.logit_scale * weight * self.omega(t, end)
        z = share @ v
        value, error = cross_entropy(z, label)
        return value, z, np.outer(share, error)


class MaximumLoss(ABC):
    """A loss on max_t V of a non-spiking read-out."""

    @abstractmethod
    def at_maximum(self, top: Floats, label: int) -> tuple[float, Floats, Floats]:
        """(value, read-out (n,), ∂value/∂top (n,)) from the maxima (n,)."""


class FirstSpikeLoss(ABC):
    """A loss on the first spike of each output neuron."""

    @abstractmethod
    def at_first_spike(self, t: Floats, label: int, end: float) -> tuple[float, Floats]:
        """(value, ∂value/∂t [1/s] (n,)) from first spike times (n,) [s], ``end`` for silent outputs."""


Loss = MembraneLoss | MaximumLoss | FirstSpikeLoss


def cross_entropy(z: Floats, label: int) -> tuple[float, Floats]:
    """−ln softmax(z)[label] and its derivative by z (n,)."""
    shifted = np.exp(z - z.max())
    total = shifted.sum()
    error = shifted / total
    value = float(np.log(total) - (z[label] - z.max()))
    error[label] -= 1.0
    return value, error
