"""Every reader's profile against the worked example of SEMANTICS.md §4, and what each refuses."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.errors import Unsupported, UsageError
from nirbridge.graph import make
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_reference import Reference

X = [0, 1, 0, 4, 0, -2, -1, 1, 0, 1]
# profile, options, V after each step, steps in which a spike is sent
ROWS = [
    ("canonical", {}, [0.08, 0.72, 0, 0, 0, -0.1961, -0.7631, -0.6064, -0.4013, 0.3386], [2, 3, 4]),
    (
        "canonical",
        {"reset": "subtract"},
        [0.08, 0.72, 0.2792, 1.4214, 1.7553, 0.4714, -0.529, -0.704, -0.75, -0.1974],
        [2, 3, 4, 5],
    ),
    (
        "canonical",
        {"decay": "exact"},
        [0.0707, 0.6379, 0, 0, 0, -0.1078, -0.5621, -0.3981, -0.1962, 0.4755],
        [2, 3, 4],
    ),
    ("genn", {}, [0.0707, 0.1959, 0.8044, 0, 0, 0, -0.0865, -0.5244, -0.348, -0.1368], [3, 4, 5]),
    (
        "snntorch",
        {"reset": "subtract"},
        [0.08, 0.72, 0.2792, 1.4214, 1.7553, 1.4714, 0.821, 0.8985, 0.0284, 0.3468],
        [2, 3, 4, 8],
    ),
    (
        "snntorch",
        {"reset": "subtract", "reset_at": "next-step"},
        [0.08, 0.72, 1.2792, 2.3714, 2.6578, 1.3288, -0.7145, -0.8802, -0.9174, -0.3565],
        [2, 3, 4, 5],
    ),
    ("norse", {}, [0.03, 0.6325, 0, 0, 0, -0.2124, -0.7918, -0.6441, -0.4455, 0.2899], [2, 3, 4]),
    (
        "spyx",
        {},
        [0.08, 0.72, 1.2792, 2.4214, 2.7553, 1.4714, -0.529, -0.704, -0.75, -0.1974],
        [3, 4, 5, 6],
    ),
    (
        "rockpool",
        {},
        [0.0655, 0.5908, 0.0602, 0.8406, 0.9977, 0.8492, 0.3822, 0.49, 0.6351, 0.2174],
        [2, 3, 4, 9],
    ),
    (
        "spinnaker2",
        {"decay": "euler", "reset": "value"},
        [0.4, 0.78, 0, 0.4024, 0, 0, -0.0345, -0.4804, -0.2345, 0.0347],
        [2, 4, 5],
    ),
    ("nengo", {}, [0, 0.078, 0.7024, 0, 0, 0, 0, 0, 0.1156, 0.2805], [3, 4, 5]),
    ("lava-dl", {}, [122, 2382, 0, 0, 0, -1560, -4654, -4789, -4721, -2451], [2, 3, 4]),
    ("loihi", {"weight_scale": 64.0}, [1639, 3195, 0, 1613, 0, 0, -223, -2109, -1145, -72], [2, 4, 5]),
]


def example(**parameters) -> nir.NIRGraph:
    values = {"tau_syn": 5e-3, "tau_mem": 20e-3, "r": 20.0, "w_in": 5.0, "v_threshold": 1.0, "v_leak": 0.0}
    values |= {"v_reset": 0.0} | parameters
    nodes = {
        "input": nir.Input(np.array([1])),
        "w": nir.Affine(np.array([[0.5]]), np.array([0.03])),
        "n": nir.CubaLIF(**{name: np.array([value]) for name, value in values.items()}),
        "loop": nir.Affine(np.array([[-0.4]]), np.array([0.05])),
        "output": nir.Output(np.array([1])),
    }
    edges = [("input", "w"), ("w", "n"), ("n", "loop"), ("loop", "n"), ("n", "output")]
    return make(nodes, edges)


@pytest.mark.parametrize(
    ("profile", "options", "v", "steps"), ROWS, ids=[f"{row[0]} {row[1]}" for row in ROWS]
)
def test_the_worked_example_is_reproduced(profile, options, v, steps):
    semantics = Semantics.of_profile(profile, dt=1e-3, **({"arithmetic": "float64"} | options))
    program = Reference(threads=1).compile(with_semantics(example(), semantics))
    x = np.array(X, np.float64)[None, :, None]
    found = program.run_values(x, record=["n", "n:v"])
    sent = found.spikes["n"].to_dense(1e-3)[0, :, 0]
    assert [int(step) for step in np.flatnonzero(sent)] == steps
    tolerance = 0 if profile in ("lava-dl", "loihi") else 5e-5
    np.testing.assert_allclose(found.traces["n:v"][0, :, 0], v, rtol=0, atol=tolerance + 1e-12)


@pytest.mark.parametrize(
    ("reader", "parameters", "code"),
    [
        ("snntorch", {"v_leak": 0.1}, "NB203"),
        ("spyx", {"v_leak": 0.1}, "NB203"),
        ("sinabs", {}, "NB201"),
        ("ode", {}, "NB201"),
        ("lava-dl", {"r": 19.0}, "NB205"),
        ("loihi", {"v_reset": 0.1}, "NB204"),
    ],
)
def test_what_a_reader_cannot_take_is_refused_by_node(reader, parameters, code):
    graph = with_semantics(example(**parameters), Semantics(dt=1e-3))
    target = Reference(semantics=reader)
    with pytest.raises(Unsupported, match="node 'n'") as caught:
        target.compile(graph)
    assert caught.value.code == code
    assert code in {finding.code for finding in target.check(graph)}


def test_a_reading_is_compared_at_zero_feedforward_delay():
    """genn hears its input a step later and spinnaker2 too: aligned, the first spike stays where it was."""
    graph = with_semantics(example(), Semantics(dt=1e-3, decay="exact", arithmetic="float64"))
    spikes = Spikes.from_dense(np.array([[1] * 12], int)[:, :, None], 1e-3)
    own = Reference(threads=1).compile(graph).run(spikes, record=["n"])
    read = Reference(semantics="genn", threads=1).compile(graph).run(spikes, record=["n", "n:v"])
    assert read.lag == {"input": 0, "n": 1, "output": 1} and read.output_lag == 1
    assert read.traces["n:v"].shape[1] == read.n_steps + 1
    first = own.aligned("n").steps(1e-3)[0]
    assert abs(read.aligned("n").steps(1e-3)[0] - first) <= 1


def test_traces_of_an_integer_reading_are_in_the_graphs_units():
    graph = with_semantics(example(), Semantics(dt=1e-3))
    spikes = Spikes.from_dense(np.array([[0, 1, 0, 0, 0, 0]], int)[:, :, None], 1e-3)
    own = Reference(threads=1).compile(graph).run(spikes, record=["n:v"]).traces["n:v"][0, :, 0]
    target = Reference(semantics="loihi", weight_scale=4096.0, threads=1)
    v = target.compile(graph).run(spikes, record=["n:v"]).traces["n:v"][0, :, 0]
    # the bias is there from the start and at its steady value, so only the rise by the spike agrees
    assert 0.3 < np.diff(v).max() / np.diff(own).max() < 3


def test_options_of_a_reading_are_those_that_its_reader_has():
    with pytest.raises(UsageError, match="reset_at"):
        Reference(semantics="norse", reset_at="next-step")
    with pytest.raises(UsageError, match="option decay is 'exact'"):
        Reference(decay="exact")
    with pytest.raises(UsageError, match="option semantics is 'brian'"):
        Reference(semantics="brian")
    graph = with_semantics(example(), Semantics(dt=1e-3, reset="subtract"))
    kept = Reference(semantics="snntorch")._reading(graph)
    assert (kept.profile, kept.reset) == ("snntorch", "subtract")
    assert Reference(semantics="snntorch", reset="value")._reading(graph).reset == "value"


def test_a_cycle_that_spyx_cannot_order_is_refused():
    nodes = dict(example().nodes)
    nodes["n"] = nir.LI(np.array([20e-3]), np.array([20.0]), np.array([0.0]))
    graph = with_semantics(make(nodes, example().edges), Semantics(dt=1e-3))
    with pytest.raises(Unsupported, match="cycle without a delay") as caught:
        Reference(semantics="spyx").compile(graph)
    assert caught.value.code == "NB108"
