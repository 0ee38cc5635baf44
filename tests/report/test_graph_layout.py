"""The layered drawing: boxes never overlap, edges end at their boxes and cross none, loops are told apart."""

from __future__ import annotations

import re
from itertools import combinations, pairwise
from xml.etree import ElementTree

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.errors import UsageError
from nirbridge.graph import make
from nirbridge.report.graph_layout import Layout, closing_edges, layout
from nirbridge.report.graph_svg import MOST, graph_svg

Case = tuple[dict[str, tuple[float, float]], list[tuple[str, str]]]


@st.composite
def cases(draw: st.DrawFn) -> Case:
    names = [f"n{k}" for k in range(draw(st.integers(1, 14)))]
    sizes = {n: (draw(st.floats(40, 300)), draw(st.floats(20, 150))) for n in names}
    edge = st.tuples(st.sampled_from(names), st.sampled_from(names))
    return sizes, draw(st.lists(edge, max_size=24))


def apart(places: Layout) -> bool:
    return all(
        a.x + a.width <= b.x or b.x + b.width <= a.x or a.y + a.height <= b.y or b.y + b.height <= a.y
        for a, b in combinations(places.places.values(), 2)
    )


@given(cases())
@settings(max_examples=150, deadline=None)
def test_boxes_do_not_overlap_and_lie_inside_the_drawing(case: Case) -> None:
    sizes, edges = case
    found = layout(sizes, edges, ["n0"])
    assert apart(found)
    for place in found.places.values():
        assert place.x >= -1e-6 and place.y >= -1e-6
        assert place.x + place.width <= found.width + 1e-6
        assert place.y + place.height <= found.height + 1e-6


@given(cases())
@settings(max_examples=150, deadline=None)
def test_every_edge_has_a_route_from_box_to_box(case: Case) -> None:
    sizes, edges = case
    found = layout(sizes, edges, ["n0"])
    assert set(found.routes) == set(edges)
    for (a, b), points in found.routes.items():
        p, q = found.places[a], found.places[b]
        assert p.x - 1e-6 <= points[0][0] <= p.x + p.width + 1e-6
        assert q.x - 1e-6 <= points[-1][0] <= q.x + q.width + 1e-6
        assert q.y - 1e-6 <= points[-1][1] <= q.y + q.height + 1e-6


@given(cases())
@settings(max_examples=150, deadline=None)
def test_level_stretches_of_onward_edges_cross_no_box(case: Case) -> None:
    """Curves run in the gaps between columns, where no box is."""
    sizes, edges = case
    found = layout(sizes, edges, ["n0"])
    for edge, points in found.routes.items():
        if edge in found.back:
            continue
        for (ax, ay), (bx, by) in list(pairwise(points))[::2]:
            assert ay == by
            for name, box in found.places.items():
                inside = box.y + 1e-6 < ay < box.y + box.height - 1e-6
                if name not in edge:
                    assert not (inside and ax < box.x + box.width - 1e-6 and box.x + 1e-6 < bx), (edge, name)


@given(cases())
@settings(max_examples=150, deadline=None)
def test_without_the_closing_edges_there_is_no_cycle(case: Case) -> None:
    sizes, edges = case
    known = sorted(set(edges))
    left = set(known) - closing_edges(list(sizes), known, ["n0"])
    names = set(sizes)
    while free := {n for n in names if not any(b == n and a in names for a, b in left)}:
        names -= free
    assert not names


def network(extra: tuple[tuple[str, str], ...] = ()) -> nir.NIRGraph:
    one = np.ones(2)
    nodes = {
        "input": nir.Input(np.array([2])),
        "hidden & <b>": nir.LIF(one, one, one, one),
        "back": nir.Linear(np.eye(2)),
        "output": nir.Output(np.array([2])),
    }
    edges = [("input", "hidden & <b>"), ("hidden & <b>", "output")]
    edges += [("hidden & <b>", "back"), ("back", "hidden & <b>"), *extra]
    return make(nodes, edges)


def texts(svg: str) -> list[str]:
    return [item.text or "" for item in ElementTree.fromstring(svg).iter("{http://www.w3.org/2000/svg}text")]


def test_the_file_is_xml_that_shows_names_types_shapes_and_parameters() -> None:
    shown = texts(graph_svg(network(), "net & co.nir"))
    assert shown[0] == "net & co.nir: 4 nodes, 4 edges, 1 closing a loop (dashed)"
    assert {"hidden & <b>", "LIF 2", "tau 1", "v_reset 0", "Linear 2×2", "weight 0 … 1", "Input 2"} <= set(
        shown
    )


def test_it_loads_nothing_and_follows_dark_and_light() -> None:
    svg = graph_svg(network(), "net.nir")
    assert re.findall(r"(?:href|src|url)\s*[=(]\s*[\"']?(?!#)", svg) == []
    assert "<script" not in svg
    assert "prefers-color-scheme:dark" in svg
    classes = set(re.findall(r'class="(\w+)"', svg))
    dark = svg.partition("prefers-color-scheme:dark")[2]
    assert all(f".{name}{{" in dark for name in classes - {"name"})


def test_subgraphs_are_framed_with_their_nodes_inside() -> None:
    outer = make(
        {"input": nir.Input(np.array([2])), "block": network(), "output": nir.Output(np.array([2]))},
        [("input", "block"), ("block", "output")],
    )
    shown = texts(graph_svg(outer, "x"))
    assert "block" in shown and "hidden & <b>" in shown
    assert shown[0] == "x: 7 nodes, 6 edges, 1 closing a loop (dashed)"


def test_broken_graphs_are_drawn_as_far_as_they_go() -> None:
    assert "ghost" not in graph_svg(network((("back", "ghost"),)), "x")


def test_too_many_nodes_are_refused() -> None:
    nodes = {f"n{k}": nir.Scale(np.ones(1)) for k in range(MOST + 1)}
    with pytest.raises(UsageError, match="1,001"):
        graph_svg(make(nodes, []), "x")
