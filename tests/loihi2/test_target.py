"""Laws of the target loihi2: what any run must obey, and agreement with a plain statement of the step."""

from __future__ import annotations

import json
import subprocess
import sys
from types import SimpleNamespace

import nir
import numpy as np
import pytest

from nirbridge.errors import BadInput
from nirbridge.graph import make, replace_nodes
from nirbridge.graph.quantization import KEY
from nirbridge.protocols import Program, Target
from nirbridge.recording import Recording
from nirbridge.semantics import with_semantics
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2

PROBES = ["hidden", "hidden:v", "hidden:i", "hidden:x", "readout:v"]


def assert_same(a: Recording, b: Recording) -> None:
    np.testing.assert_array_equal(a.output, b.output)
    for name in a.spikes:
        np.testing.assert_array_equal(a.spikes[name].times, b.spikes[name].times)
        np.testing.assert_array_equal(a.spikes[name].units, b.spikes[name].units)
    for name in a.traces:
        np.testing.assert_array_equal(a.traces[name], b.traces[name])
    for node, keys in a.counts.items():
        for key in keys:
            np.testing.assert_array_equal(keys[key], b.counts[node][key], err_msg=f"{node} {key}")


def test_speaks_the_protocols(build: SimpleNamespace) -> None:
    target = Loihi2()
    assert isinstance(target, Target)
    graph = build.quantised(build.recurrent())
    assert target.check(graph) == []
    program = target.compile(graph)
    assert isinstance(program, Program)
    assert program.graph is graph


def test_importing_the_package_does_not_import_numba() -> None:
    code = "import sys, nirbridge_loihi2; sys.exit('numba' in sys.modules)"
    assert subprocess.run([sys.executable, "-c", code], check=False).returncode == 0


