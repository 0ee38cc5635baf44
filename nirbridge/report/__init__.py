"""A comparison as data, as a table in the terminal and as one HTML page."""

from nirbridge.report.types import (
    Agreement,
    Beside,
    DataSummary,
    Divergence,
    GraphSummary,
    Membrane,
    PairedChange,
    PassResult,
    Raster,
    Report,
    TargetResult,
    Versus,
    WeightHistogram,
)

__all__ = [
    "Agreement",
    "Beside",
    "DataSummary",
    "Divergence",
    "GraphSummary",
    "Membrane",
    "PairedChange",
    "PassResult",
    "Raster",
    "Report",
    "TargetResult",
    "Versus",
    "WeightHistogram",
]
