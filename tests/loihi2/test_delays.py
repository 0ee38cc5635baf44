"""Delays per synapse and delay lines: against a plain statement in integers, and against the reference."""

from __future__ import annotations

from types import SimpleNamespace

import nir
import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.graph import digest, make, replace_nodes
from nirbridge.graph.delays import KEY, lower
from nirbridge.graph.quantization import quantization_of
from nirbridge.passes import Pipeline
from nirbridge.semantics import with_semantics
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2
from nirbridge_loihi2.simulate import events


def delayed(build: SimpleNamespace, *, feedforward: int = 20, loop: int = 62, seed: int = 0) -> nir.NIRGraph:
    """The recurrent graph with a random delay of 0 … the given steps on each synapse."""
    rng = np.random.default_rng(seed)
    graph = build.recurrent()
    changed = {}
    for name, top in (("w_in", feedforward), ("w_rec", loop), ("w_out", 5)):
        weight = graph.nodes[name].weight
        meta = {KEY: rng.integers(0, top + 1, weight.shape).astype(np.int32)}
        changed[name] = nir.Linear(weight, metadata=meta)
    return lower(replace_nodes(graph, changed))


def legal(graph: nir.NIRGraph) -> nir.NIRGraph:
    return Pipeline(tuple(Loihi2().passes(graph)))(graph)


def shr0(x: np.ndarray, k: int) -> np.ndarray:
    return np.sign(x) * (np.abs(x) >> k)


def hidden_layer_in_integers(graph: nir.NIRGraph, x: np.ndarray, dt: float) -> np.ndarray:
    """Spikes (samples, steps, n) of u ← shr0(u(4096−du)) + 64a, v ← shr0(v(4096−dv)) + u; one step a synapse.

    a_i[t+1] = Σ_j q_ij x_j[t − D_ij] over both matrices, straight from the graph's own values.
    """
    node = graph.nodes["hidden"]
    q = {name: quantization_of(graph.nodes[name], name) for name in ("w_in", "w_rec")}
    delay = {name: graph.nodes[name].metadata[KEY] for name in q}
    scale = float(q["w_in"].scale[0])
    du = np.rint(4096 * (1 - np.exp(-dt / node.tau_syn.astype(float)))).astype(np.int64)
    dv = np.rint(4096 * (1 - np.exp(-dt / node.tau_mem.astype(float)))).astype(np.int64)
    theta = np.rint(node.v_threshold / scale).astype(np.int64) << 6
    samples, steps, _ = x.shape
    n = len(du)
    ring = np.zeros((samples, steps + 1000, n), np.int64)
    u = np.zeros((samples, n), np.int64)
    v = np.zeros((samples, n), np.int64)
    raster = np.zeros((samples, steps, n), np.int64)

    def send(name: str, t: int, sent: np.ndarray) -> None:
        for b, j in zip(*np.nonzero(sent), strict=True):
            for i in range(n):
                ring[b, t + 1 + delay[name][i, j], i] += int(q[name].q[i, j])

    for t in range(steps):
        u = shr0(u * (4096 - du), 12) + (ring[:, t] << 6)
        v = shr0(v * (4096 - dv), 12) + u
        z = v > theta
        v[z] = 0
        raster[:, t] = z
        send("w_in", t, x[:, t])
        send("w_rec", t, z)
    return raster


@pytest.mark.parametrize("feedforward", [20, 100])
def test_exactly_a_plain_statement_in_integers(build: SimpleNamespace, feedforward: int) -> None:
    graph = legal(delayed(build, feedforward=feedforward))
    spikes = build.random_spikes(2, steps=140)
    recording = Loihi2().compile(graph).run(spikes, record=["hidden"])
    x = np.zeros((2, recording.ticks, 20), np.int64)
    x[:, :140] = spikes.to_dense(build.dt)
    expected = hidden_layer_in_integers(graph, x, build.dt)
    assert expected.sum() > 100
    np.testing.assert_array_equal(recording.spikes["hidden"].to_dense(build.dt), expected)