def test_passes_make_a_graph_legal_and_change_nothing_twice(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    target = Loihi2()
    for change in target.passes(graph):
        graph = change(graph)
    assert target.check(graph) == []
    again = graph
    for change in target.passes(graph):
        again = change(again)
    for name in ("w_in", "w_rec", "w_out"):
        np.testing.assert_array_equal(again.nodes[name].weight, graph.nodes[name].weight)


def test_no_input_gives_no_spikes(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent(readout=build.cubalif(4)))
    nothing = Spikes.from_events([], [], [], n_samples=2, n_units=20, duration=0.05)
    recording = Loihi2().compile(graph).run(nothing, record=["hidden"])
    assert isinstance(recording.output, Spikes)
    assert recording.output.counts().tolist() == [0, 0]
    assert recording.spikes["hidden"].counts().tolist() == [0, 0]
    assert recording.ticks == 52


def test_a_batch_equals_its_samples_and_threads_do_not_matter(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    spikes = build.random_spikes(5)
    one = Loihi2(threads=1).compile(graph)
    whole = one.run(spikes, record=PROBES)
    seen: list[int] = []
    assert_same(whole, Loihi2(threads=3).compile(graph).run(spikes, record=PROBES, progress=seen.append))
    assert seen == [1, 2, 3, 4, 5]
    assert_same(whole, Recording.join([one.run(spikes.select([b]), record=PROBES) for b in range(5)]))


def test_spikes_do_not_depend_on_the_split(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent(n_in=700, n=256, n_out=20))
    spikes = build.random_spikes(2, n_in=700, steps=60, rate=0.02)
    few, many = (
        Loihi2(split=split).compile(graph)
        for split in ("packed", "logged")  # type: ignore[arg-type]
    )
    wide = build.quantised(build.recurrent(n_in=700, n=512, n_out=20))
    assert len(Loihi2(split="packed").compile(wide).placement.cores) == 20
    assert len(Loihi2(split="logged").compile(wide).placement.cores) == 35
    a, b = (program.run(spikes, record=PROBES) for program in (few, many))
    assert a.spikes["hidden"].counts().sum() > 100
    assert_same(a, b)
    whole = few.lowered.network
    from nirbridge_loihi2.simulate import events, simulate
    from nirbridge_loihi2.tables import tables

    inputs = events(spikes, build.dt)
    single = simulate(tables(whole), inputs, a.ticks, keep=[0, 1])
    split = simulate(tables(whole, [17, 3]), inputs, a.ticks, keep=[0, 1])
    for x, y in zip(single, split, strict=True):
        np.testing.assert_array_equal(x.step, y.step)
        np.testing.assert_array_equal(x.neuron, y.neuron)
        np.testing.assert_array_equal(x.counts[:, :-1], y.counts[:, :-1])  # but messages, one a core
        assert np.all(x.busy[:, 0] >= y.busy[:, 0])


def test_lag_and_alignment(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    recording = Loihi2().compile(graph).run(build.random_spikes(), record=["input", "hidden"])
    assert (recording.lag["hidden"], recording.lag["readout"], recording.output_lag) == (1, 2, 2)
    assert (recording.n_steps, recording.ticks) == (80, 82)
    assert recording.aligned_output().shape == (3, 80, 4)
    assert recording.spikes["input"].counts().tolist() == recording.counts["input"]["spikes"].tolist()


def test_events_of_one_channel_and_step_are_one_graded_message(build: SimpleNamespace) -> None:
    program = Loihi2().compile(build.quantised(build.recurrent()))
    once = Spikes.from_events([0.003], [4], [0], n_samples=1, n_units=20, duration=0.02)
    twice = Spikes.from_events([0.003, 0.0035], [4, 4], [0, 0], n_samples=1, n_units=20, duration=0.02)
    valued = Spikes.from_events([0.003], [4], [0], n_samples=1, n_units=20, duration=0.02, values=[2])
    a, b, c = (program.run(s, record=["input", "hidden:x"]) for s in (once, twice, valued))
    np.testing.assert_array_equal(b.traces["hidden:x"], c.traces["hidden:x"])
    np.testing.assert_allclose(b.traces["hidden:x"], 2 * a.traces["hidden:x"], rtol=1e-6)
    assert a.traces["hidden:x"].any()
    assert b.spikes["input"].values.tolist() == [2]
    assert b.counts["input"]["spikes"].tolist() == [1]
    assert b.counts["input"]["loihi2_input_merged"].tolist() == [1]
    graded = Spikes.from_events([0.003], [4], [0], n_samples=1, n_units=20, duration=0.02, values=[3])
    assert abs(program.run(graded).output).max() > abs(a.output).max()


def plain_statement(graph: nir.NIRGraph, spikes: Spikes, dt: float) -> tuple[np.ndarray, np.ndarray]:
    """V and spikes of the hidden layer from floats q·s: canonical step, exact decay, strict compare."""
    weights = {name: graph.nodes[name].weight.astype(float) for name in ("w_in", "w_rec")}
    alpha, beta = np.exp(-dt / 20e-3), np.exp(-dt / 5e-3)
    x = spikes.to_dense(dt)
    n = weights["w_in"].shape[0]
    v, i, z = np.zeros((len(x), n)), np.zeros((len(x), n)), np.zeros((len(x), n))
    trace, raster = [], []
    for t in range(x.shape[1]):
        i = beta * i + x[:, t] @ weights["w_in"].T + z @ weights["w_rec"].T
        v = alpha * v + i
        z = (v > 1.0).astype(float)
        v = v * (1 - z)
        trace.append(v)
        raster.append(z)
    return np.stack(trace, 1), np.stack(raster, 1)


def test_agrees_with_a_plain_float_statement(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    spikes = build.random_spikes(4)
    recording = Loihi2().compile(graph).run(spikes, record=["hidden", "hidden:v"])
    v, z = plain_statement(graph, spikes, build.dt)
    ours = recording.aligned("hidden").to_dense(build.dt)
    assert z.sum() > 200
    assert np.abs(ours - z).sum() <= 0.02 * z.sum()
    early = slice(0, 10)
    np.testing.assert_allclose(recording.traces["hidden:v"][:, 1:][:, early], v[:, early], atol=0.02)


def test_every_neuron_kind_and_bias_follows_the_reference(build: SimpleNamespace) -> None:
    reference = pytest.importorskip("nirbridge_reference")
    n = 32
    full = {"r": np.ones(n), "v_threshold": np.ones(n), "v_reset": np.zeros(n)}
    hidden = [
        nir.LIF(tau=np.full(n, 20e-3), v_leak=np.full(n, 0.3), **{**full, "r": np.full(n, 15.0)}),
        nir.IF(**full),
    ]
    ones = np.ones(4)
    readouts = [nir.LI(tau=20e-3 * ones, r=20 * ones, v_leak=0 * ones), nir.I(r=0.5 * ones)]
    for node, readout in zip(hidden, readouts, strict=True):
        # a delay on every arc: a bias then starts before the input on both sides (SEMANTICS.md R7)
        graph = build.recurrent(hidden=node, readout=readout, affine=True, feedforward_delay=1)
        graph = build.quantised(graph)
        spikes = build.random_spikes()
        assert [f for f in Loihi2().check(graph) if f.level == "error"] == []
        ours = Loihi2().compile(graph).run(spikes, record=["hidden", "hidden:x"])
        theirs = reference.Reference(arithmetic="float64").compile(graph).run(spikes, record=["hidden"])
        a, b = (r.spikes["hidden"].to_dense(build.dt)[:, :80] for r in (ours, theirs))
        assert b.sum() > 50
        assert abs(a.sum() - b.sum()) <= 0.02 * b.sum(), type(node).__name__
        assert np.corrcoef(a.sum(axis=1).ravel(), b.sum(axis=1).ravel())[0, 1] > 0.99


def test_a_gain_that_is_not_one_is_taken_into_the_quantum(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    node = graph.nodes["hidden"]
    louder = nir.CubaLIF(
        tau_syn=node.tau_syn, tau_mem=node.tau_mem, r=node.r * 2, w_in=node.w_in,
        v_leak=node.v_leak, v_threshold=node.v_threshold * 2, v_reset=node.v_reset,
    )  # fmt: skip
    same = replace_nodes(graph, {"hidden": louder})
    a, b = (Loihi2().compile(g).run(build.random_spikes(), record=["hidden:v"]) for g in (graph, same))
    np.testing.assert_allclose(2 * a.traces["hidden:v"], b.traces["hidden:v"], rtol=1e-6)


def test_paths_of_unequal_length_stay_in_step(build: SimpleNamespace) -> None:
    reference = pytest.importorskip("nirbridge_reference")
    rng = np.random.default_rng(3)
    nodes = {
        "input": nir.Input(np.array([10])),
        "a": nir.Linear(rng.normal(0.5, 1, (12, 10))),
        "one": build.cubalif(12),
        "b": nir.Linear(rng.normal(0, 1, (8, 12))),
        "skip": nir.Linear(rng.normal(0.3, 1, (8, 10))),
        "two": build.cubalif(8),
        "output": nir.Output(np.array([8])),
    }
    edges = [("input", "a"), ("a", "one"), ("one", "b"), ("b", "two"), ("input", "skip"), ("skip", "two"),
             ("two", "output")]  # fmt: skip
    graph = build.quantised(with_semantics(make(nodes, edges), build.semantics()))
    spikes = build.random_spikes(n_in=10)
    ours = Loihi2().compile(graph).run(spikes)
    theirs = reference.Reference(arithmetic="float64").compile(graph).run(spikes)
    assert ours.output_lag == 2
    a, b = (r.aligned_output().to_dense(build.dt) for r in (ours, theirs))
    assert b.sum() > 50
    assert np.abs(a - b).sum() <= 0.03 * b.sum()


def test_no_samples_no_steps_and_json(build: SimpleNamespace) -> None:
    program = Loihi2().compile(build.quantised(build.recurrent()))
    empty = program.run(build.random_spikes().select([]), record=PROBES)
    assert (empty.n_samples, empty.output.shape) == (0, (0, 82, 4))
    program.cost(empty)
    still = Spikes.from_events([], [], [], n_samples=2, n_units=3, duration=0.0)
    assert program.run(still, record=["input", "hidden"]).ticks == 2
    json.dumps(program.placement.as_dict())


def test_bad_probes_and_data_are_refused(build: SimpleNamespace) -> None:
    program = Loihi2().compile(build.quantised(build.recurrent()))
    with pytest.raises(BadInput, match="no neuron node 'nobody'"):
        program.run(build.random_spikes(), record=["nobody"])
    with pytest.raises(BadInput, match="cannot be recorded"):
        program.run(build.random_spikes(), record=["readout"])
    with pytest.raises(BadInput, match="21 units"):
        program.run(build.random_spikes(n_in=21))


def test_edited_weights_are_noticed(build: SimpleNamespace) -> None:
    graph = build.quantised(build.recurrent())
    graph.nodes["w_in"].weight = graph.nodes["w_in"].weight * 1.5
    assert KEY in graph.nodes["w_in"].metadata
    assert [f.code for f in Loihi2().check(graph)] == ["NB403"]
