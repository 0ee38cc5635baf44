"""The digest of a graph stays the same however often, and by whom, its file is rewritten."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path

import h5py
import nir
import numpy as np
from hypothesis import given, settings
from hypothesis import strategies as st

sys.path.insert(0, str(Path(__file__).parent))
from test_nir_writing import chain, graphs, nodes

from nirbridge.graph import digest, make
from nirbridge.io import read_graph, write_graph

WRITABLE = st.lists(nodes(2), min_size=1, max_size=4).filter(
    lambda made: all(node.input_type["input"].size for node in made)  # nir cannot write 0-d parameters
)


@settings(max_examples=40, deadline=None)
@given(graphs())
def test_rewriting_by_us_keeps_the_digest(graph: nir.NIRGraph) -> None:
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        for _ in range(3):
            write_graph(path, graph)
            again = read_graph(path)
            assert digest(again) == digest(graph)
            graph = make(dict(reversed(again.nodes.items())), again.edges[::-1], {})


@settings(max_examples=40, deadline=None)
@given(WRITABLE)
def test_rewriting_by_plain_nir_keeps_the_digest(inner: list[nir.NIRNode]) -> None:
    graph = chain(*inner)
    with tempfile.TemporaryDirectory() as folder:
        ours, theirs = Path(folder) / "ours.nir", Path(folder) / "theirs.nir"
        write_graph(ours, graph)
        nir.write(theirs, nir.read(ours))
        assert digest(read_graph(theirs)) == digest(graph)
        write_graph(ours, read_graph(theirs))
        assert digest(nir.read(ours)) == digest(graph)


@settings(max_examples=40, deadline=None)
@given(WRITABLE, st.data())
def test_any_changed_value_changes_the_digest(inner: list[nir.NIRNode], data: st.DataObject) -> None:
    graph = chain(*inner)
    with tempfile.TemporaryDirectory() as folder:
        path = Path(folder) / "net.nir"
        write_graph(path, graph)
        arrays: list[str] = []
        with h5py.File(path, "r+") as file:
            kinds = (h5py.Dataset,)
            file["node/nodes"].visititems(
                lambda name, item: (
                    arrays.append(name)
                    if isinstance(item, kinds)
                    and item.dtype.kind == "f"
                    and item.size
                    and "metadata" not in name
                    else None
                )
            )
            array = file["node/nodes"][data.draw(st.sampled_from(sorted(arrays)))]
            old, values = array[()], array[()]
            values.reshape(-1)[data.draw(st.integers(0, values.size - 1))] += 1
            array[...] = values
            changed = not np.array_equal(values, old)
        assert (digest(read_graph(path)) != digest(graph)) == changed
