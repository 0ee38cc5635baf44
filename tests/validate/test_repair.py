"""What has exactly one repair is mended, and nothing else."""

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import digest, equal, make
from nirbridge.validate import repair, validate


def port(kind: type[nir.NIRNode], *shape: int) -> nir.NIRNode:
    return kind(np.array(shape, dtype=np.int64))


def lif(*shape: int) -> nir.LIF:
    one = np.ones(shape)
    return nir.LIF(tau=one * 0.01, r=one, v_leak=one * 0, v_threshold=one)


def graph_of(nodes: dict[str, Any], *edges: tuple[str, str]) -> nir.NIRGraph:
    return make(nodes, edges)


def sound() -> nir.NIRGraph:
    nodes = {"i": port(nir.Input, 3), "w": nir.Linear(np.ones((2, 3))), "h": lif(2), "o": port(nir.Output, 2)}
    return graph_of(nodes, ("i", "w"), ("w", "h"), ("h", "o"))


def change(edges: list[tuple[str, str]] | None = None, **nodes: nir.NIRNode) -> nir.NIRGraph:
    graph = sound()
    return make(graph.nodes | nodes, graph.edges if edges is None else edges)


LOOP = {"in": port(nir.Input, 2), "h": lif(2), "w": nir.Linear(np.ones((2, 2))), "out": port(nir.Output, 2)}
BACK = [("w", "h"), ("h", "w"), ("h", "out")]

MENDED = {
    "NB104": (change([("i", "w"), ("w", "neuron"), ("neuron", "o")]), sound()),
    "NB105": (change([("i", "w"), ("w", "h"), ("w", "h"), ("h", "o")]), sound()),
    "NB110": (change(w=nir.Linear(np.ones((3, 2)))), sound()),
    "NB111": (change(h=lif()), sound()),
    "NB116-output": (change(o=port(nir.Output, 1, 1, 2)), sound()),
    "NB116-input": (change(i=port(nir.Input, 1, 3)), sound()),
    "NB117-output": (change(o=port(nir.Output)), sound()),
    "NB117-input": (change(i=port(nir.Input)), sound()),
    "NB119": (
        change(h=graph_of(LOOP, ("in", "w"), *BACK)),
        change(h=graph_of(LOOP, ("in", "h"), *BACK)),
    ),
}


@pytest.mark.parametrize("case", MENDED)
def test_what_has_one_repair_is_mended(case: str) -> None:
    broken, mended = MENDED[case]
    before = digest(broken)
    assert case[:5] in {f.code for f in validate(broken)}
    result = repair(broken)
    assert equal(result, mended)
    assert not [f for f in validate(result) if f.level != "info"]
    assert digest(broken) == before
    assert equal(repair(result), result)


def test_a_sound_graph_stays_as_it_is() -> None:
    assert equal(repair(sound()), sound())


def test_transposing_stops_where_a_square_weight_is_ambiguous() -> None:
    square = change(
        [("i", "w"), ("w", "h"), ("h", "v"), ("v", "k"), ("k", "o")],
        w=nir.Linear(np.ones((3, 2))),
        v=nir.Linear(np.ones((2, 2))),
        k=lif(2),
    )
    assert equal(repair(square), square)


def test_two_unknown_names_are_not_guessed() -> None:
    broken = change([("i", "w"), ("w", "neuron"), ("cell", "o")])
    assert equal(repair(broken), broken)
