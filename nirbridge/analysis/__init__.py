"""Compare two recordings or two graphs: agreement, first divergence, what passes changed."""

from nirbridge.analysis.divergence import first_difference
from nirbridge.analysis.passes import applied
from nirbridge.analysis.spikes import agreement, paired_change
from nirbridge.analysis.types import (
    Agreement,
    Divergence,
    PairedChange,
    PassResult,
    Versus,
    WeightHistogram,
)
from nirbridge.analysis.weights import histogram

__all__ = [
    "Agreement",
    "Divergence",
    "PairedChange",
    "PassResult",
    "Versus",
    "WeightHistogram",
    "agreement",
    "applied",
    "first_difference",
    "histogram",
    "paired_change",
]
