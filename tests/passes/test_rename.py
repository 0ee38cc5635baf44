"""`rename`: one node, several at once, nodes of subgraphs; what cannot be a name."""

from __future__ import annotations

from collections.abc import Callable

import nir
import numpy as np
import pytest

from nirbridge import plugins
from nirbridge.errors import BadInput, UsageError
from nirbridge.graph import digest, make
from nirbridge.passes import Rename

Random = Callable[..., nir.NIRGraph]


def test_a_node_keeps_everything_but_its_name(random: Random) -> None:
    graph = random(0)
    after = plugins.parse("passes", "rename:old=a,new=hidden")(graph)
    assert set(after.nodes) == set(graph.nodes) - {"a"} | {"hidden"}
    assert after.nodes["hidden"].metadata == {"nirbridge_from": "a"}
    assert ("hidden", "ra") in after.edges and ("ra", "hidden") in after.edges
    assert digest(Rename(old="hidden", new="a")(after)) == digest(graph)
    again = Rename(old="hidden", new="h")(after)
    assert again.nodes["h"].metadata == {"nirbridge_from": "a"}  # the name that it had first


def test_two_swap(random: Random) -> None:
    graph = random(0)
    after = plugins.parse("passes", "rename:names=ra=rb/rb=ra")(graph)
    np.testing.assert_array_equal(after.nodes["ra"].weight, graph.nodes["rb"].weight)
    np.testing.assert_array_equal(after.nodes["rb"].weight, graph.nodes["ra"].weight)
    assert ("rb", "a") in after.edges


def test_a_node_of_a_subgraph_stays_in_it() -> None:
    def port(kind: type[nir.NIRNode], name: str) -> nir.NIRNode:
        return kind({name: np.array([2])})

    inner = make(
        {"input": port(nir.Input, "input"), "w": nir.Linear(np.eye(2)), "output": port(nir.Output, "output")},
        [("input", "w"), ("w", "output")],
    )
    graph = make(
        {"input": port(nir.Input, "input"), "sub": inner, "output": port(nir.Output, "output")},
        [("input", "sub"), ("sub", "output")],
    )
    after = Rename(names="sub.w=weight/sub=layer")(graph)
    assert set(after.nodes) == {"input", "layer", "output"}
    assert set(after.nodes["layer"].nodes) == {"input", "weight", "output"}
    assert ("weight", "output") in after.nodes["layer"].edges
    assert set(graph.nodes["sub"].nodes) == {"input", "w", "output"}


@pytest.mark.parametrize(
    ("options", "error", "words"),
    [
        ("", UsageError, "either old and new, or names"),
        (":old=a", UsageError, "either old and new, or names"),
        (":old=a,new=b,names=c=d", UsageError, "either old and new, or names"),
        (":names=a", UsageError, "'a' is no pair"),
        (":names=a=x/a=y", UsageError, "'a' is renamed twice"),
        (":names=a=x/b=x", UsageError, "'x' is given twice"),
        (":old=a,new=x/y", UsageError, "contains '/'"),
        (":old=zzz,new=x", BadInput, "no node 'zzz'"),
        (":old=a,new=b", BadInput, "the name is taken"),
    ],
)
def test_refusals(random: Random, options: str, error: type[Exception], words: str) -> None:
    with pytest.raises(error, match=words):
        plugins.parse("passes", f"rename{options}")(random(0))
