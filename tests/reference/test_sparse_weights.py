"""A graph with sparse weights in memory, wherever graphs go: as its dense twin, or refused."""

from __future__ import annotations

import nir
import numpy as np
import pytest

from nirbridge.analysis import diff
from nirbridge.data import Dataset
from nirbridge.errors import BadInput, NirbridgeError
from nirbridge.evaluate import run
from nirbridge.graph import digest, make
from nirbridge.io import read_graph, write_graph
from nirbridge.network import SparseWeight, build, synapses
from nirbridge.plugins import available, load
from nirbridge.semantics import Semantics, semantics_of, with_semantics
from nirbridge.spikes import Spikes
from nirbridge.validate import validate
from nirbridge_reference import Reference

SMALL, LARGE = 24, 40_000  # units a side; the large matrix would take 6 GiB


def network(size: int, each: int = 3) -> nir.NIRGraph:
    """Input → sparse Linear → CubaLIF ⇄ sparse Linear, → Output."""
    rng = np.random.default_rng(0)

    def weight(mean: float) -> SparseWeight:
        targets = np.concatenate([rng.choice(size, each, replace=False) for _ in range(min(size, 100))])
        targets = np.resize(targets, size * each).astype(np.int32)
        values = rng.normal(mean, 0.4, size * each).astype(np.float32)
        return SparseWeight(np.arange(size + 1) * each, targets, values, size)

    def same(value: float) -> np.ndarray:
        return np.full(size, value)

    neurons = nir.CubaLIF(
        tau_mem=same(0.02), tau_syn=same(0.005), r=same(20.0), w_in=same(5.0), v_leak=same(0.0),
        v_threshold=same(1.0), v_reset=same(0.0),
    )  # fmt: skip
    nodes = {
        "input": nir.Input(np.array([size])),
        "w": nir.Linear(weight(0.8)),
        "h": neurons,
        "r": nir.Linear(weight(0.0)),
        "output": nir.Output(np.array([size])),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "r"), ("r", "h"), ("h", "output")]
    return with_semantics(make(nodes, edges), Semantics(dt=1e-3))


def twin(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The same graph with dense weights."""
    nodes = dict(graph.nodes)
    for name, node in nodes.items():
        if isinstance(node, nir.Linear):
            nodes[name] = nir.Linear(np.asarray(node.weight))
    return make(nodes, graph.edges, graph.metadata)


def data(size: int, steps: int = 40) -> Dataset:
    rng = np.random.default_rng(1)
    events = 6 * steps
    times = np.sort(rng.integers(0, steps, events)) * 1e-3
    units = rng.integers(0, size, events).astype(np.int32)
    return Dataset(Spikes(times, units, np.array([0, events]), size, steps * 1e-3))


def test_a_file_digest_and_checks_are_those_of_the_dense_twin(tmp_path):
    sparse, dense = network(SMALL), twin(network(SMALL))
    write_graph(tmp_path / "net.nir", sparse)
    assert digest(read_graph(tmp_path / "net.nir")) == digest(dense) == digest(sparse)
    assert validate(sparse) == validate(dense)
    assert diff(sparse, dense).identical
    changed = twin(sparse)
    changed.nodes["w"].weight[0, 0] += 1
    assert [field.node for field in diff(sparse, changed).fields] == ["w"]


@pytest.mark.parametrize("name", [p.name for p in available("passes") if p.name != "rename"])
def test_a_pass_makes_of_it_what_it_makes_of_the_dense_twin(name):
    def result(graph):
        try:
            return digest(load("passes", name)()(graph))
        except NirbridgeError as error:
            return error.code, error.message

    assert result(network(SMALL)) == result(twin(network(SMALL)))


@pytest.mark.parametrize("name", ["reference", "loihi2", "spinnaker2"])
def test_a_target_runs_it_as_its_dense_twin(name):
    def spikes(graph):
        target = load("targets", name)()
        for step in target.passes(graph):
            graph = step(graph)
        recording = target.compile(graph).run(data(SMALL).spikes, record=["h"])
        return recording.spikes["h"].to_dense(recording.dt)

    found = spikes(network(SMALL))
    assert found.sum() > 10
    np.testing.assert_array_equal(found, spikes(twin(network(SMALL))))


def test_trainers_read_the_dense_matrices():
    sparse, dense = (build(graph, semantics_of(graph)) for graph in (network(SMALL), twin(network(SMALL))))
    for at in sparse.neurons:
        for a, b in zip(synapses(sparse, at), synapses(dense, at), strict=True):
            np.testing.assert_array_equal(a.weight, b.weight)


def test_the_reference_validates_and_runs_what_no_array_could_hold():
    graph = network(LARGE)
    assert not [f for f in validate(graph) if f.level == "error"]
    result = run(graph, Reference(threads=1), data(LARGE, 5))
    assert result.recording.counts["h"]["synops"].sum() > 0
    graph.nodes["w"].weight.values[7] = np.nan
    assert [(f.code, f.node) for f in validate(graph) if f.level == "error"] == [("NB120", "w")]


@pytest.mark.parametrize("what", ["write", "digest", "quantize-weights", "loihi2", "spinnaker2", "synapses"])
def test_whatever_needs_the_dense_matrix_refuses_one_that_is_too_large(what, tmp_path):
    graph = network(LARGE)
    file = tmp_path / "net.nir"
    file.write_bytes(b"old")

    def compile_for(name):
        target = load("targets", name)()
        lowered = graph
        for step in target.passes(graph):
            lowered = step(lowered)
        return target.compile(lowered)

    todo = {
        "write": lambda: write_graph(file, graph),
        "digest": lambda: digest(graph),
        "quantize-weights": lambda: load("passes", what)()(graph),
        "loihi2": lambda: compile_for(what),
        "spinnaker2": lambda: compile_for(what),
        "synapses": lambda: synapses(build(graph, semantics_of(graph)), 1),
    }
    with pytest.raises(BadInput, match=r"\(40000, 40000\) takes \d+\.\d GiB as a dense array") as caught:
        todo[what]()
    assert caught.value.code == "NB128"
    assert "target reference" in caught.value.fix
    if what == "write":
        assert all(f"node '{name}' (Linear)" in str(caught.value) for name in ("w", "r"))
        assert file.read_bytes() == b"old"
