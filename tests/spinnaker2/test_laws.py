"""Laws of the emulation: silence, batches, threads, partitions, timing of hops."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest

from nirbridge.graph import make
from nirbridge.recording import Recording
from nirbridge.semantics import Semantics, with_semantics
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import Spinnaker2

ALL = ["h", "h:v", "h:i", "h:x"]


def same(a: Recording, b: Recording) -> None:
    np.testing.assert_array_equal(a.spikes["h"].times, b.spikes["h"].times)
    np.testing.assert_array_equal(a.spikes["h"].units, b.spikes["h"].units)
    np.testing.assert_array_equal(a.spikes["h"].offsets, b.spikes["h"].offsets)
    for key in a.traces:
        np.testing.assert_array_equal(a.traces[key], b.traces[key])
    np.testing.assert_array_equal(np.asarray(a.output), np.asarray(b.output))


def test_no_input_no_spikes(recurrent: Any) -> None:
    program = Spinnaker2().compile(recurrent(spiking=True))
    recording = program.run(Spikes.from_dense(np.zeros((2, 50, 12)), 1e-3), record=["h"])
    assert len(recording.spikes["h"].times) == 0
    assert isinstance(recording.output, Spikes)
    assert len(recording.output.times) == 0
    assert recording.counts["h"]["synops"].tolist() == [0, 0]


def test_batch_equals_its_samples(recurrent: Any, noise: Any) -> None:
    program = Spinnaker2().compile(recurrent())
    spikes = noise()
    whole = program.run(spikes, record=ALL)
    parts = [program.run(spikes.select([b]), record=ALL) for b in range(spikes.n_samples)]
    same(whole, Recording.join(parts))
    assert len(whole.spikes["h"].times) > 50


def test_threads_do_not_matter(recurrent: Any, noise: Any) -> None:
    graph, spikes = recurrent(), noise(n_samples=9)
    one = Spinnaker2(threads=1).compile(graph).run(spikes, record=ALL)
    for threads in (2, 3, 0):
        same(one, Spinnaker2(threads=threads).compile(graph).run(spikes, record=ALL))


def test_partition_does_not_matter(recurrent: Any, noise: Any) -> None:
    graph, spikes = recurrent(), noise()
    runs = {}
    for max_atoms in (256, 16, 7, 1):
        program = Spinnaker2(max_atoms=max_atoms).compile(graph)
        runs[max_atoms] = (program.partition.slices, program.run(spikes, record=ALL))
    assert [len(runs[m][0][0]) for m in (256, 16, 7, 1)] == [1, 3, 6, 40]
    for max_atoms in (16, 7, 1):
        same(runs[256][1], runs[max_atoms][1])
        np.testing.assert_array_equal(
            runs[256][1].counts["h"]["synops"], runs[max_atoms][1].counts["h"]["synops"]
        )


def test_partition_of_a_convolution_does_not_matter(build: Any) -> None:
    """Sparse rows: every PE holds all kernels, slices cut through channels."""
    rng = np.random.default_rng(2)
    fields = {"tau": 0.01, "r": 5.0, "v_leak": 0.0, "v_threshold": 1.0, "v_reset": 0.0}
    kernel = rng.normal(0.3, 1.0, (3, 2, 3, 3)).astype(np.float32)
    nodes = {
        "input": nir.Input(input_type={"input": np.array([2, 6, 6])}),
        "c": nir.Conv2d(
            input_shape=(6, 6), weight=kernel, stride=1, padding=1, dilation=1, groups=1, bias=np.zeros(3)
        ),
        "h": nir.LIF(**{key: np.full((3, 6, 6), value) for key, value in fields.items()}),
        "output": nir.Output(output_type={"output": np.array([3, 6, 6])}),
    }
    graph = build.graph(nodes, [("input", "c"), ("c", "h"), ("h", "output")])
    spikes = Spikes.from_dense(rng.poisson(0.2, (3, 25, 72)), 1e-3)
    whole = Spinnaker2().compile(graph).run(spikes, record=["h", "h:v"])
    assert len(whole.spikes["h"].times) > 100
    for max_atoms in (50, 13, 1):
        program = Spinnaker2(max_atoms=max_atoms).compile(graph)
        assert len(program.partition.slices[0]) == -(-108 // max_atoms)
        parts = program.run(spikes, record=["h", "h:v"])
        for key in ("times", "units", "offsets"):
            np.testing.assert_array_equal(getattr(parts.spikes["h"], key), getattr(whole.spikes["h"], key))
        np.testing.assert_array_equal(parts.traces["h:v"], whole.traces["h:v"])
        np.testing.assert_array_equal(parts.counts["h"]["synops"], whole.counts["h"]["synops"])


def test_both_arithmetics_agree(recurrent: Any, noise: Any) -> None:
    graph, spikes = recurrent(), noise()
    single = Spinnaker2(arithmetic="float32").compile(graph).run(spikes, record=ALL)
    double = Spinnaker2(arithmetic="float64").compile(graph).run(spikes, record=ALL)
    assert double.traces["h:v"].dtype == np.float64
    np.testing.assert_array_equal(single.spikes["h"].units, double.spikes["h"].units)
    np.testing.assert_allclose(single.traces["h:v"], double.traces["h:v"], atol=1e-4)


def test_one_tick_a_hop(build: Any) -> None:
    """One strong input spike at step 3 crosses two hops: hidden at tick 4, output at tick 5."""
    nodes = build.ports(1, 1) | {
        "w0": nir.Linear(weight=np.full((1, 1), 50.0)),
        "a": build.lif(1),
        "w1": nir.Linear(weight=np.full((1, 1), 50.0)),
        "b": build.lif(1),
    }
    graph = build.graph(nodes, [("input", "w0"), ("w0", "a"), ("a", "w1"), ("w1", "b"), ("b", "output")])
    grid = np.zeros((1, 10, 1))
    grid[0, 3, 0] = 1
    recording = Spinnaker2().compile(graph).run(Spikes.from_dense(grid, 1e-3), record=["a"])
    assert recording.ticks == 12
    assert (recording.lag["a"], recording.lag["b"], recording.output_lag) == (1, 2, 2)
    assert recording.spikes["a"].steps(1e-3).tolist() == [4]
    assert isinstance(recording.output, Spikes)
    assert recording.output.steps(1e-3).tolist() == [5]
    aligned = recording.aligned_output()
    assert isinstance(aligned, Spikes)
    assert aligned.steps(1e-3).tolist() == [3]


def test_events_of_one_step_add(build: Any) -> None:
    nodes = build.ports(2, 1) | {"w": nir.Linear(weight=np.array([[1.0, -0.5]])), "o": build.cubali(1)}
    graph = build.graph(nodes, [("input", "w"), ("w", "o"), ("o", "output")])
    grid = np.zeros((1, 4, 2))
    grid[0, 1] = [3, 1]
    recording = Spinnaker2().compile(graph).run(Spikes.from_dense(grid, 1e-3), record=["o:x"])
    x = recording.traces["o:x"][0, :, 0]
    assert x == pytest.approx([0, 0, (3 * 127 - 63) / 127, 0, 0], abs=1e-6)
    assert recording.counts["o"]["synops"].tolist() == [4]


def test_traces_are_in_graph_units(recurrent: Any, noise: Any) -> None:
    """I and V follow from the recorded x by the graph's own equations (matched gains, exact decay)."""
    program = Spinnaker2(arithmetic="float64").compile(recurrent())
    recording = program.run(noise(), record=ALL)
    a_m, a_s = np.exp(-1e-3 / 0.02), np.exp(-1e-3 / 0.005)
    x, i, v = (recording.traces[f"h:{q}"][:, 1:] for q in "xiv")
    before_i, before_v = recording.traces["h:i"][:, :-1], recording.traces["h:v"][:, :-1]
    np.testing.assert_allclose(i, a_s * before_i + (1 - a_s) * 5.5 * x, atol=1e-9)
    free = a_m * before_v + (1 - a_m) * i
    spiked = recording.spikes["h"].to_dense(1e-3)[:, 1:] > 0
    np.testing.assert_allclose(v, np.where(spiked, 0.0, free), atol=1e-9)
    np.testing.assert_array_equal(spiked, free > 1.0)


