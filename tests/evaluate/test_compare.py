"""Run and compare from Python."""

from __future__ import annotations

import json
from dataclasses import dataclass, replace
from typing import ClassVar

import numpy as np
import pytest

from nirbridge import conformance
from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Unsupported
from nirbridge.evaluate import compare, fit_duration, run
from nirbridge.graph import GraphMetadata, copy, read_metadata, write_metadata
from nirbridge.passes import QuantizeWeights, Rename
from nirbridge.plugins import parse
from nirbridge.report import Report
from nirbridge.semantics import semantics_of, with_semantics
from nirbridge.spikes import Spikes


@pytest.fixture
def graph():
    return conformance.example_graph(np.random.default_rng(5))


@pytest.fixture
def data():
    return conformance.example_data(np.random.default_rng(6), samples=10)


def targets(*specs):
    return [(spec, parse("targets", spec)) for spec in specs]


def test_run_predicts_by_the_readout_and_batches_do_not_matter(graph, data):
    target = parse("targets", "reference")
    whole = run(graph, target, data, batch=64)
    parts = run(graph, target, data, batch=3)
    assert np.array_equal(whole.predictions, parts.predictions)
    expected = whole.recording.output.mean(axis=1).argmax(axis=1)
    assert np.array_equal(whole.predictions, expected)
    assert whole.correct == (expected == data.labels).sum()
    assert whole.accuracy == whole.correct / 10


def test_progress_counts_samples_over_batches(graph, data):
    seen = []
    run(graph, parse("targets", "reference"), data, batch=4, progress=seen.append)
    assert seen == sorted(seen)
    assert seen[-1] == 10


def test_a_target_equals_itself(graph, data):
    report = compare(graph, targets("reference", "reference:threads=1"), data)
    versus = report.results[1].versus
    assert versus.spikes_agree == 1.0
    assert versus.first_difference is None
    assert versus.change.change == 0


def test_the_first_difference_is_where_the_spikes_first_differ(graph, data):
    report = compare(graph, targets("reference", "loihi2"), data)
    found = report.results[1].versus.first_difference
    reference = run(graph, parse("targets", "reference"), data, record=["hidden1"])
    from nirbridge.passes import Pipeline

    loihi2 = parse("targets", "loihi2")
    lowered = Pipeline(tuple(loihi2.passes(graph)))(graph)
    other = run(lowered, loihi2, data, record=["hidden1"])
    a = reference.recording.aligned("hidden1").to_dense(1e-3)
    b = other.recording.aligned("hidden1").to_dense(1e-3)
    first = np.argwhere(a != b)[0]  # sample, step, neuron in order
    assert (found.sample, found.step, found.neuron) == tuple(first)
    assert found.spiked == ("first" if a[tuple(first)] else "second")
    assert report.membranes[0].at_step == found.step
    shares = {s.node: s for s in report.results[1].versus.agreement}
    assert shares["hidden1"].matched == np.minimum(a, b).sum()
    assert shares["hidden1"].missing == np.maximum(a - b, 0).sum()


def test_three_targets_tell_quantisation_and_arithmetic_apart(graph, data):
    report = compare(graph, targets("reference", "loihi2", "spinnaker2"), data, commands=("nirbridge …",))
    for result in report.results[1:]:
        assert result.lowered is not None
        assert result.passes
        assert result.cost["latency"]["basis"]
        assert result.placement["fits"]
    assert report.results[2].lowered.spikes_agree == 1.0  # spinnaker2 computes the reference's own floats
    again = Report.from_dict(json.loads(json.dumps(report.as_dict())))
    assert json.dumps(again.as_dict()) == json.dumps(report.as_dict())


def test_the_first_target_may_run_the_graph_before_a_training(graph, data):
    """Float against its own rounding: the same as rounding as a pass of the second target."""
    rounded = QuantizeWeights(bits=3)(graph)
    report = compare(rounded, targets("reference", "reference:threads=1"), data, against=graph)
    ran = [run(g, parse("targets", "reference"), data) for g in (graph, rounded)]
    assert [r.correct for r in report.results] == [one.correct for one in ran]
    versus = report.results[1].versus
    assert versus.first_difference is not None
    assert versus.same_predictions == (ran[0].predictions == ran[1].predictions).mean()
    assert (
        compare(graph, targets("reference", "reference"), data, against=graph)
        .results[1]
        .versus.first_difference
        is None
    )


@pytest.mark.parametrize("swapped", [False, True])
def test_renamed_nodes_are_paired_by_the_name_that_they_had(graph, data, swapped):
    """The neurons and the read-out are renamed on one side: the same spikes, under the names of the file."""
    other = Rename(names="hidden1=h/out=a")(graph)
    file, before = (other, graph) if swapped else (graph, other)
    report = compare(file, targets("reference", "reference"), data, against=before)
    versus = report.results[1].versus
    assert {item.node for item in versus.agreement} == ({"h"} if swapped else {"hidden1"})
    assert versus.spikes_agree == 1.0 and sum(item.matched for item in versus.agreement) > 0