@pytest.mark.parametrize("feedforward", [20, 100])
def test_follows_the_reference_within_truncation(build: SimpleNamespace, feedforward: int) -> None:
    reference = pytest.importorskip("nirbridge_reference")
    graph = legal(delayed(build, feedforward=feedforward))
    spikes = build.random_spikes(4, steps=120)
    ours = Loihi2().compile(graph).run(spikes, record=["hidden"])
    theirs = reference.Reference(arithmetic="float64").compile(graph).run(spikes, record=["hidden"])
    a, b = (r.aligned("hidden").to_dense(build.dt) for r in (ours, theirs))
    assert b.sum() > 200
    assert np.abs(a - b).sum() <= 0.05 * b.sum()
    np.testing.assert_allclose(ours.aligned_output(), theirs.output, atol=0.1 * np.abs(theirs.output).max())


def test_the_file_and_the_folded_graph_run_alike(build: SimpleNamespace) -> None:
    plain = build.quantised(delayed(build))
    folded = legal(delayed(build))
    target = Loihi2()
    assert [p.name for p in target.passes(plain)][:2] == ["round-delays", "fold-delays"]
    assert target.check(plain) == target.check(folded) == []
    assert digest(legal(folded)) == digest(folded)
    quantised = legal(plain)
    spikes = build.random_spikes()
    a, b = (target.compile(g).run(spikes, record=["hidden"]) for g in (lower(quantised), quantised))
    np.testing.assert_array_equal(a.spikes["hidden"].times, b.spikes["hidden"].times)
    np.testing.assert_array_equal(a.spikes["hidden"].units, b.spikes["hidden"].units)
    np.testing.assert_array_equal(a.output, b.output)


def test_delays_ask_for_memory(build: SimpleNamespace) -> None:
    with_delays, without = (Loihi2().compile(legal(g)).placement for g in (delayed(build), build.recurrent()))
    assert max(c.detail["delay_words"] for c in with_delays.cores) > 0
    assert max(c.detail["delay_words"] for c in without.cores) == 0
    (limit,) = [one for one in with_delays.limits if one.name == "synaptic delay"]
    assert limit.used == 62


def line(build: SimpleNamespace, steps: int) -> nir.NIRGraph:
    """Input → Delay → w_in beside Input → w_now: a delay line of one tap."""
    graph = build.recurrent()
    rng = np.random.default_rng(4)
    nodes = {
        **graph.nodes,
        "line": nir.Delay(np.full(20, steps * build.dt)),
        "w_now": nir.Linear(rng.normal(0.3, 1.0, (32, 20))),
    }
    edges = [e for e in graph.edges if e != ("input", "w_in")]
    edges += [("input", "line"), ("line", "w_in"), ("input", "w_now"), ("w_now", "hidden")]
    return make(nodes, edges, graph.metadata)


def test_a_delay_line_is_late_injection_named_and_counted(build: SimpleNamespace) -> None:
    reference = pytest.importorskip("nirbridge_reference")
    graph = legal(line(build, 70))
    target = Loihi2()
    (finding,) = target.check(graph)
    assert (finding.code, finding.level, finding.node) == ("NB208", "info", "input")
    assert "the host sends 20 channels late, by 70 steps" in finding.message
    program = target.compile(graph)
    spikes = build.random_spikes(3, steps=150)
    ours = program.run(spikes, record=["input", "hidden"])
    now = events(spikes, build.dt).counts
    late = ours.counts["input"]["loihi2_late_messages"]
    dense = spikes.to_dense(build.dt)
    np.testing.assert_array_equal(late, dense[:, : ours.ticks - 70].sum(axis=(1, 2)))
    np.testing.assert_array_equal(ours.counts["input"]["spikes"], now + late)
    np.testing.assert_array_equal(ours.spikes["input"].counts(), now)
    cores = len({core.index for core in program.placement.cores if core.node == "hidden"})
    arrived = ours.counts["hidden"]["spikes"] + now + late  # the loop's and the Input's, once a core
    assert cores == 1
    assert np.all(ours.counts["hidden"]["loihi2_messages"] <= arrived)
    assert np.all(ours.counts["hidden"]["loihi2_messages"] >= arrived - 40)
    assert any("delay line" in note for note in program.cost(ours).notes)
    theirs = reference.Reference(arithmetic="float64").compile(graph).run(spikes, record=["hidden"])
    a, b = (r.aligned("hidden").to_dense(build.dt) for r in (ours, theirs))
    assert b.sum() > 300
    assert np.abs(a - b).sum() <= 0.05 * b.sum()
    short = target.compile(legal(line(build, 62)))
    assert target.check(short.graph) == []
    assert short.lowered.inputs.n_late == 0


