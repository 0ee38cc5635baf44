"""Compare two recordings or two graphs: agreement, first divergence, what passes changed."""

from nirbridge.analysis.diff import EdgeDiff, FieldDiff, GraphDiff, OtherDiff, diff
from nirbridge.analysis.divergence import first_difference
from nirbridge.analysis.passes import applied
from nirbridge.analysis.spikes import agreement, paired_change
from nirbridge.analysis.types import (
    Agreement,
    Divergence,
    PairedChange,
    PassResult,
    QuantizedScale,
    Versus,
    WeightHistogram,
)
from nirbridge.analysis.weights import calibration, histogram

__all__ = [
    "Agreement",
    "Divergence",
    "EdgeDiff",
    "FieldDiff",
    "GraphDiff",
    "OtherDiff",
    "PairedChange",
    "PassResult",
    "QuantizedScale",
    "Versus",
    "WeightHistogram",
    "agreement",
    "applied",
    "calibration",
    "diff",
    "first_difference",
    "histogram",
    "paired_change",
]
