"""A training batch on the chip: quad-PEs, bytes, what does not fit and the smallest change that does."""

from __future__ import annotations

import re
from dataclasses import replace
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from nirbridge.errors import BadInput, DoesNotFit, Unsupported
from nirbridge.spikes import Spikes
from nirbridge_spinnaker2 import Spinnaker2
from nirbridge_spinnaker2.memory import usable_bytes
from nirbridge_spinnaker2.power import Scenario
from nirbridge_spinnaker2.training_layout import TrainingJob, layer_bytes, layer_regions, place
from nirbridge_spinnaker2.training_limits import training_findings


def trained(
    build: Any, hidden: int = 120, n_in: int = 5, loop: bool = False, **semantics: Any
) -> nir.NIRGraph:
    rng = np.random.default_rng(1)
    gain = 1.0 / (1.0 - np.exp(-1e-3 / 5e-3))
    nodes = build.ports(n_in, 3) | {
        "w0": nir.Linear(weight=rng.normal(1.4, 1.4, (hidden, n_in)).astype(np.float32)),
        "hidden": build.cuba(hidden, w_in=gain),
        "w1": nir.Linear(weight=rng.normal(0.47, 0.25, (3, hidden)).astype(np.float32)),
        "out": build.cuba(3, w_in=gain),
    }
    edges = [("input", "w0"), ("w0", "hidden"), ("hidden", "w1"), ("w1", "out"), ("out", "output")]
    if loop:
        nodes["rec"] = nir.Linear(weight=np.zeros((hidden, hidden), np.float32))
        edges += [("hidden", "rec"), ("rec", "hidden")]
    return build.graph(nodes, edges, **({"feedforward_delay": 1} | semantics))


def batch(build: Any, **options: Any) -> Any:
    return Spinnaker2(phase="training", **options).compile(trained(build))


def test_89_pes_at_batch_22(build: Any) -> None:
    placement = batch(build).placement
    assert len(placement.cores) == 89 and placement.fits
    assert [c.node for c in placement.cores[:4]] == ["input", "hidden", "out", "loss"]
    assert {c.detail["quad"] for c in placement.cores[4:8]} == {1}
    assert [c.detail["pe"] for c in placement.cores[4:8]] == [0, 1, 2, 3]
    assert placement.cores[-1].node == "optimiser"
    assert placement.cores[-1].detail["total_bytes"] == 15_360
    assert [c.detail["total_bytes"] for c in placement.cores[1:3]] == [21_720, 3_888]
    assert len(batch(build, batch=1).placement.cores) == 5


def test_36_is_the_largest_batch(build: Any) -> None:
    assert len(batch(build, batch=36).placement.cores) == 145
    with pytest.raises(DoesNotFit, match="NB602") as caught:
        batch(build, batch=37)
    assert "needs 149 PEs (37 × 4 for input, 2 layers and loss, 1 for the optimiser)" in caught.value.message
    assert "there are 148" in caught.value.message
    assert caught.value.fix == "spinnaker2:batch=36"
    assert not caught.value.placement.fits
    assert batch(build, batch=37, chips=2).placement.fits


def test_one_optimiser_pe_as_published(build: Any) -> None:
    """5,888 parameters of 16 B are what one PE holds."""
    graph = trained(build, hidden=60, n_in=100)
    with pytest.raises(DoesNotFit, match="NB601") as caught:
        Spinnaker2(phase="training", batch=1, optimiser_pes=1).compile(graph)
    assert "98,880 B" in caught.value.message and "(5,888 parameters a PE)" in caught.value.message
    assert caught.value.fix == "spinnaker2:optimiser_pes=2"
    placement = Spinnaker2(phase="training", batch=1).compile(graph).placement
    assert [c.node for c in placement.cores].count("optimiser") == 2


@pytest.mark.parametrize(
    ("m", "ticks", "largest"), [(120, 30, 85), (700, 30, 15), (700, 1000, 0), (5, 30, 523)]
)
def test_largest_layers(m: int, ticks: int, largest: int) -> None:
    """Largest n of SPINNAKER2.md §6; the last is the layer over 5 inputs."""

    def total(n: int) -> int:
        return sum(layer_regions(m, n, ticks).values())

    if largest:
        assert total(largest) <= usable_bytes()
    assert total(largest + 1) > usable_bytes()


def test_a_layer_beyond_its_pe(build: Any) -> None:
    findings = Spinnaker2(phase="training").check(trained(build, hidden=600))
    (finding,) = [f for f in findings if f.level == "error"]
    assert (finding.code, finding.node) == ("NB601", "hidden")
    assert "needs 108,000 B on its PE for 600 neurons of 5 inputs over 30 ticks" in finding.message
    assert "the largest region is slopes with 72,000 B" in finding.message
    assert finding.fix == "give 'hidden' at most 523 neurons, or shorten the samples: train_ticks=24 fits"


