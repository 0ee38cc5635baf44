"""Graphs with Conv2d, and Inputs that feed neurons: compiled as the integers that their file holds."""

from __future__ import annotations

from pathlib import Path
from types import SimpleNamespace

import nir
import numpy as np
import pytest

from nirbridge.analysis import agreement
from nirbridge.data import Dataset
from nirbridge.errors import BadInput, Unsupported
from nirbridge.evaluate import diagnose
from nirbridge.graph import make
from nirbridge.graph.quantization import KEY, Quantization
from nirbridge.network import operator
from nirbridge.passes import Pipeline
from nirbridge.semantics import with_semantics
from nirbridge.spikes import Spikes
from nirbridge_loihi2 import Loihi2, NetxFormat
from nirbridge_loihi2.convolution import Window
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Layer, filled
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.netx_write import write_net
from nirbridge_loihi2.simulate import events, simulate
from nirbridge_loihi2.tables import tables
from nirbridge_reference import Reference


def layer(shape: tuple[int, ...], threshold: int, decay_u: int = 4096, bias: int = 0) -> Layer:
    n = int(np.prod(shape))
    return Layer(name="", shape=shape, decay_u=filled(decay_u, n), decay_v=filled(200, n),
                 threshold=filled(threshold, n), bias=filled(bias << 6, n))  # fmt: skip


def network() -> IntegerNetwork:
    rng = np.random.default_rng(0)
    kernel = rng.integers(-20, 60, (3, 2, 3, 3))
    window = Window.over((2, 7, 9), kernel, stride=(2, 1), padding=(1, 0))
    n = int(np.prod(window.target))
    return IntegerNetwork(
        n_inputs=126,
        layers=(layer(window.target, 150, 900), layer((12,), 200, bias=3), layer((4,), 1 << 16)),
        connections=(
            Connection(name="a", source=INPUT, target=0, weight=kernel, window=window),
            Connection(name="b", source=0, target=1, weight=rng.integers(-20, 30, (12, n))),
            Connection(name="c", source=1, target=2, weight=rng.integers(-20, 30, (4, 12))),
        ),
    )


def spikes() -> Spikes:
    grid = np.random.default_rng(1).random((2, 60, 126)) < 0.1
    return Spikes.from_dense(grid.astype(int), 1.0)


def test_a_compiled_graph_is_its_file(tmp_path: Path) -> None:
    write_net(tmp_path / "a.net", network())
    graph = NetxFormat().read(tmp_path / "a.net")
    assert [f for f in Loihi2().check(graph) if f.level == "error"] == []
    program = Loihi2().compile(graph)
    found = program.run(spikes(), record=["layer1", "layer2", "layer2:v"])
    file = read_net(tmp_path / "a.net").network
    outcomes = simulate(
        tables(file), events(spikes(), 1.0), found.ticks, keep=[0, 1], traces=[(1, "v"), (2, "v")]
    )
    for b, outcome in enumerate(outcomes):
        np.testing.assert_array_equal(64 * found.traces["layer2:v"][b], outcome.traces[1, "v"])
        np.testing.assert_array_equal(64 * found.output[b], outcome.traces[2, "v"])
    for k, name in enumerate(("layer1", "layer2")):
        assert found.counts[name]["spikes"].tolist() == [int(o.counts[k, 0]) for o in outcomes]
        assert found.counts[name]["spikes"].min() > 0
    assert program.cost(found).energy.value > 0
    assert {core.node for core in program.placement.cores} == {"layer1", "layer2", "layer3"}


def test_the_reference_agrees_on_the_same_graph(tmp_path: Path) -> None:
    """Truncation aside: the spike counts of the float reference differ by a few per cent at most."""
    write_net(tmp_path / "a.net", network())
    graph = NetxFormat().read(tmp_path / "a.net")
    ours = Loihi2().compile(graph).run(spikes())
    theirs = Reference().compile(graph).run(spikes())
    for name in ("layer1", "layer2"):
        a, b = ours.counts[name]["spikes"], theirs.counts[name]["spikes"]
        np.testing.assert_allclose(a, b, rtol=0.05)


