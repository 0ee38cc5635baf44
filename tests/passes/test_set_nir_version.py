"""`set-nir-version`: files without what older releases refuse, and what they lose said aloud."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from itertools import pairwise
from pathlib import Path
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from nirbridge.errors import FindingWarning, Unsupported
from nirbridge.graph import digest, make
from nirbridge.io import read_graph, write_graph
from nirbridge.passes import QuantizeWeights, SetNirVersion
from nirbridge.semantics import Semantics, with_semantics

# Fields of the dataclasses of nir 1.0.4; its reader hands a group's members to them as keywords.
FIELDS_1_0_4 = {
    "CubaLIF": {"tau_syn", "tau_mem", "r", "v_leak", "v_threshold", "w_in", "metadata"},
    "Input": {"shape"},
    "LIF": {"tau", "r", "v_leak", "v_threshold", "metadata"},
    "Linear": {"weight"},
    "Output": {"shape"},
}


def graph(v_reset: float = 0.0, **more: nir.NIRNode) -> nir.NIRGraph:
    """input -> w -> LIF -> sub(CubaLIF) -> output, with dt and a quantised weight."""
    one = np.ones(2)
    cuba = {"tau_syn": one, "tau_mem": one, "r": one, "v_leak": 0 * one, "v_threshold": one, "w_in": one}

    def port(kind: type[nir.NIRNode], name: str) -> nir.NIRNode:
        return kind({name: np.array([2])})

    inner = make(
        {"input": port(nir.Input, "input"), "n": nir.CubaLIF(**cuba), "output": port(nir.Output, "output")},
        [("input", "n"), ("n", "output")],
    )
    nodes = {
        "input": port(nir.Input, "input"),
        "w": QuantizeWeights()(make({"w": nir.Linear(np.eye(2))}, [])).nodes["w"],
        "a": nir.LIF(tau=one, r=one, v_leak=0 * one, v_threshold=one, v_reset=v_reset * one),
        "sub": inner,
        "output": port(nir.Output, "output"),
    }
    names = ["input", "w", "a", *more, "sub", "output"]
    result = make({**nodes, **more}, pairwise(names))
    return with_semantics(result, Semantics(dt=1e-3))


def quietly(item: SetNirVersion, net: nir.NIRGraph) -> nir.NIRGraph:
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", FindingWarning)
        return item(net)


def members(group: Any) -> Iterator[tuple[str, set[str]]]:
    """(type, names of fields) of every node of a file, nested ones too."""
    for node in group["nodes"].values():
        kind = node["type"][()].decode()
        if kind == "NIRGraph":
            yield from members(node)
        else:
            yield kind, set(node) - {"type"}


def test_the_file_has_no_field_that_1_0_4_refuses(tmp_path: Path) -> None:
    write_graph(tmp_path / "new.nir", graph())
    write_graph(tmp_path / "old.nir", quietly(SetNirVersion(), graph()))
    with h5py.File(tmp_path / "old.nir") as file:
        found = list(members(file["node"]))
    assert {kind for kind, _ in found} == set(FIELDS_1_0_4)
    assert [
        (kind, fields - FIELDS_1_0_4[kind]) for kind, fields in found if fields - FIELDS_1_0_4[kind]
    ] == []
    with h5py.File(tmp_path / "new.nir") as file:
        assert any("v_reset" in fields for _, fields in members(file["node"]))
    assert digest(read_graph(tmp_path / "old.nir")) == digest(graph())
    assert digest(nir.read(tmp_path / "old.nir")) == digest(graph())
    assert read_graph(tmp_path / "old.nir").metadata == graph().metadata


@pytest.mark.parametrize(
    ("version", "resets", "integers"), [("1.0.8", 2, 1), ("1.0.6", 2, 1), ("1.0.5", 0, 1), ("1.0.4", 0, 0)]
)
def test_what_each_version_keeps(version: Any, resets: int, integers: int) -> None:
    after = quietly(SetNirVersion(version=version), graph())
    nodes = [*after.nodes.values(), *after.nodes["sub"].nodes.values()]
    assert sum(getattr(node, "v_reset", None) is not None for node in nodes) == resets
    assert sum("nirbridge_q" in node.metadata for node in nodes) == integers
    assert digest(after) == digest(graph())


def test_losses_are_said() -> None:
    with pytest.warns(
        FindingWarning, match="metadata of 'w' dropped, nir 1.0.4 refuses them there"
    ) as caught:
        SetNirVersion()(graph())
    assert [w.message.finding.code for w in caught] == ["NB405"]
    with pytest.warns(FindingWarning, match=r"nir 1\.0\.1 ignores metadata"):
        SetNirVersion(version="1.0.1")(graph())
    with warnings.catch_warnings():
        warnings.simplefilter("error", FindingWarning)
        SetNirVersion(version="1.0.6")(graph())


def test_a_reset_elsewhere_is_refused_with_its_first_neuron() -> None:
    with pytest.raises(
        Unsupported, match=r"'a' \(LIF\): nir 1\.0\.4 has no v_reset.*got -0\.2 at 2 of 2"
    ) as caught:
        SetNirVersion()(graph(v_reset=-0.2))
    assert caught.value.code == "NB204"
    assert "shift-reset" in str(caught.value.fix)
    assert quietly(SetNirVersion(version="1.0.6"), graph(v_reset=-0.2)).nodes["a"].v_reset[0] == -0.2


def test_node_types_that_came_later_are_refused() -> None:
    one = np.ones(2)
    li = nir.CubaLI(tau_syn=one, tau_mem=one, r=one, v_leak=0 * one, w_in=one)
    with pytest.raises(
        Unsupported, match=r"'li' is a CubaLI, which nir 1\.0\.4 does not know \(since 1\.0\.5\)"
    ):
        SetNirVersion()(graph(li=li))
    assert "li" in quietly(SetNirVersion(version="1.0.5"), graph(li=li)).nodes