TAPS = (0, 30, 70, 100, 140)


def taps(build: SimpleNamespace) -> tuple[nir.NIRGraph, nir.NIRGraph]:
    """A delay line of five taps, and the same network with 100 inputs of its own for them and no delay."""
    rng = np.random.default_rng(6)
    graph = build.recurrent()
    weights = [rng.normal(0.1, 0.6, (32, 20)) for _ in TAPS]
    nodes = {name: node for name, node in graph.nodes.items() if name != "w_in"}
    edges = [e for e in graph.edges if "w_in" not in e]
    line = dict(nodes)
    wires = list(edges)
    for tap, weight in zip(TAPS, weights, strict=True):
        line[f"w{tap}"] = nir.Linear(weight)
        line[f"d{tap}"] = nir.Delay(np.full(20, tap * build.dt))
        wires += [("input", f"d{tap}"), (f"d{tap}", f"w{tap}"), (f"w{tap}", "hidden")]
    wide = {**nodes, "input": nir.Input(np.array([100])), "w_in": nir.Linear(np.hstack(weights))}
    edges += [("input", "w_in"), ("w_in", "hidden")]
    return make(line, wires, graph.metadata), make(wide, edges, graph.metadata)


def tapped(spikes: Spikes, dt: float) -> Spikes:
    """Every spike once for each tap: later, on the tap's own channels."""
    sample = np.repeat(np.arange(spikes.n_samples), spikes.counts())
    times = np.concatenate([spikes.times + tap * dt for tap in TAPS])
    units = np.concatenate([spikes.units + 20 * k for k in range(len(TAPS))])
    kept = times < spikes.duration
    return Spikes.from_events(
        times[kept], units[kept], np.tile(sample, len(TAPS))[kept],
        n_samples=spikes.n_samples, n_units=100, duration=spikes.duration,
    )  # fmt: skip


