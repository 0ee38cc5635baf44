"""`remove-dead` takes out what cannot change an output, and nothing else."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import digest, make
from nirbridge.passes import RemoveDead
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.validate import validate

ONE = np.ones(2)


def lif(**fields: Any) -> nir.LIF:
    values = {"tau": 0.02 * ONE, "r": ONE, "v_leak": 0 * ONE, "v_threshold": ONE, "v_reset": 0 * ONE}
    return nir.LIF(**(values | fields))


def linear() -> nir.Linear:
    return nir.Linear(np.eye(2))


def graph(edges: str, **nodes: nir.NIRNode) -> nir.NIRGraph:
    """input -> a -> output and further nodes; edges as pairs of one-letter names, i and o the ports."""
    found: dict[str, nir.NIRNode] = {"i": nir.Input({"input": np.array([2])}), "a": lif()}
    found |= {**nodes, "o": nir.Output({"output": np.array([2])})}
    pairs = [(e[0], e[1]) for e in f"ia ao {edges}".split()]
    return with_semantics(make(found, pairs), Semantics(dt=1e-3))


def kept(before: nir.NIRGraph) -> str:
    after = RemoveDead()(before)
    assert {f.code for f in validate(after)} <= {f.code for f in validate(before)}
    assert digest(RemoveDead()(after)) == digest(after)
    return "".join(sorted(after.nodes))


@pytest.mark.parametrize(
    ("before", "stays"),
    [
        (graph(""), "aio"),
        (graph("ab", b=lif()), "aio"),  # reaches no Output
        (graph("ba", b=lif()), "aio"),  # nothing drives it
        (graph("bc ca", b=linear(), c=lif()), "aio"),  # a weight without a source
        (graph("bc cb ca", b=linear(), c=lif()), "aio"),  # a loop that nothing drives
        (graph("ba", b=lif(v_leak=2 * ONE)), "abio"),  # its leak makes it fire
        (graph("ba", b=lif(v_threshold=-ONE)), "abio"),  # V = 0 is above the threshold
        (graph("bc ca", b=lif(v_leak=2 * ONE), c=linear()), "abcio"),
        (graph("bc cb ca", b=nir.Affine(np.eye(2), ONE), c=lif()), "abcio"),  # driven by a bias
        (graph("bc ca", b=nir.Affine(np.eye(2), ONE), c=lif()), "aio"),  # a bias without a source: no value
        (graph("bc ca", b=lif(), c=nir.Affine(np.eye(2), ONE)), "abcio"),  # the bias needs its silent source
        (graph("bc ca", b=lif(), c=nir.Threshold(-ONE)), "abcio"),
        (graph("bc ca", b=lif(), c=nir.Threshold(ONE)), "aio"),
        (graph("jb", b=lif(), j=nir.Input({"input": np.array([2])})), "aijo"),  # a port stays
    ],
)
def test_what_stays(before: nir.NIRGraph, stays: str) -> None:
    assert kept(before) == stays


def test_a_threshold_of_zero_fires_under_at_least() -> None:
    before = graph("ba", b=lif(v_threshold=0 * ONE))
    assert kept(before) == "aio"
    assert kept(with_semantics(before, Semantics(dt=1e-3, compare=">="))) == "abio"
