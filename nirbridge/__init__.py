"""nirbridge: train a spiking network, keep it as a NIR graph, run the same file on every target."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

__version__ = "0.1.0"

if TYPE_CHECKING:
    from nirbridge.cost import Cost
    from nirbridge.data import Dataset
    from nirbridge.errors import Finding, NirbridgeError
    from nirbridge.evaluate import compare, run
    from nirbridge.passes import Pipeline
    from nirbridge.placement import Placement
    from nirbridge.protocols import Pass, Program, Target, Trainer
    from nirbridge.recording import Recording
    from nirbridge.report import Report
    from nirbridge.semantics import Semantics
    from nirbridge.spikes import Spikes

_EXPORTS = {
    "Cost": "cost",
    "Dataset": "data",
    "Finding": "errors",
    "NirbridgeError": "errors",
    "Pass": "protocols",
    "Pipeline": "passes",
    "Placement": "placement",
    "Program": "protocols",
    "Recording": "recording",
    "Report": "report",
    "Semantics": "semantics",
    "Spikes": "spikes",
    "Target": "protocols",
    "Trainer": "protocols",
    "compare": "evaluate",
    "run": "evaluate",
}

__all__ = [
    "Cost",
    "Dataset",
    "Finding",
    "NirbridgeError",
    "Pass",
    "Pipeline",
    "Placement",
    "Program",
    "Recording",
    "Report",
    "Semantics",
    "Spikes",
    "Target",
    "Trainer",
    "__version__",
    "compare",
    "run",
]


def __getattr__(name: str) -> Any:
    if name in _EXPORTS:
        return getattr(import_module(f"nirbridge.{_EXPORTS[name]}"), name)
    raise AttributeError(f"module 'nirbridge' has no attribute '{name}'")


def __dir__() -> list[str]:
    return sorted([*globals(), *_EXPORTS])