@dataclass(frozen=True)
class Renaming:
    """The reference behind a pass that renames a spiking node."""

    inner: object
    name: ClassVar[str] = "renaming"

    def passes(self, graph):
        return (Rename(old="hidden1", new="h"),)

    def __getattr__(self, name):
        return getattr(self.inner, name)


def test_a_targets_pass_may_rename_spiking_nodes(graph, data):
    plain = targets("reference", "reference")
    report = compare(graph, [plain[0], ("renaming", Renaming(plain[1][1]))], data)
    assert report.results[1].versus.spikes_agree == 1.0
    assert "hidden1" in report.results[1].counts


def test_graphs_whose_spikes_have_no_partner_are_not_compared(graph, data):
    other = Rename(old="hidden1", new="h")(graph)
    del other.nodes["h"].metadata["nirbridge_from"]
    with pytest.raises(Unsupported, match=r"node 'h' has no neurons .* and 24 in the one") as caught:
        compare(graph, targets("reference", "reference"), data, against=other)
    assert caught.value.code == "NB202"
    slower = with_semantics(graph, replace(semantics_of(graph), dt=2e-3))
    with pytest.raises(Unsupported, match=r"steps of 0\.001 s and 0\.002 s"):
        compare(graph, targets("reference", "reference"), data, against=slower)


def test_without_labels_there_is_no_accuracy(graph, data):
    unlabelled = Dataset(data.spikes)
    report = compare(graph, targets("reference", "loihi2"), unlabelled)
    assert report.results[0].accuracy is None
    assert report.results[1].versus.change is None


def test_samples_last_as_long_as_in_training(graph, data):
    metadata = read_metadata(graph)
    trained = write_metadata(graph, metadata.model_copy(update={"training": {"duration": 0.03}}))
    fitted, cut = fit_duration(trained, data)
    assert fitted.spikes.duration == 0.03
    assert cut == (data.spikes.times >= 0.03).sum() > 0
    assert run(trained, parse("targets", "reference"), data).cut_spikes == cut


def test_refusals(graph, data):
    reference = parse("targets", "reference")
    broken = copy(graph)
    broken.nodes["w1"].weight[0, 0] = np.nan
    with pytest.raises(BadInput) as caught:
        run(broken, reference, data)
    assert caught.value.code == "NB120"
    with pytest.raises(BadInput) as caught:
        run(graph, reference, data.select([]))
    assert caught.value.code == "NB508"
    many = Dataset(data.spikes, np.full(10, 3))
    with pytest.raises(BadInput) as caught:
        run(graph, reference, many)
    assert caught.value.code == "NB503"
    wide = Spikes(np.array([0.0]), np.array([20]), np.array([0, 1]), 21, 0.01)
    with pytest.raises(BadInput) as caught:
        run(graph, reference, Dataset(wide))
    assert caught.value.code == "NB501"
    with pytest.raises(Unsupported) as caught:
        run(graph, parse("targets", "loihi2"), data)
    assert caught.value.code == "NB212"
    bare = copy(graph)
    bare.metadata.clear()
    with pytest.raises(BadInput) as caught:
        run(bare, reference, data)
    assert caught.value.code == "NB301"


def test_dt_is_never_guessed_but_may_be_stated(graph, data):
    from nirbridge.semantics import with_dt

    bare = copy(graph)
    bare.metadata.clear()
    stated = with_dt(bare, 1e-3, None)
    assert read_metadata(stated) == GraphMetadata(dt=1e-3)
    assert run(stated, parse("targets", "reference"), data).recording.ticks == 60


def test_a_unit_or_dt_that_contradicts_the_file_is_refused(graph):
    from nirbridge.errors import UsageError
    from nirbridge.semantics import with_dt

    for dt, unit in ((2e-3, None), (None, 1e-3)):
        with pytest.raises(BadInput, match="contradicts") as caught:
            with_dt(graph, dt, unit)
        assert caught.value.code == "NB305"
    for value in (float("nan"), 0.0, -1.0):
        with pytest.raises(UsageError) as caught:
            with_dt(graph, value, None)
        assert caught.value.code == "NB701"
    assert with_dt(graph, 1e-3, 1.0) is graph


def test_a_graph_in_steps_takes_any_dt(graph):
    from nirbridge.semantics import semantics_of, with_dt

    metadata = read_metadata(graph).model_copy(update={"in_steps": True, "dt": 1.0})
    stated = with_dt(write_metadata(graph, metadata), 2e-3, None)
    assert (semantics_of(stated).dt, semantics_of(stated).time_unit) == (2e-3, 2e-3)


def test_too_many_steps_are_refused_before_anything_is_allocated(graph):
    late = Spikes(np.array([1e9]), np.array([0]), np.array([0, 1]), 20, 1e12)
    with pytest.raises(BadInput, match="steps") as caught:
        run(graph, parse("targets", "reference"), Dataset(late))
    assert caught.value.code == "NB512"
