"""One broken graph for every rule: its code, level and node, and nothing else that stops a run."""

import json
import time
from itertools import pairwise
from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.errors import Finding
from nirbridge.graph import make, write_metadata
from nirbridge.graph.metadata import GraphMetadata
from nirbridge.validate import validate

ONE = np.ones(2)


def lif(n: int = 2, **changes: Any) -> nir.LIF:
    one = np.ones(n)
    values: dict[str, Any] = {"tau": one * 0.01, "r": one, "v_leak": one * 0, "v_threshold": one}
    return nir.LIF(**(values | changes))


def cuba(**changes: Any) -> nir.CubaLIF:
    values: dict[str, Any] = {
        "tau_syn": ONE * 0.005,
        "tau_mem": ONE * 0.01,
        "r": ONE,
        "v_leak": ONE * 0,
        "v_threshold": ONE,
    }
    return nir.CubaLIF(**(values | changes))


def linear(rows: int = 2, columns: int = 2) -> nir.Linear:
    return nir.Linear(np.ones((rows, columns)))


def conv(**changes: Any) -> nir.Conv2d:
    values: dict[str, Any] = {
        "input_shape": (4, 4),
        "weight": np.ones((2, 1, 3, 3)),
        "stride": 1,
        "padding": 0,
        "dilation": 1,
        "groups": 1,
        "bias": np.zeros(2),
    }
    return nir.Conv2d(**(values | changes))


def chain(*nodes: nir.NIRNode, to: Any = (2,), of: Any = (2,), **metadata: Any) -> nir.NIRGraph:
    """input -> n0 -> n1 … -> output; ``to``: input shape, ``of``: output shape."""
    names = ["input", *(f"n{k}" for k in range(len(nodes))), "output"]
    every = [nir.Input(np.array(to)), *nodes, nir.Output(np.array(of))]
    return make(dict(zip(names, every, strict=True)), pairwise(names), metadata)


def edit(graph: nir.NIRGraph, *, drop: tuple[Any, ...] = (), add: tuple[Any, ...] = ()) -> nir.NIRGraph:
    edges = [edge for edge in graph.edges if edge not in drop]
    return make(graph.nodes, [*edges, *add], graph.metadata)


def with_nodes(graph: nir.NIRGraph, **nodes: nir.NIRNode) -> nir.NIRGraph:
    return make(graph.nodes | nodes, graph.edges, graph.metadata)


def block(*nodes: nir.NIRNode, **ports: Any) -> nir.NIRGraph:
    return chain(*nodes, **ports)


def metadata(dt: float = 0.001, **values: Any) -> str:
    return json.dumps({"schema": "nirbridge.graph-metadata/1", "dt": dt} | values)


def unusual(findings: list[Finding]) -> set[tuple[str, str, str | None]]:
    return {(f.code, f.level, f.node) for f in findings}


def test_nothing_is_reported_about_a_sound_graph() -> None:
    graph = chain(linear(), lif(), linear(), cuba(), block(linear(), lif()))
    assert validate(graph) == []
    graph = write_metadata(graph, GraphMetadata(dt=0.001))
    assert validate(graph, running=True, in_file=True) == []


def loop() -> nir.NIRGraph:
    graph = chain(linear(), lif())
    return edit(with_nodes(graph, back=linear()), add=(("n1", "back"), ("back", "n1")))


def recurrent_block(to: str) -> nir.NIRGraph:
    """The subgraph that several importers build: its Input feeds the recurrent weight."""
    nodes = {"in": nir.Input(np.array([2])), "lif": lif(), "w": linear(), "out": nir.Output(np.array([2]))}
    return make(nodes, [("in", to), ("w", "lif"), ("lif", "w"), ("lif", "out")])


def test_a_recurrent_graph_is_sound() -> None:
    assert validate(loop()) == []
    assert validate(chain(recurrent_block("lif"))) == []


