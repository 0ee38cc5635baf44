"""Which edges close a loop, and the order in which nodes can be visited."""

from __future__ import annotations

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.graph import execution_order, make, recurrent_edges

Edges = list[tuple[str, str]]


def graph(edges: Edges, names: str = "") -> nir.NIRGraph:
    """``i`` is the Input and ``o`` the Output; every other letter is a Scale."""
    letters = sorted({*names, *(name for edge in edges for name in edge), "i", "o"})
    nodes: dict[str, nir.NIRNode] = {name: nir.Scale(scale=np.ones(1)) for name in letters}
    nodes["i"] = nir.Input(input_type={"input": np.array([1])})
    nodes["o"] = nir.Output(output_type={"output": np.array([1])})
    return make(nodes, edges)


@pytest.mark.parametrize(
    ("edges", "recurrent", "order"),
    [
        ("ia ab bo", "", "iabo"),
        ("ib ba ao", "", "ibao"),  # names do not matter
        ("ia aa ao", "aa", "iao"),  # self loop
        ("ia ab ba bo", "ba", "iabo"),  # loop of two
        ("ia ar ra ab bo", "ra", "iabro"),  # a weight in the loop: the edge back
        ("ia ab bo ib", "", "iabo"),  # a skip connection closes nothing
        ("ia ib ab ba ao", "ab ba", "iabo"),  # both as near to the input
        ("ia ao bc cb", "bc cb", "biaco"),  # a loop that no input reaches
    ],
)
def test_small_graphs(edges: str, recurrent: str, order: str) -> None:
    made = graph([(e[0], e[1]) for e in edges.split()])
    assert recurrent_edges(made) == sorted((e[0], e[1]) for e in recurrent.split())
    found = execution_order(made)
    assert sorted(found) == sorted(order)
    place = {name: at for at, name in enumerate(found)}
    skipped = set(recurrent_edges(made))
    assert all(place[a] < place[b] for a, b in made.edges if (a, b) not in skipped)


letters = st.sampled_from("iabcdefo")


@given(edges=st.lists(st.tuples(letters, letters), max_size=20, unique=True), data=st.data())
def test_any_graph_has_an_order_that_its_listing_does_not_change(edges: Edges, data: st.DataObject) -> None:
    made = graph(edges, "abcdef")
    skipped = set(recurrent_edges(made))
    order = execution_order(made)
    assert sorted(order) == sorted(made.nodes)
    place = {name: at for at, name in enumerate(order)}
    assert all(place[a] < place[b] for a, b in edges if (a, b) not in skipped)
    names = data.draw(st.permutations(list(made.nodes)))
    mixed = make({n: made.nodes[n] for n in names}, data.draw(st.permutations(edges)))
    assert execution_order(mixed) == order
    assert recurrent_edges(mixed) == sorted(skipped)


@given(edges=st.lists(st.tuples(letters, letters), max_size=20, unique=True))
def test_a_recurrent_edge_lies_on_a_cycle(edges: Edges) -> None:
    after = {name: {b for a, b in edges if a == name} for name in "iabcdefo"}

    def reachable(start: str) -> set[str]:
        found, queue = {start}, [start]
        while queue:
            new = after[queue.pop()] - found
            found |= new
            queue += new
        return found

    for a, b in recurrent_edges(graph(edges, "abcdef")):
        assert a in reachable(b)