def test_the_taps_of_a_line_share_late_channels_rows_and_messages(build: SimpleNamespace) -> None:
    """The host sends late by 70 and 140 steps only; synapses wait for the rest, 62 steps at most."""
    line, wide = (legal(graph) for graph in taps(build))
    target = Loihi2()
    (finding,) = [f for f in target.check(line) if f.code == "NB208"]
    assert "the host sends 40 channels late, by 70, 140 steps" in finding.message
    program, plain = target.compile(line), target.compile(wide)
    assert program.lowered.inputs.late.tolist() == [0] * 20 + [70] * 20 + [140] * 20
    early = build.random_spikes(3, steps=50, rate=0.15)
    spikes = early.with_duration(0.2)[0]  # so that every tap arrives
    ours = program.run(spikes, record=["hidden", "hidden:v"])
    theirs = plain.run(tapped(spikes, build.dt), record=["hidden", "hidden:v"])
    assert len(theirs.spikes["hidden"].times) > 300
    np.testing.assert_array_equal(ours.spikes["hidden"].times, theirs.spikes["hidden"].times)
    np.testing.assert_array_equal(ours.spikes["hidden"].units, theirs.spikes["hidden"].units)
    np.testing.assert_array_equal(ours.traces["hidden:v"], theirs.traces["hidden:v"])
    np.testing.assert_array_equal(ours.output, theirs.output)
    np.testing.assert_array_equal(ours.counts["hidden"]["synops"], theirs.counts["hidden"]["synops"])
    sent = ours.counts["input"]["spikes"]
    assert np.all(ours.counts["hidden"]["loihi2_messages"] <= sent + ours.counts["hidden"]["spikes"])
    (core,) = [core for core in program.placement.cores if core.node == "hidden"]
    synapse = 8 + 12 + 6
    rows = 40 * -(-(20 + 32 * 2 * synapse) // 64)  # two taps each: 0 and 30, 70 and 100
    rows += (20 + 32) * -(-(20 + 32 * synapse) // 64)  # one: 140, and the loop
    assert core.detail["synmem_units"] == rows
    assert core.detail["axons_in"] == 60 + 32


def test_a_line_within_62_steps_needs_no_late_channel(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    rng = np.random.default_rng(4)
    nodes = {**graph.nodes, "w_now": nir.Linear(rng.normal(0.3, 1.0, (32, 20)))}
    nodes["line"] = nir.Delay(np.full(20, 0.03))
    edges = [e for e in graph.edges if e != ("input", "w_in")]
    edges += [("input", "line"), ("line", "w_in"), ("input", "w_now"), ("w_now", "hidden")]
    program = Loihi2().compile(legal(make(nodes, edges, graph.metadata)))
    spikes = build.random_spikes(2)
    recording = program.run(spikes)
    assert program.lowered.inputs.n_late == 0
    (core,) = [core for core in program.placement.cores if core.node == "hidden"]
    assert core.detail["axons_in"] == 20 + 32
    arrived = recording.counts["input"]["spikes"] + recording.counts["hidden"]["spikes"]
    assert np.all(recording.counts["hidden"]["loihi2_messages"] <= arrived)


def test_a_line_alone_sends_no_early_copy(build: SimpleNamespace) -> None:
    graph = line(build, 70)
    edges = [e for e in graph.edges if "w_now" not in e]
    alone = legal(make({n: x for n, x in graph.nodes.items() if n != "w_now"}, edges, graph.metadata))
    program = Loihi2().compile(alone)
    assert program.lowered.inputs.late.tolist() == [70] * 20
    graded = Spikes.from_events([0.003], [4], [0], n_samples=1, n_units=20, duration=0.2, values=[3])
    once = Spikes.from_events([0.003], [4], [0], n_samples=1, n_units=20, duration=0.2)
    three, one = (program.run(s, record=["hidden:x"]) for s in (graded, once))
    assert three.counts["input"]["spikes"].tolist() == one.counts["input"]["spikes"].tolist() == [1]
    at = 3 + 70 + 1
    assert np.flatnonzero(one.traces["hidden:x"][0].any(axis=1))[0] == at
    np.testing.assert_allclose(three.traces["hidden:x"][0, at], 3 * one.traces["hidden:x"][0, at], rtol=1e-6)


def test_other_long_delays_are_refused_with_their_count(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    delay = np.zeros((32, 32), np.int32)
    delay[3:5, :4] = 80
    delay[7, 9] = 63
    loop = nir.Linear(graph.nodes["w_rec"].weight, metadata={KEY: delay})
    graph = legal(replace_nodes(graph, {"w_rec": loop}))
    (finding,) = Loihi2().check(graph)
    n = np.count_nonzero(graph.nodes["w_rec"].weight[delay > 62])
    assert (finding.code, finding.level, finding.node) == ("NB208", "error", "w_rec")
    assert f"of up to 80 steps at {n} synapses of 3 of 32 neurons, expected 0 to 62" in finding.message
    assert "only behind the Input" in finding.fix
    with pytest.raises(Unsupported, match="up to 80 steps"):
        Loihi2().compile(graph)


def test_a_delay_that_is_not_in_front_of_weights_is_refused(build: SimpleNamespace) -> None:
    graph = build.recurrent()
    nodes = {**graph.nodes, "late": nir.Delay(np.full(32, 0.003))}
    edges = [e for e in graph.edges if e != ("w_rec", "hidden")] + [("w_rec", "late"), ("late", "hidden")]
    found = Loihi2().check(make(nodes, edges, graph.metadata))
    assert [(f.code, f.node) for f in found] == [("NB208", "late")]


def test_a_loop_whose_step_would_move_is_refused(build: SimpleNamespace) -> None:
    """one ⇄ two: the Delay nodes put 'one' farther from the Input than 'two', without them it is nearer."""
    rng = np.random.default_rng(0)
    n = 6
    weights = {name: nir.Linear(rng.normal(0, 1, (n, n))) for name in ("w1", "w2", "there", "back", "first")}
    neurons = {name: build.cubalif(n) for name in ("one", "two", "pre")}
    lines = {name: nir.Delay(np.full(n, 0.002)) for name in ("line", "line2")}
    ports = {"input": nir.Input(np.array([n])), "output": nir.Output(np.array([n]))}
    edges = [
        ("input", "line"), ("line", "line2"), ("line2", "w1"), ("w1", "one"),
        ("input", "first"), ("first", "pre"), ("pre", "w2"), ("w2", "two"),
        ("one", "there"), ("there", "two"), ("two", "back"), ("back", "one"), ("two", "output"),
    ]  # fmt: skip
    graph = make({**ports, **lines, **neurons, **weights}, edges)
    graph = legal(with_semantics(graph, build.semantics()))
    assert "NB211" in [f.code for f in Loihi2().check(graph)]