CASES: dict[str, tuple[nir.NIRGraph, str, str, str | None]] = {
    "absent": (edit(chain(lif()), add=(("n0", "ghost"),)), "NB104", "error", None),
    "absent-inside": (chain(edit(block(lif()), add=(("ghost", "n0"),))), "NB104", "error", "n0"),
    "twice": (edit(chain(lif()), add=(("input", "n0"),)), "NB105", "error", None),
    "unreached": (edit(with_nodes(chain(lif()), x=lif()), add=(("x", "n0"),)), "NB106", "warning", "x"),
    "unused": (edit(with_nodes(chain(lif()), x=lif()), add=(("n0", "x"),)), "NB106", "warning", "x"),
    "no-input": (make({"a": lif(), "o": nir.Output(np.array([2]))}, [("a", "o")]), "NB107", "error", None),
    "no-output": (make({"i": nir.Input(np.array([2])), "a": lif()}, [("i", "a")]), "NB107", "error", None),
    "cycle": (edit(chain(linear(), linear()), add=(("n1", "n0"),)), "NB108", "error", "n0"),
    "cycle-through-subgraph": (
        edit(chain(block(linear()), linear()), add=(("n1", "n0"),)),
        "NB108",
        "error",
        "n0.input",
    ),
    "edge-shape": (chain(linear(3, 2), lif()), "NB109", "error", "n1"),
    "output-shape": (chain(lif(), of=(3,)), "NB109", "error", "output"),
    "fan-in": (
        edit(with_nodes(chain(linear()), x=linear(3, 2)), add=(("input", "x"), ("x", "output"))),
        "NB109",
        "error",
        "output",
    ),
    "conv-channels": (chain(conv(), to=(2, 4, 4), of=(2, 2, 2)), "NB109", "error", "n0"),
    "pool-rank": (
        chain(nir.SumPool2d(*np.ones((3, 2), dtype=int)), to=(4,), of=(2,)),
        "NB109",
        "error",
        "n0",
    ),
    "subgraph-shape": (chain(linear(3, 2), block(lif())), "NB109", "error", "n1.input"),
    "transposed": (chain(linear(2, 3), lif(3), of=(3,)), "NB110", "error", "n0"),
    "two-shapes": (chain(cuba(w_in=np.ones((2, 2)))), "NB111", "error", "n0"),
    "scalars": (
        chain(nir.LI(np.array(0.01), np.array(1.0), np.array(0.0))),
        "NB111",
        "warning",
        "n0",
    ),
    "bias": (chain(nir.Affine(np.ones((2, 2)), np.zeros(3))), "NB112", "error", "n0"),
    "bias-bool": (chain(nir.Affine(np.ones((2, 2)), np.array(False))), "NB112", "error", "n0"),
    "conv-bias": (chain(conv(bias=np.zeros(1)), to=(1, 4, 4), of=(2, 2, 2)), "NB112", "error", "n0"),
    "not-square": (
        chain(conv(weight=np.ones((2, 1, 3, 2))), to=(1, 4, 4), of=(2, 2, 3)),
        "NB113",
        "info",
        "n0",
    ),
    "kernel-too-large": (
        chain(conv(weight=np.ones((2, 1, 5, 5))), to=(1, 4, 4), of=(2, 1, 1)),
        "NB114",
        "error",
        "n0",
    ),
    "padding-huge": (
        chain(conv(padding=70_000), to=(1, 4, 4), of=(2, 140_002, 140_002)),
        "NB114",
        "error",
        "n0",
    ),
    "pool-stride": (
        chain(nir.AvgPool2d(np.array([2, 2]), np.array([0, 1]), np.array([0, 0])), to=(1, 4, 4)),
        "NB114",
        "error",
        "n0",
    ),
    "same-stride": (
        chain(conv(padding="same", stride=2), to=(1, 4, 4), of=(2, 4, 4)),
        "NB115",
        "error",
        "n0",
    ),
    "batch-output": (chain(lif(), of=(1, 1, 2)), "NB116", "warning", "output"),
    "batch-input": (chain(lif(), to=(1, 2)), "NB116", "warning", "input"),
    "port-empty": (chain(lif(), of=()), "NB117", "warning", "output"),
    "port-zero": (chain(lif(), to=(0,)), "NB117", "error", "input"),
    "port-huge": (chain(nir.Scale(np.array(1.0)), to=(2**40,), of=(2**40,)), "NB117", "error", "input"),
    "two-inputs": (
        chain(with_nodes(block(lif()), again=nir.Input(np.array([2])))),
        "NB118",
        "error",
        "n0",
    ),
    "input-at-weight": (chain(recurrent_block("w")), "NB119", "warning", "n0.in"),
    "nan": (chain(lif(v_leak=np.array([0, np.nan]))), "NB120", "error", "n0"),
    "inf-weight": (chain(nir.Linear(np.array([[1, np.inf], [0, 1]]))), "NB120", "error", "n0"),
    "tau": (chain(lif(tau=np.array([0.01, 0]))), "NB121", "error", "n0"),
    "reset-above": (chain(lif(v_reset=ONE * 2)), "NB122", "warning", "n0"),
    "threshold": (chain(lif(v_threshold=np.array([1, -1]), v_reset=-2 * ONE)), "NB122", "warning", "n0"),
    "leak": (chain(lif(v_leak=ONE * 1.5)), "NB123", "info", "n0"),
    "r": (chain(lif(r=ONE * 0)), "NB124", "warning", "n0"),
    "w-in": (chain(cuba(w_in=np.array([1, 0]))), "NB124", "warning", "n0"),
    "delay": (chain(nir.Delay(np.array([0.1, -0.1]))), "NB125", "error", "n0"),
    "delay-off-grid": (
        chain(nir.Delay(np.array([0.0015, 0.001])), nirbridge=metadata()),
        "NB125",
        "warning",
        "n0",
    ),
    "delay-long": (chain(nir.Delay(ONE * 2000.0), nirbridge=metadata()), "NB125", "warning", "n0"),
    "silent": (chain(nir.Linear(np.array([[1, 1], [0, 0]]))), "NB126", "info", "n0"),
    "complex": (chain(nir.Linear(np.ones((2, 2), dtype=complex))), "NB127", "error", "n0"),
    "unit": (chain(lif(tau=ONE * 20)), "NB302", "warning", None),
    "dt-too-long": (chain(lif(), nirbridge=metadata(0.02)), "NB303", "error", "n0"),
    "dt-long": (chain(lif(), nirbridge=metadata(0.008)), "NB303", "warning", "n0"),
    "dt-long-exact": (
        chain(lif(), nirbridge=metadata(0.02, semantics={"decay": "exact"})),
        "NB303",
        "warning",
        "n0",
    ),
    "dt-long-in-ms": (
        chain(lif(tau=ONE * 10), nirbridge=metadata(0.02, time_unit=0.001)),
        "NB303",
        "error",
        "n0",
    ),
    "tau-times-dt": (chain(lif(tau=ONE * 1e-5)), "NB304", "warning", "n0"),
    "per-step": (chain(nir.IF(ONE, ONE)), "NB306", "info", "n0"),
    "schema": (chain(lif(), nirbridge="{}"), "NB401", "error", None),
    "newer": (chain(lif(), nirbridge='{"schema": "nirbridge.graph-metadata/7"}'), "NB402", "warning", None),
    "integers": (
        chain(nir.Linear(np.ones((2, 2)), metadata={"nirbridge_q": {"q": 1}})),
        "NB403",
        "error",
        "n0",
    ),
    "digest": (chain(lif(), nirbridge=metadata(digest="0" * 64)), "NB404", "warning", None),
    "unwritable": (chain(lif(metadata={"a": {"b": None}})), "NB405", "error", "n0"),
    "unwritable-graph": (chain(lif(), a=[1, "x"]), "NB405", "error", None),
}


