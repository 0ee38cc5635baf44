"""The reference target against golden NIR cases: spikes exact, traces within the case's tolerance."""

from __future__ import annotations

import json
import os
from pathlib import Path

import numpy as np
import pytest

from nirbridge.io import read_graph
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

ROOT = Path(__file__).resolve().parents[2]
OWN = Path(__file__).parent / "data" / "nir"
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "nir"
CASES = sorted([*OWN.glob("*.npz"), *SHARED.glob("*.npz")])


@pytest.mark.parametrize("arithmetic", ["float64", "float32"])
@pytest.mark.parametrize("path", CASES, ids=[f"nir-{path.stem}" for path in CASES])
def test_case(path, arithmetic):
    case = np.load(path)
    profile = str(case["profile"])
    file = path.parent / str(case["graph"])
    options = json.loads(str(case["options"]))
    semantics = Semantics.of_profile(profile, dt=float(case["dt"]), arithmetic=arithmetic, **options)
    graph = with_semantics(read_graph(file if file.exists() else SHARED / str(case["graph"])), semantics)
    program = Reference(threads=1).compile(graph)
    node, start = str(case["node"]), int(case["start"])
    spikes, trace = case["expected_spikes"], case["expected_trace"]
    record = [node] if spikes.size else []
    if trace.size and str(case["trace_kind"]) == "v":
        record.append(f"{node}:v")
    x = case["input"]
    if profile == "genn" and str(case["input_kind"]) == "spikes":
        result = program.run(Spikes.from_dense(x[None], semantics.dt), record=record)
    else:
        result = program.run_values(x[None], record=record)
    if spikes.size:
        found = result.spikes[node].to_dense(semantics.dt)[0]
        assert (found[start:] != spikes[start:]).sum() <= int(case["tolerance_spikes"])
    if trace.size:
        expected = trace / float(case["trace_scale"])
        found = result.traces[f"{node}:v"] if str(case["trace_kind"]) == "v" else result.output
        tolerance = max(float(case["tolerance_trace"]), 5e-5 if arithmetic == "float32" else 0.0)
        if isinstance(found, Spikes):
            found = found.to_dense(semantics.dt)
        np.testing.assert_allclose(found[0][start:], expected[start:], rtol=0, atol=tolerance)


def test_there_are_cases():
    assert CASES, "no golden case was found, not even our own in tests/golden/data/nir"