def test_passes_make_a_trained_convolution_legal(tmp_path: Path) -> None:
    """Float weights and time constants: quantised by the target's passes, compiled, written as `.net`."""
    write_net(tmp_path / "a.net", network())
    graph = NetxFormat().read(tmp_path / "a.net")
    rng = np.random.default_rng(4)
    for node in graph.nodes.values():
        if hasattr(node, "weight"):
            node.weight = (node.weight * 0.013 + rng.normal(0, 0.02, node.weight.shape)).astype(np.float32)
            node.metadata.clear()
        for field in ("v_threshold", "v_leak"):
            if hasattr(node, field):
                setattr(
                    node, field, getattr(node, field) * np.float32(0.013 if field == "v_threshold" else 0)
                )
    legal = Pipeline(Loihi2().passes(graph))(graph)
    program = Loihi2().compile(legal)
    assert program.run(spikes()).counts["layer2"]["spikes"].min() > 0
    NetxFormat().write(tmp_path / "b.net", legal)
    integers = read_net(tmp_path / "b.net").network
    for c in program.lowered.network.connections:
        (d,) = (d for d in integers.connections if (c.source, c.target) == (d.source, d.target))
        np.testing.assert_array_equal(c.weight, d.weight)


def branching(build: SimpleNamespace, delay: int = 0, **fields: object) -> nir.NIRGraph:
    """Two convolutions in a row and around each other into a recurrent layer; int8 weights, scale 1."""
    rng = np.random.default_rng(7)

    def ints(*shape: int) -> tuple[np.ndarray, dict[str, object]]:
        q = rng.integers(-30, 60, shape).astype(np.int8)
        found = Quantization(q=q, scale=np.ones(1, np.float32))
        return found.weight(), {KEY: found.as_metadata()}

    def conv(shape: tuple[int, int], kernel: tuple[int, ...], **more: object) -> nir.Conv2d:
        weight, metadata = ints(*kernel)
        options = {"stride": 1, "padding": 0, "dilation": 1, "groups": 1, **more}
        return nir.Conv2d(input_shape=shape, weight=weight, bias=np.arange(kernel[0], dtype=np.float32),
                          metadata=metadata, **options)  # type: ignore[arg-type]  # fmt: skip

    def linear(*shape: int) -> nir.Linear:
        weight, metadata = ints(*shape)
        return nir.Linear(weight=weight, metadata=metadata)

    def lif(shape: tuple[int, ...], threshold: float) -> nir.LIF:
        full = np.full(shape, 1.0, np.float32)
        return nir.LIF(tau=8e-3 * full, r=8 * full, v_leak=0 * full, v_threshold=threshold * full,
                       v_reset=0 * full)  # fmt: skip

    nodes: dict[str, nir.NIRNode] = {
        "input": nir.Input(np.array([2, 5, 6])),
        "k1": conv((5, 6), (3, 2, 3, 3), padding=(1, 1)),
        "one": lif((3, 5, 6), 150),
        "k2": conv((5, 6), (4, 3, 3, 2), stride=(2, 1), padding=(1, 0)),
        "two": lif((4, 3, 5), 250),
        "flat1": nir.Flatten({"input": np.array([3, 5, 6])}, start_dim=0),
        "flat2": nir.Flatten({"input": np.array([4, 3, 5])}, start_dim=0),
        "w1": linear(10, 90),
        "w2": linear(10, 60),
        "three": lif((10,), 900),
        "loop": linear(10, 10),
        "out": linear(3, 10),
        "readout": lif((3,), 400),
        "output": nir.Output(np.array([3])),
    }
    edges = [("input", "k1"), ("k1", "one"), ("k2", "two"), ("one", "flat1"), ("flat1", "w1"),
             ("two", "flat2"), ("flat2", "w2"), ("w1", "three"), ("w2", "three"), ("three", "loop"),
             ("loop", "three"), ("three", "out"), ("out", "readout"), ("readout", "output")]  # fmt: skip
    if delay:
        nodes["late"] = nir.Delay(np.full((3, 5, 6), delay * build.dt))
        edges += [("one", "late"), ("late", "k2")]
    else:
        edges.append(("one", "k2"))
    return with_semantics(make(nodes, edges), build.semantics(decay="euler", **fields))