@pytest.mark.parametrize("case", CASES)
def test_each_rule_is_reported_where_it_is_broken(case: str) -> None:
    graph, code, level, node = CASES[case]
    findings = validate(graph)
    assert (code, level, node) in unusual(findings)
    consequences = {"NB109", "NB117"}  # a wrong size is also seen where it arrives
    if level != "error":
        assert not [f for f in findings if f.level == "error"]
    else:
        errors = {f.code for f in findings if f.level == "error"}
        assert errors - consequences <= {code}


@pytest.mark.parametrize("case", CASES)
def test_findings_are_one_printable_line_and_sorted(case: str) -> None:
    findings = validate(CASES[case][0])
    assert all(f.message.isprintable() for f in findings)
    assert findings == sorted(findings, key=lambda f: (f.node is not None, f.node or "", f.code))


def test_a_finding_names_node_type_field_offender_and_expectation() -> None:
    graph = chain(lif(tau=np.array([0.01, -0.25])))
    (finding,) = [f for f in validate(graph) if f.code == "NB121"]
    assert finding.message == "node 'n0' (LIF): tau[1] is -0.25, expected > 0 (1 of 2)"


def test_all_findings_are_listed_at_once() -> None:
    graph = chain(lif(tau=-ONE, r=-ONE), nir.Affine(np.ones((2, 2)), np.zeros(1)), nir.Delay(-ONE))
    assert {"NB112", "NB121", "NB124", "NB125"} <= {f.code for f in validate(graph)}


