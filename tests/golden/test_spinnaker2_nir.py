"""Public and generated NIR graphs under the vendor's rules: two chip recordings among them, spikes exact."""

from __future__ import annotations

import json
import os
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import Spinnaker2

ROOT = Path(__file__).resolve().parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "nir"
OWN = Path(__file__).parent / "data" / "nir"


def _cases() -> list[Path]:
    paths = sorted([*OWN.glob("*.npz"), *SHARED.glob("*.npz")])
    return [path for path in paths if str(np.load(path)["profile"]) == "spinnaker2"]


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("path", _cases(), ids=lambda path: f"spinnaker2-nir-{path.stem}")
def test_case(path: Path, arithmetic: Any) -> None:
    case = np.load(path, allow_pickle=False)
    dt, node, steps = float(case["dt"]), str(case["node"]), len(case["input"])
    graph = nir.read(path.parent / str(case["graph"]), type_check=False)
    options = json.loads(str(case["options"]))
    graph = with_semantics(graph, Semantics.of_profile("spinnaker2", dt=dt, **options))
    program = Spinnaker2(arithmetic=arithmetic, threads=1).compile(graph)
    recording = program.run(Spikes.from_dense(case["input"][None], dt), record=[node, f"{node}:v"])
    start = int(case["start"])
    if case["expected_spikes"].size:
        found = recording.spikes[node].to_dense(dt)[0, start:steps]
        wrong = int(np.count_nonzero(found != case["expected_spikes"][start:]))
        assert wrong <= int(case["tolerance_spikes"]), f"{wrong} cells of '{node}' differ"
    if case["expected_trace"].size:
        trace = recording.traces[f"{node}:v"][0, start:steps]
        expected = case["expected_trace"][start:] / float(case["trace_scale"])
        tolerance = max(float(case["tolerance_trace"]), 5e-5 if arithmetic == "float32" else 0.0)
        assert np.max(np.abs(trace - expected)) <= tolerance
