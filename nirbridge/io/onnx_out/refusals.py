"""Which semantics a float32 step without queues can state."""

from __future__ import annotations

from nirbridge.errors import Finding, Unsupported
from nirbridge.semantics import Semantics

PROFILES = ("canonical", "genn")


def refuse(semantics: Semantics) -> None:
    """Raise `Unsupported` (NB201) that names every field which the step cannot state."""
    if semantics.profile not in PROFILES:
        raise Unsupported(
            f"semantics profile '{semantics.profile}' cannot be written as ONNX: its reader has lines of its "
            "own",
            code="NB201",
            fix=f"use one of {', '.join(PROFILES)}",
        )
    findings = [
        Finding(
            code="NB201",
            level="error",
            message=f"semantics field {name}={getattr(semantics, name)!r} cannot be written as ONNX: {why}",
        )
        for name, taken, why in (
            ("multi_spike", (False,), "a neuron sends at most one spike a step"),
            ("arithmetic", ("float32", "float64"), "the step is in float32"),
            ("weights", ("as-is",), "its reader rounds weights; use the pass quantize-weights"),
            ("bias_path", ("synapse",), "its reader adds biases behind the synapse"),
            ("delayed", ("state",), "arcs that are absent in step 0 are not supported"),
        )
        if getattr(semantics, name) not in taken
    ]
    if findings:
        raise Unsupported(
            findings[0].message,
            code="NB201",
            fix="write the graph as .nir and run it on a target that has this field",
            findings=findings[1:],
        )