def test_a_missing_dt_is_reported_only_for_a_run() -> None:
    graph = chain(lif())
    assert validate(graph) == []
    assert [(f.code, f.level) for f in validate(graph, running=True)] == [("NB301", "warning")]


def test_folded_delays_are_reported_only_in_a_file() -> None:
    graph = chain(nir.Linear(np.ones((2, 2)), metadata={"nirbridge_delay": np.ones((2, 2), dtype=np.int32)}))
    assert validate(graph) == []
    assert [(f.code, f.node) for f in validate(graph, in_file=True)] == [("NB406", "n0")]


def test_a_node_type_outside_nir() -> None:
    class Izhikevich(nir.LI):
        pass

    graph = chain(Izhikevich(ONE * 0.01, ONE, ONE * 0))
    assert ("NB101", "error", "n0") in unusual(validate(graph))


@pytest.mark.parametrize(("start", "end"), [(3, -1), (2, 1), (-5, -1)])
def test_flatten_axes_that_do_not_exist(start: int, end: int) -> None:
    flatten = nir.Flatten({"input": None}, start, end)
    findings = validate(chain(flatten, to=(2, 3, 4), of=(24,)))
    assert ("NB116", "error", "n0") in unusual(findings)


def test_shapes_follow_our_formulas_where_nir_is_wrong() -> None:
    """The example of NIR_TOOLKIT: 3×5 on 8×6 gives 6×2."""
    graph = chain(conv(input_shape=(8, 6), weight=np.ones((2, 1, 3, 5))), to=(1, 8, 6), of=(2, 6, 2))
    assert [f.code for f in validate(graph)] == ["NB113"]


def test_a_deep_stack_of_conv_pool_and_flatten_is_sound() -> None:
    pool = nir.SumPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0]))
    flatten = nir.Flatten({"input": np.array([2, 3, 3])}, 0, -1)
    graph = chain(conv(padding=2), pool, flatten, linear(2, 18), lif(), to=(1, 4, 4))
    assert validate(graph) == []


def test_a_flatten_that_counts_a_batch_axis_is_a_warning() -> None:
    flatten = nir.Flatten({"input": np.array([1, 2, 3])}, 1, -1)
    findings = validate(chain(flatten, linear(2, 6), to=(2, 3)))
    assert [(f.code, f.level, f.node) for f in findings] == [("NB116", "warning", "n0")]


def test_checking_takes_linear_time() -> None:
    """A chain of 10^4 neurons: nir's own check is quadratic and takes tens of seconds."""
    node = lif(1)
    graph = chain(*[node] * 10_000, to=(1,), of=(1,))
    start = time.process_time()
    assert validate(graph) == []
    assert time.process_time() - start < 10
