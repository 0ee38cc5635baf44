"""Arcs, their delays and the order of a step (SEMANTICS §1), against a plain statement of the rules."""

from __future__ import annotations

from dataclasses import dataclass
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st

from nirbridge.errors import Unsupported
from nirbridge.graph import make
from nirbridge.network import Network, Source, build
from nirbridge.semantics import Semantics

Edges = list[tuple[str, str]]
ONE = np.ones(1)


def node(name: str) -> nir.NIRNode:
    """By the first letter: Input, Output, Delay, neuron (upper case), Scale (lower case)."""
    if name[0] == "i":
        return nir.Input(input_type={"input": np.array([1])})
    if name[0] == "o":
        return nir.Output(output_type={"output": np.array([1])})
    if name[0] == "D":
        return nir.Delay(delay=ONE)
    if name[0].isupper():
        return nir.LIF(tau=ONE, r=ONE, v_leak=0 * ONE, v_threshold=ONE, v_reset=0 * ONE)
    return nir.Scale(scale=ONE)


def network(edges: Edges, **semantics: Any) -> Network:
    names = sorted({"i", "o", *(name for edge in edges for name in edge)})
    return build(make({name: node(name) for name in names}, edges), Semantics(dt=0.1, **semantics))


def pairs(text: str) -> Edges:
    return [(edge[0], edge[1]) for edge in text.split()]


def leaves(net: Network, at: int) -> set[tuple[str, int]]:
    """(source, delay) of everything that arrives at a population, through any of its stages."""
    drive = net.drives[at]
    items = [*drive.inputs, *(item for stage in drive.stages for item in stage.inputs)]
    return {(net.populations[s.population].name, s.delay) for s in items if isinstance(s, Source)}


def arcs(net: Network) -> dict[tuple[str, str], int]:
    return {
        (source, net.populations[at].name): delay
        for at in range(len(net.populations))
        for source, delay in leaves(net, at)
    }


@pytest.mark.parametrize(
    ("edges", "late"),
    [
        ("iA AB Bo", ""),
        ("iA AA Ao", "AA"),  # self loop
        ("ia aA Aa Ao", "AA"),  # the input and the loop share a weight
        ("iA Ar rA Ao", "AA"),  # self loop through a weight
        ("iA AB BA Bo", "BA"),  # loop of two: only the way back
        ("iA iB AB BA Ao", "AB BA"),  # loop of two, both at depth 1
        ("iA AB iB Bo", ""),  # skip connection
        ("iA AB BC CA AC Co", "BC CA"),  # B and C are as near: also between them
        ("iB BR iX XY YA AR Ro", ""),  # two ways of unequal length meet: no loop
        ("iA Ao CE EC CA", "CE EC"),  # a loop that no input reaches
        ("iA AD DA Ao", "DA"),  # a Delay is a state: one step more around it
    ],
)
def test_recurrence_costs_one_step_and_feed_forward_nothing(edges: str, late: str) -> None:
    found = arcs(network(pairs(edges)))
    assert {arc for arc, delay in found.items() if delay} == {(e[0], e[1]) for e in late.split()}


@pytest.mark.parametrize(
    ("edges", "late"),
    [
        ("iA AB Bo", "iA AB"),  # into neurons, not into the Output
        ("iA AD DB Bo", "iA DB"),  # a Delay is no neuron
        ("iA AB BA AD DA Bo", "iA AB BA DA"),
    ],
)
def test_with_feedforward_delay_every_arc_into_a_neuron_costs_one(edges: str, late: str) -> None:
    found = arcs(network(pairs(edges), feedforward_delay=1))
    assert {arc for arc, delay in found.items() if delay} == {(e[0], e[1]) for e in late.split()}


