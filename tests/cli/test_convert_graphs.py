"""`nirbridge convert` on the golden graphs: versions, units, decay, nesting, delays, and back again."""

import json
import os
import sys
from pathlib import Path

import h5py
import nir
import numpy as np
import pytest

sys.path.insert(0, str(Path(__file__).parent))
from conftest import Call

from nirbridge.graph import digest, inline
from nirbridge.io import read_graph
from nirbridge.semantics import semantics_of
from nirbridge.validate import repair
from nirbridge.validate.fields import field_values

ROOT = Path(__file__).parents[2]
SHARED = Path(os.environ.get("NIRBRIDGE_GOLDEN") or ROOT.parent / "shared" / "golden") / "nir"
FILES = sorted(SHARED.glob("*.nir"))
pytestmark = pytest.mark.skipif(not FILES, reason="the golden files are not here")
# Errors without a unique repair, which stop `convert` (lint_expected.json).
BROKEN = {"demo_norse_scnn_model.nir", "nirviz_srnn.nir", "spyx_shd.nir"}
WHOLE = [path for path in FILES if path.name not in BROKEN]
names = pytest.mark.parametrize("path", WHOLE, ids=lambda path: path.stem)
"""Every golden graph that can be converted."""


def converted(call: Call, source: Path, goal: str, *arguments: str) -> nir.NIRGraph:
    result = call("convert", source, goal, *arguments, "--quiet")
    assert result.code == 0, result.err
    return read_graph(Path(goal))


def close(a: nir.NIRGraph, b: nir.NIRGraph, rtol: float = 1e-5) -> None:
    """The same nodes and edges with the same values."""
    a, b = inline(a), inline(b)
    assert set(a.nodes) == set(b.nodes)
    assert sorted(a.edges) == sorted(b.edges)
    for name, node in a.nodes.items():
        other = dict(field_values(b.nodes[name]))
        for key, value in field_values(node):
            if isinstance(value, str) or value is None:
                assert other[key] == value
            else:
                np.testing.assert_allclose(other[key], value, rtol=rtol, atol=1e-30, err_msg=f"{name}.{key}")


@names
def test_a_copy_has_the_same_digest(call: Call, path: Path) -> None:
    expected = json.loads((SHARED / "digests.json").read_text())
    copy = converted(call, path, "copy.nir", "--fix")
    assert digest(copy) == digest(repair(read_graph(path)))
    if digest(read_graph(path)) == digest(copy) and path.name in expected:
        assert digest(copy) == expected[path.name]
    assert digest(converted(call, Path("copy.nir"), "again.nir")) == digest(copy)


@pytest.mark.parametrize("name", sorted(BROKEN))
def test_what_has_no_unique_repair_is_refused_with_every_reason(
    call: Call, name: str, tmp_path: Path
) -> None:
    expected = json.loads((SHARED / "lint_expected.json").read_text())[name]["error"]
    result = call("convert", SHARED / name, "out.nir", "--fix")
    assert result.code == 3
    assert {code for code in expected if f"[{code}]" not in result.err} <= {"NB107"}
    assert not (tmp_path / "out.nir").exists()


def test_repairs_are_listed_by_name(call: Call) -> None:
    path = SHARED / "braille_noDelay_bias_zero_subgraph.nir"
    assert call("convert", path, "out.nir").code == 3
    result = call("convert", path, "out.nir", "--fix", "--json")
    assert result.code == 0
    assert "NB104" in {finding["code"] for finding in json.loads(result.out)["mended"]}
    assert f"mended[NB104] {path}" in result.err
    result = call("convert", SHARED / "demo_snntorch_braille.nir", "out.nir", "--fix", "--json")
    assert {"NB102", "NB111", "NB117"} <= {f["code"] for f in json.loads(result.out)["mended"]}


# Graphs whose spec says how they step; for the public ones dt is stated here.
DECAYS = [path for path in WHOLE if path.stem.startswith(("canonical", "braille", "cnn", "two", "lif_norse"))]


@pytest.mark.parametrize("path", DECAYS, ids=lambda path: path.stem)
def test_seconds_to_milliseconds_and_back(call: Call, path: Path) -> None:
    stated = ("--dt", "0.0001", "--unit", "s")
    first = converted(call, path, "s.nir", "--fix", *stated, "--pass", "rescale-time:unit=s")
    in_ms = converted(call, Path("s.nir"), "ms.nir", "--pass", "rescale-time:unit=ms")
    assert semantics_of(in_ms).time_unit == 1e-3
    assert semantics_of(in_ms).dt == semantics_of(first).dt
    close(first, converted(call, Path("ms.nir"), "back.nir", "--pass", "rescale-time:unit=s"))
    for name, node in inline(first).nodes.items():
        if hasattr(node, "tau"):
            np.testing.assert_allclose(inline(in_ms).nodes[name].tau, node.tau * 1000, rtol=1e-6)