@settings(max_examples=60, deadline=None)
@given(st.integers(1, 900), st.integers(1, 900), st.integers(2, 400), st.booleans(), st.integers(1, 60))
def test_the_stated_change_fits_and_one_more_does_not(
    m: int, n: int, ticks: int, loop: bool, samples: int
) -> None:
    job = TrainingJob(
        names=("input", "h"),
        layers=(m, n),
        recurrent=(loop,),
        batch=samples,
        ticks_forward=ticks,
        ticks_backward=ticks,
        tick_s=1e-3,
    )
    errors = [f for f in training_findings(job, Scenario()) if f.level == "error"]
    assert (not errors) == place(job, Scenario()).fits

    def fits(other: TrainingJob) -> bool:
        return sum(layer_bytes(other, 1).values()) <= usable_bytes()

    for finding in errors:
        fix = str(finding.fix)
        if most := re.search(r"at most (\d+) neurons", fix):
            assert fits(replace(job, layers=(m, int(most[1]))))
            assert not fits(replace(job, layers=(m, int(most[1]) + 1)))
        if most := re.search(r"train_ticks=(\d+)", fix):
            assert fits(replace(job, ticks_forward=int(most[1])))
            assert not fits(replace(job, ticks_forward=int(most[1]) + 1))
        if most := re.search(r"spinnaker2:batch=(\d+)", fix):
            assert replace(job, batch=int(most[1])).pes <= 148 < replace(job, batch=int(most[1]) + 1).pes


def test_recurrent_inputs_count(build: Any) -> None:
    program = Spinnaker2(phase="training", batch=1).compile(trained(build, hidden=60, loop=True))
    assert program.placement.cores[1].detail["weights_bytes"] == 4 * 60 * 65


def test_an_untrainable_graph_is_refused_by_name(build: Any) -> None:
    graph = trained(build)
    graph.nodes["out"] = build.lif(3)
    with pytest.raises(Unsupported, match="'out' \\(LIF\\)"):
        Spinnaker2(phase="training").compile(graph)
    assert [f.node for f in Spinnaker2(phase="training").check(graph)] == ["out"]


def test_samples_longer_than_planned(build: Any) -> None:
    program = batch(build)
    with pytest.raises(BadInput, match=r"need 31 ticks a phase .28 steps") as caught:
        program.run(Spikes.from_dense(np.zeros((1, 28, 5)), 1e-3))
    assert caught.value.fix == "spinnaker2:phase=training,train_ticks=31"
    with pytest.raises(BadInput, match="NB504"):
        program.run(Spikes.from_dense(np.zeros((1, 27, 5)), 1e-3), record=["w0"])


def test_cost_takes_the_spikes_that_the_training_sees(build: Any, noise: Any) -> None:
    program, spikes = batch(build), noise(n_samples=6, steps=27, n_units=5)
    recording = program.run(spikes, record=["hidden"])
    hidden = recording.spikes["hidden"].to_dense(1e-3)[:, :27]
    np.testing.assert_array_equal(recording.counts["hidden"]["spikes"], hidden.sum(axis=(1, 2)))
    assert hidden.sum() > 0
    np.testing.assert_array_equal(recording.counts["hidden"]["synops"], 120 * spikes.counts())
    cost = program.cost(recording)
    assert cost.batch == 22 and cost.ticks == 61


def test_traces_follow_the_equations(build: Any, noise: Any) -> None:
    program, spikes = batch(build), noise(n_samples=3, steps=27, n_units=5)
    found = program.run(spikes, record=["hidden", "hidden:v", "hidden:i", "hidden:x"])
    grid = np.zeros((3, 29, 5))
    grid[:, 1:28] = spikes.to_dense(1e-3)
    weight = np.asarray(trained(build).nodes["w0"].weight)
    np.testing.assert_allclose(found.traces["hidden:x"], grid @ weight.T, atol=1e-4)
    v, i, beta = found.traces["hidden:v"], found.traces["hidden:i"], np.exp(-1e-3 / 0.02)
    free = beta * v[:, :-1] + (1 - beta) * i[:, 1:]
    spiked = found.spikes["hidden"].to_dense(1e-3)[:, 1:] > 0
    np.testing.assert_allclose(v[:, 1:], np.where(spiked, 0.0, free), atol=1e-5)


def test_ticks_of_a_trained_graph(build: Any) -> None:
    """27 steps, two hops and the loss make the published 30; 40 steps make 43."""
    import json

    graph = trained(build)
    text = json.loads(graph.metadata["nirbridge"])
    text["training"] = {"duration": 0.04}
    graph.metadata["nirbridge"] = json.dumps(text)
    assert Spinnaker2(phase="training").compile(graph).job.ticks_forward == 43
    assert Spinnaker2(phase="training", train_ticks=50).compile(graph).job.ticks_forward == 50
    assert batch(build).job.ticks_forward == 30


@pytest.mark.parametrize("delay", [0, 1])
def test_inference_is_late_only_where_the_graph_does_not_say_so(build: Any, delay: int) -> None:
    """A graph of one tick a hop runs as it says: no lag; else a tick a layer."""
    program = Spinnaker2().compile(trained(build, feedforward_delay=delay))
    recording = program.run(Spikes.from_dense(np.zeros((1, 27, 5)), 1e-3))
    assert recording.ticks == 29
    assert (recording.lag["hidden"], recording.output_lag) == ((0, 0) if delay else (1, 2))