@dataclass
class Rules:
    """SEMANTICS §1, rules 2 to 4, as they are written: slowly."""

    edges: Edges

    def stateful(self, name: str) -> bool:
        return name[0] in "io" or name[0].isupper()

    def arcs(self) -> set[tuple[str, str]]:
        found = set()
        for u in {a for a, _ in self.edges if self.stateful(a)}:
            queue, seen = [b for a, b in self.edges if a == u], set()
            while queue:
                name = queue.pop()
                if self.stateful(name):
                    found.add((u, name))
                elif name not in seen:
                    seen.add(name)
                    queue += [b for a, b in self.edges if a == name]
        return found

    def delays(self) -> dict[tuple[str, str], int]:
        arcs = self.arcs()
        names = {name for arc in arcs for name in arc} | {"i"}
        depth, wave = {"i": 0}, {"i"}
        while wave:
            wave = {v for u, v in arcs if u in wave and v not in depth}
            depth |= dict.fromkeys(wave, max(depth.values()) + 1)
        reach = {(u, v) for u, v in arcs}
        for k in names:
            reach |= {(u, v) for u in names for v in names if (u, k) in reach and (k, v) in reach}
        far = float("inf")
        return {
            (u, v): int((u == v or (v, u) in reach) and depth.get(v, far) <= depth.get(u, far))
            for u, v in arcs
        }


letters = st.sampled_from("ABCDEFabcd")
targets = st.sampled_from("ABCDEFabcdo")
wirings = st.lists(st.tuples(st.sampled_from("iABCDEFabcd"), targets), max_size=18, unique=True)


def usable(edges: Edges) -> bool:
    """No pass-through node without an input and no cycle of them."""
    small = {name for edge in edges for name in edge if name.islower()} - {"i", "o"}
    if any(all(b != name for _, b in edges) for name in small):
        return False
    inner = [(a, b) for a, b in edges if a in small and b in small]
    left = set(small)
    while True:
        free = {n for n in left if all(not (b == n and a in left) for a, b in inner)}
        if not free:
            return not left
        left -= free


@settings(deadline=None, max_examples=300)
@given(edges=wirings)
def test_any_wiring_has_the_arcs_and_delays_of_the_rules(edges: Edges) -> None:
    assume(usable(edges))
    net = network(edges)
    rules = Rules(edges).delays()
    assert arcs(net) == rules
    place = {p.name: at for at, p in enumerate(net.populations)}
    assert all(place[u] < place[v] for (u, v), delay in rules.items() if delay == 0)


@settings(deadline=None)
@given(edges=wirings, data=st.data())
def test_names_in_the_file_keep_their_order_of_summation(edges: Edges, data: st.DataObject) -> None:
    assume(usable(edges))
    net, mixed = network(edges), network(data.draw(st.permutations(edges)))
    for one in (net, mixed):
        for at, drive in enumerate(one.drives):
            into = sorted(a for a, b in edges if b == one.populations[at].name)
            names = [
                one.populations[item.population].name if isinstance(item, Source) else drive.stages[item].name
                for item in drive.inputs
            ]
            assert names == into
    assert [p.name for p in net.populations] == [p.name for p in mixed.populations]
    assert net.depth == mixed.depth


def test_a_shared_weight_node_has_a_value_per_consumer() -> None:
    net = network(pairs("iA Aw wA wB Bo"))
    assert arcs(net) == {("i", "A"): 0, ("A", "A"): 1, ("A", "B"): 0, ("B", "o"): 0}


def test_depth_counts_arcs_from_the_input() -> None:
    net = network(pairs("ia aA AB iB Bo Co"))
    assert dict(zip([p.name for p in net.populations], net.depth, strict=True)) == {
        "i": 0, "A": 1, "B": 1, "o": 2, "C": -1
    }  # fmt: skip


def test_a_cycle_without_a_state_is_refused() -> None:
    with pytest.raises(Unsupported, match="nodes a, b form a cycle without a state") as caught:
        network(pairs("ia ab ba bA Ao"))
    assert caught.value.code == "NB108"


def test_a_pass_through_node_without_input_is_refused() -> None:
    with pytest.raises(Unsupported, match="'a' has no input") as caught:
        network(pairs("aA iA Ao"))
    assert caught.value.code == "NB106"


def test_a_chain_of_five_thousand_neurons_builds() -> None:
    names = ["i", *(f"N{at:04d}" for at in range(5000)), "o"]
    net = network(list(pairwise(names)))
    assert [p.name for p in net.populations] == names
    assert net.depth[-1] == 5001
    weights = [f"{'n' if at % 2 else 'N'}{at:04d}" for at in range(5000)]
    names = ["i", *weights, "o"]
    assert len(network(list(pairwise(names))).populations) == 2502