def as_matrices(graph: nir.NIRGraph) -> nir.NIRGraph:
    """The graph with every convolution written out as the matrix that it is."""
    changed: dict[str, nir.NIRNode] = {}
    nodes = dict(graph.nodes)
    edges = [tuple(edge) for edge in graph.edges]
    for name, shape in (("k1", (2, 5, 6)), ("k2", (3, 5, 6))):
        node = graph.nodes[name]
        op = operator(node, name, shape)
        q = Quantization(q=np.asarray(op.matrix, np.int8), scale=np.ones(1, np.float32))
        changed[name] = nir.Affine(weight=q.weight(), bias=op.bias, metadata={KEY: q.as_metadata()})
    nodes |= changed
    nodes["input"] = nir.Input(np.array([60]))
    for name in ("one", "two"):
        node = nodes[name]
        fields = {f: np.asarray(getattr(node, f)).reshape(-1) for f in ("tau", "r", "v_leak", "v_threshold",
                                                                       "v_reset")}  # fmt: skip
        nodes[name] = nir.LIF(**fields)
    if "late" in nodes:
        nodes["late"] = nir.Delay(np.asarray(nodes["late"].delay).reshape(-1))
    for flat in ("flat1", "flat2"):
        del nodes[flat]
    edges = [e for e in edges if not e[0].startswith("flat") and not e[1].startswith("flat")]
    return make(nodes, [*edges, ("one", "w1"), ("two", "w2")], graph.metadata)


@pytest.mark.parametrize("feedforward_delay", [0, 1])
@pytest.mark.parametrize("delay", [0, 3, 62])
def test_a_convolution_is_the_matrix_that_it_stands_for(
    build: SimpleNamespace, delay: int, feedforward_delay: int
) -> None:
    """Anywhere in a graph: in a row, beside each other, delayed, in front of a recurrent layer."""
    graph = branching(build, delay, feedforward_delay=feedforward_delay)
    data = build.random_spikes(n_in=60, steps=150, rate=0.15)
    names = ["one", "two", "three", "readout"]
    first, second = (
        Loihi2().compile(g).run(data, record=[*names, "three:v"]) for g in (graph, as_matrices(graph))
    )
    for name in names:
        assert first.lag[name] == second.lag[name]
        a, b = (found.spikes[name].to_dense(build.dt) for found in (first, second))
        np.testing.assert_array_equal(a, b)
        assert first.counts[name]["synops"].tolist() == second.counts[name]["synops"].tolist()
    assert first.counts["three"]["spikes"].min() > 20
    np.testing.assert_array_equal(first.traces["three:v"], second.traces["three:v"])


def test_paths_through_convolutions_are_evened_out(build: SimpleNamespace) -> None:
    """Moved to zero feed-forward delay, most spikes are the float reference's, though one path is longer."""
    graph = branching(build)
    data = build.random_spikes(n_in=60, steps=150, rate=0.15)
    names = ["one", "two", "three"]
    ours, theirs = (t.compile(graph).run(data, record=names) for t in (Loihi2(), Reference()))
    assert ours.lag == {"input": 0, "one": 1, "two": 2, "three": 3, "readout": 4, "output": 4}
    for name, least in (("one", 0.9), ("two", 0.9), ("three", 0.6)):  # a recurrent layer moves on by itself
        assert agreement(name, theirs.aligned(name), ours.aligned(name), build.dt).share > least


@pytest.mark.parametrize("feedforward_delay", [0, 1])
def test_every_layer_is_held_against_the_reference_alone(
    build: SimpleNamespace, feedforward_delay: int
) -> None:
    """A convolution, a layer behind a Flatten, two paths and a loop into one: each by itself."""
    graph = branching(build, feedforward_delay=feedforward_delay)
    data = Dataset(build.random_spikes(n_in=60, steps=100, rate=0.15))
    for layer in diagnose(graph, Reference(), data):
        assert layer.alone is not None and layer.alone > 0.999, layer.node
    for layer in diagnose(graph, Loihi2(), data):
        assert layer.alone is not None and layer.alone > 0.8, layer.node


@pytest.mark.parametrize(("delay", "spread"), [(63, 0), (3, 1)])
def test_delays_that_a_convolution_cannot_have(build: SimpleNamespace, delay: int, spread: int) -> None:
    graph = branching(build, delay)
    graph.nodes["late"].delay[0] += spread * build.dt
    assert [f.code for f in Loihi2().check(graph) if f.level == "error"] == ["NB208"]
    with pytest.raises(Unsupported):
        Loihi2().compile(graph)


def graded(values: np.ndarray) -> Spikes:
    """One sample of graded spikes from whole numbers (steps, units) of either sign, a step a second."""
    step, unit = np.nonzero(values)
    return Spikes.from_events(step.astype(float), unit, np.zeros(len(step), int), n_samples=1,
                              n_units=values.shape[1], duration=float(len(values)),
                              values=values[step, unit].astype(np.int32))  # fmt: skip