@pytest.mark.parametrize("path", DECAYS, ids=lambda path: path.stem)
def test_exact_to_euler_and_back(call: Call, path: Path) -> None:
    stated = () if "nirbridge" in read_graph(path).metadata else ("--dt", "1e-6")
    start = converted(call, path, "start.nir", "--fix", *stated, "--pass", "to-exact")
    euler = converted(call, Path("start.nir"), "euler.nir", "--pass", "to-euler")
    assert (semantics_of(start).decay, semantics_of(euler).decay) == ("exact", "euler")
    back = converted(call, Path("euler.nir"), "back.nir", "--pass", "to-exact")
    close(start, back, rtol=2e-3 if stated else 1e-4)


SUBGRAPHS = [path for path in WHOLE if "subgraph" in path.stem]


@pytest.mark.parametrize("path", SUBGRAPHS, ids=lambda path: path.stem)
def test_nested_to_flat_and_back(call: Call, path: Path) -> None:
    start = converted(call, path, "start.nir", "--fix")
    flat = converted(call, Path("start.nir"), "flat.nir", "--pass", "inline")
    assert not any(isinstance(node, nir.NIRGraph) for node in flat.nodes.values())
    nested = converted(call, Path("flat.nir"), "nested.nir", "--pass", "nest")
    assert digest(inline(nested)) == digest(inline(start)) == digest(flat)


@pytest.mark.parametrize("name", ["canonical_delay.nir", "canonical_delay_loop.nir"])
def test_files_hold_delays_lowered(call: Call, name: str) -> None:
    converted(call, SHARED / name, "start.nir", "--dt", "0.001", "--pass", "lower-delays")
    folded = converted(call, Path("start.nir"), "folded.nir", "--pass", "fold-delays")
    assert any(isinstance(node, nir.Delay) for node in folded.nodes.values())
    assert not any("nirbridge_delay" in node.metadata for node in folded.nodes.values())
    again = converted(
        call, Path("folded.nir"), "again.nir", "--pass", "fold-delays", "--pass", "lower-delays"
    )
    assert digest(again) == digest(folded)


# What the constructors of nir 1.0.4 take, read off them; the others raise TypeError.
METADATA_104 = ["Affine", "Conv1d", "CubaLIF", "Delay", "Flatten", "I", "IF", "LI", "LIF", "NIRGraph",
                "SumPool2d", "Threshold"]  # fmt: skip
FIELDS_104 = {
    "Affine": "weight bias", "AvgPool2d": "kernel_size stride padding", "Delay": "delay", "I": "r",
    "Conv1d": "input_shape weight stride padding dilation groups bias", "IF": "r v_threshold",
    "Conv2d": "input_shape weight stride padding dilation groups bias", "LI": "tau r v_leak",
    "CubaLIF": "tau_syn tau_mem r v_leak v_threshold w_in", "Flatten": "input_type start_dim end_dim",
    "Input": "shape", "LIF": "tau r v_leak v_threshold", "Linear": "weight", "NIRGraph": "nodes edges",
    "Output": "shape", "Scale": "scale", "SumPool2d": "kernel_size stride padding", "Threshold": "threshold",
}  # fmt: skip


def takes_104(group: h5py.Group) -> None:
    """Fail where nir 1.0.4 would."""
    kind = group["type"].asstr()[()]
    allowed = {"type", *FIELDS_104[kind].split(), *(["metadata"] if kind in METADATA_104 else [])}
    assert set(group) <= allowed, f"{group.name} ({kind})"
    for node in group["nodes"].values() if kind == "NIRGraph" else ():
        takes_104(node)


@names
def test_a_file_for_1_0_4_has_nothing_that_it_refuses(call: Call, path: Path) -> None:
    result = call("convert", path, "old.nir", "--fix", "--pass", "set-nir-version:version=1.0.4")
    if result.code == 4:
        assert "NB204" in result.err or "NB201" in result.err
        return
    assert result.code == 0, result.err
    with h5py.File("old.nir") as file:
        takes_104(file["node"])
    back = converted(call, Path("old.nir"), "back.nir")
    assert digest(back) == digest(repair(read_graph(path)))


def test_a_report_of_scales_without_quantised_weights_is_said_to_be_empty(
    call: Call, graph: Path, tmp_path: Path
) -> None:
    done = call("convert", graph, "n.nir", "--report", "r.html")
    assert done.code == 0 and "no weights were quantised" in done.err
    done = call("convert", graph, "n.nir", "--pass", "quantize-weights", "--report", "r.html")
    assert done.code == 0 and "no weights" not in done.err