def test_counts(recurrent: Any, noise: Any) -> None:
    graph, spikes = recurrent(), noise()
    program = Spinnaker2(max_atoms=16).compile(graph)
    recording = program.run(spikes, record=["h"])
    h = recording.counts["h"]
    np.testing.assert_array_equal(h["spikes"], recording.spikes["h"].counts())
    # spikes of the last tick reach nobody any more; the last input spike still arrives
    last = recording.spikes["h"].to_dense(1e-3)[:, -1].sum(axis=1)
    np.testing.assert_array_equal(h["synops"], (spikes.counts() + h["spikes"] - last) * 40)
    assert np.all(h["spinnaker2_synops_nonzero"] < h["synops"])
    assert np.all(h["updates"] == 40 * recording.ticks)
    assert np.all(h["spinnaker2_peak_synops"] % 14 == 0)
    assert set(h["spinnaker2_peak_pe"].tolist()) == {1}
    assert np.all(h["spinnaker2_overruns"] == 0)


def test_progress_counts_samples(recurrent: Any, noise: Any) -> None:
    seen: list[int] = []
    Spinnaker2(threads=2).compile(recurrent()).run(noise(n_samples=9), progress=seen.append)
    assert seen[-1] == 9
    assert seen == sorted(seen)


def test_empty_batch(recurrent: Any) -> None:
    recording = Spinnaker2().compile(recurrent()).run(Spikes.from_dense(np.zeros((0, 10, 12)), 1e-3))
    assert np.shape(recording.output) == (0, 12, 5)


def test_programs_graph_runs_alike(recurrent: Any, noise: Any) -> None:
    """The executed graph holds what was executed: compiling it again changes no integer and no spike."""
    first = Spinnaker2().compile(recurrent())
    second = Spinnaker2().compile(first.graph)
    for a, b in zip(first.lowered.layers, second.lowered.layers, strict=True):
        assert b.kept
        for p, q in zip(a.projections, b.projections, strict=True):
            np.testing.assert_array_equal(p.q, q.q)
    one, two = (program.run(noise(), record=["h"]) for program in (first, second))
    np.testing.assert_array_equal(one.spikes["h"].units, two.spikes["h"].units)


def test_events_of_a_channel_queue_under_profile_genn():
    """Three events of one channel in a step leave one a step, as on the reference."""
    semantics = Semantics.of_profile("genn", dt=1e-3)
    nodes = {
        "input": nir.Input(np.array([1])),
        "w": nir.Linear(np.array([[1.0]])),
        "h": nir.IF(r=np.ones(1), v_threshold=np.full(1, 0.5), v_reset=np.zeros(1)),
        "output": nir.Output(np.array([1])),
    }
    graph = make(nodes, [("input", "w"), ("w", "h"), ("h", "output")])
    times = np.array([2e-3, 2e-3, 2e-3, 7e-3])
    spikes = Spikes(times, np.zeros(4, np.int32), np.array([0, 4]), 1, 12e-3)
    program = Spinnaker2(threads=1).compile(with_semantics(graph, semantics))
    sent = program.run(spikes, record=["h"]).aligned("h").steps(1e-3)
    assert sent.tolist() == [3, 4, 5, 8]
