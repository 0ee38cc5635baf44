"""Graphs with Conv2d: compiled as the chain of integer layers that their NetX file is."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pytest

from nirbridge.errors import Unsupported
from nirbridge.passes import Pipeline
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


def test_an_input_of_neurons_does_not_compile(tmp_path: Path) -> None:
    one = network()
    biased = IntegerNetwork(
        n_inputs=0,
        layers=(layer((2, 7, 9), 50), *one.layers),
        connections=tuple(
            Connection(
                name=c.name, source=c.source + 1, target=c.target + 1, weight=c.weight, window=c.window
            )
            for c in one.connections
        ),
    )
    write_net(tmp_path / "a.net", biased)
    graph = NetxFormat().read(tmp_path / "a.net")
    with pytest.raises(Unsupported, match="without weights") as raised:
        Loihi2().compile(graph)
    assert raised.value.code == "NB202"