def driven(decay_u: int = 4096) -> IntegerNetwork:
    one = network()
    return IntegerNetwork(
        n_inputs=0,
        layers=(layer((2, 7, 9), 50, decay_u), *one.layers),
        connections=tuple(
            Connection(
                name=c.name, source=c.source + 1, target=c.target + 1, weight=c.weight, window=c.window
            )
            for c in one.connections
        ),
    )


@pytest.mark.parametrize("decay_u", [4096, 742])
def test_an_input_layer_of_neurons_takes_values_as_biases(tmp_path: Path, decay_u: int) -> None:
    """A constant image is the file's own input bias; values reach the neurons a step after they are sent."""
    write_net(tmp_path / "a.net", driven(decay_u))
    graph = NetxFormat().read(tmp_path / "a.net")
    assert Loihi2().passes(graph) == ()
    mantissas = np.random.default_rng(5).integers(-5, 20, 126)
    data = graded(np.tile(mantissas, (79, 1)))
    program = Loihi2(reset_interval=16, reset_offset=3).compile(graph)
    found = program.run(data, record=["layer1", "layer2", "layer1:v"])
    # constant biases from the step on in which the first reset ends what was before
    file = read_net(tmp_path / "a.net", reset_interval=16, reset_offset=3, input_bias=mantissas).network
    nothing = Spikes.from_events([], [], [], n_samples=1, n_units=1, duration=1.0)
    (outcome,) = simulate(tables(file), events(nothing, 1.0), found.ticks, keep=[0, 1], traces=[(0, "v")])
    np.testing.assert_array_equal(64 * found.traces["layer1:v"][0, 16:79], outcome.traces[0, "v"][16:79])
    late = np.flatnonzero((outcome.step >= 40) & (outcome.step < 79))
    spikes = sum(int(((s.times >= 40) & (s.times < 79)).sum()) for s in found.spikes.values())
    assert spikes == len(late) > 100
    assert found.counts["layer1"]["synops"].sum() == 0
    NetxFormat().write(tmp_path / "b.net", graph)
    again = read_net(tmp_path / "b.net").network
    for a, b in zip(driven(decay_u).layers, again.layers, strict=True):
        assert (a.decay_u[0], a.decay_v[0], a.threshold[0]) == (b.decay_u[0], b.decay_v[0], b.threshold[0])


def test_a_bias_has_thirteen_bits(tmp_path: Path) -> None:
    write_net(tmp_path / "a.net", driven())
    program = Loihi2().compile(NetxFormat().read(tmp_path / "a.net"))
    values = np.zeros((3, 126), np.int64)
    for value in (4095, -4095):
        values[1, 7] = value
        program.run(graded(values))
    values[1, 7] = 4096
    with pytest.raises(BadInput, match="send 4096 on one channel"):
        program.run(graded(values))


def test_a_bias_does_not_pass_through_a_synapse(build: SimpleNamespace) -> None:
    """An Input that feeds current-based neurons directly would need one; the reference agrees elsewhere."""
    nodes = {"input": nir.Input(np.array([4])), "n": build.cubalif(4), "output": nir.Output(np.array([4]))}
    graph = with_semantics(make(nodes, [("input", "n"), ("n", "output")]), build.semantics())
    with pytest.raises(Unsupported, match="bypass the synapse") as raised:
        Loihi2().compile(graph)
    assert raised.value.code == "NB202"


@pytest.mark.parametrize(
    ("weight", "legal"),
    [
        ([[254, -256]], True),
        ([[129, -2]], False),
        ([[255, 3]], True),
        ([[256, 3]], False),
        ([[-255, 0]], True),
    ],
)
def test_integers_wider_than_int8_are_taken_as_they_are(
    build: SimpleNamespace, weight: list[list[int]], legal: bool
) -> None:
    full = np.ones(1, np.float32)
    nodes = {
        "input": nir.Input(np.array([2])),
        "w": nir.Linear(np.array(weight, np.float32), metadata={"nirbridge_netx": {"weights": "integers"}}),
        "n": nir.IF(r=full, v_threshold=300 * full, v_reset=0 * full),
        "output": nir.Output(np.array([1])),
    }
    graph = with_semantics(make(nodes, [("input", "w"), ("w", "n"), ("n", "output")]), build.semantics())
    errors = [f.code for f in Loihi2().check(graph) if f.level == "error"]
    assert errors == ([] if legal else ["NB212"])
    if legal:
        (c,) = Loihi2().compile(graph).lowered.network.connections
        assert c.weight.tolist() == weight
