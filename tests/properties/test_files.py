"""Files of random graphs: written and read they are equal, and plain `nir` keeps what they hold."""

from __future__ import annotations

import sys
import tempfile
from collections.abc import Callable
from pathlib import Path

import nir
import numpy as np
import pytest
from hypothesis import HealthCheck, Phase, find, given, settings
from hypothesis import strategies as st

from nirbridge.graph import digest, equal, inline, recurrent_edges
from nirbridge.io import read_graph, write_graph
from nirbridge.passes import FoldDelays, QuantizeWeights
from nirbridge.validate import validate

sys.path.insert(0, str(Path(__file__).parent))
from graphs import EVERY, graphs

usual = settings(max_examples=20, deadline=None, suppress_health_check=list(HealthCheck))
types = st.sampled_from([np.float32, np.float64])


def through_nir(path: Path) -> None:
    """Read a file by plain nir and write it again by plain nir."""
    nir.write(path, nir.read(path, type_check=False))


@usual
@given(types.flatmap(lambda dtype: graphs(dtype=dtype)), st.booleans(), st.booleans())
def test_written_and_read_a_graph_is_equal(graph: nir.NIRGraph, quantised: bool, folded: bool) -> None:
    graph = QuantizeWeights()(graph) if quantised else graph
    graph = FoldDelays()(graph) if folded else graph
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write_graph(path, graph)
        read = read_graph(path)
        assert equal(read, graph)
        assert read.metadata == graph.metadata
        assert [f for f in validate(read) if f.level != "info"] == []
        through_nir(path)
        again = read_graph(path)
    assert digest(again) == digest(graph)
    assert again.metadata == graph.metadata
    before, after = inline(read).nodes, inline(again).nodes
    for name, node in before.items():
        if hasattr(node, "weight"):
            assert np.array_equal(node.weight, after[name].weight)
            assert node.weight.dtype == after[name].weight.dtype
            assert ("nirbridge_q" in node.metadata) == ("nirbridge_q" in after[name].metadata)


def found(wanted: Callable[[nir.NIRGraph], bool]) -> nir.NIRGraph:
    """A random graph with a property, not shrunk; fails where none of 2000 has it."""
    few = settings(max_examples=2000, database=None, phases=[Phase.generate])
    return find(graphs(), wanted, settings=few)


@pytest.mark.parametrize("kind", EVERY)
def test_the_strategy_makes_every_primitive(kind: str) -> None:
    """Each kind of node is drawn, so that the laws are tried on it."""
    assert found(lambda graph: any(type(node).__name__ == kind for node in graph.nodes.values()))


def test_it_makes_loops_branches_and_several_inputs() -> None:
    assert found(lambda graph: len(recurrent_edges(graph)) > 0)
    assert found(lambda graph: sum(isinstance(node, nir.Input) for node in graph.nodes.values()) == 2)
    assert found(lambda graph: any(name.endswith("_side") for name in graph.nodes))
