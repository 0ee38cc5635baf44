"""Writing NetX, and `.net` as a file format: every integer survives, both ways."""

from __future__ import annotations

import os
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import h5py
import nir
import numpy as np
import pytest

from nirbridge.cli import main
from nirbridge.errors import BadInput, NirbridgeError, Unsupported
from nirbridge.graph import digest, read_metadata, replace_nodes
from nirbridge.io import read_graph, write_graph
from nirbridge.passes import Pipeline
from nirbridge.semantics import semantics_of, with_dt
from nirbridge_loihi2 import Loihi2, NetxFormat
from nirbridge_loihi2.convolution import Window
from nirbridge_loihi2.layers import INPUT, Connection, IntegerNetwork, Layer, filled
from nirbridge_loihi2.netx import read_net
from nirbridge_loihi2.netx_lower import to_network
from nirbridge_loihi2.netx_write import write_net

ROOT = Path(os.environ.get("NIRBRIDGE_GOLDEN") or Path(__file__).parents[2].parent / "shared" / "golden")
FILES = sorted((ROOT / "loihi2").glob("*.net"))


def layer(name: str, shape: tuple[int, ...], **fields: Any) -> Layer:
    n = int(np.prod(shape))
    values: dict[str, Any] = {
        "decay_u": filled(742, n), "decay_v": filled(200, n),
        "threshold": filled(300, n), "bias": filled(0, n),
    }  # fmt: skip
    return Layer(name=name, shape=shape, **(values | fields))


def random_network(seed: int = 0) -> IntegerNetwork:
    """Input (2, 6, 7) → conv, grouped → flatten → dense_rec with delays → dense read-out."""
    rng = np.random.default_rng(seed)
    kernel = rng.integers(-128, 128, (4, 1, 3, 2))
    window = Window.over((2, 6, 7), kernel, stride=(2, 1), padding=(1, 0), groups=2)
    area = int(np.prod(window.target[1:]))
    bias = np.repeat(rng.integers(-50, 50, 4), area) << 6
    loop = rng.integers(-128, 128, (5, 5))
    return IntegerNetwork(
        n_inputs=84,
        layers=(
            layer("1", window.target, bias=bias, decay_u=filled(4096, 4 * area)),
            layer("3", (5,), bias=rng.integers(-9, 9, 5) << 6, decay_v=filled(0, 5)),
            layer("4", (3,), threshold=filled(1 << 16, 3)),
        ),
        connections=(
            Connection(name="1.weight", source=INPUT, target=0, weight=kernel, window=window),
            Connection(name="3.weight", source=0, target=1, weight=rng.integers(-128, 128, (5, 4 * area)),
                       delay=rng.integers(0, 63, (5, 4 * area))),
            Connection(name="3.weight_rec", source=1, target=1, weight=loop,
                       delay=rng.integers(0, 63, (5, 5))),
            Connection(name="4.weight", source=1, target=2, weight=rng.integers(-128, 128, (3, 5))),
        ),
    )  # fmt: skip


def assert_same_integers(a: IntegerNetwork, b: IntegerNetwork, *, delays_of_zeros: bool = True) -> None:
    assert a.n_inputs == b.n_inputs
    assert len(a.layers) == len(b.layers)
    for x, y in zip(a.layers, b.layers, strict=True):
        assert (x.shape, x.kind) == (y.shape, y.kind)
        for field in ("decay_u", "decay_v", "threshold", "bias"):
            np.testing.assert_array_equal(getattr(x, field), getattr(y, field), err_msg=field)
    for c in a.connections:
        (d,) = (d for d in b.connections if (c.source, c.target) == (d.source, d.target))
        np.testing.assert_array_equal(c.weight, d.weight)
        assert c.window == d.window
        here = c.weight != 0 if not delays_of_zeros else np.ones(c.weight.shape, bool)
        steps = [np.zeros(c.weight.shape, int) if m.delay is None else m.delay for m in (c, d)]
        np.testing.assert_array_equal(steps[0][here], steps[1][here])


def test_every_integer_survives_net_to_net(tmp_path: Path) -> None:
    for seed in range(5):
        network = random_network(seed)
        write_net(tmp_path / "a.net", network)
        found = read_net(tmp_path / "a.net")
        assert found.findings == ()
        assert_same_integers(network, found.network)


def test_layout_of_a_written_file(tmp_path: Path) -> None:
    write_net(tmp_path / "a.net", random_network())
    with h5py.File(tmp_path / "a.net") as file:
        kinds = [file[f"layer/{k}/type"][0] for k in range(5)]
        assert kinds == [b"input", b"conv", b"flatten", b"dense_rec", b"dense"]
        assert file["layer/1/type"].dtype == np.dtype("S10")
        assert file["layer/1/weight"].dtype == np.float32
        assert file["layer/3/delay_rec"].shape == (5, 5)
        for key in ("iDecay", "vDecay", "vThMant", "refDelay"):
            assert file[f"layer/3/neuron/{key}"].shape == ()
        assert int(file["layer/4/neuron/vThMant"][()]) == 1 << 16


def test_other_neuron_models_survive(tmp_path: Path) -> None:
    rng = np.random.default_rng(3)
    write_net(tmp_path / "sdnn.net", IntegerNetwork(
        n_inputs=4,
        layers=(layer("0", (4,), kind="delta", decay_u=filled(0, 4), decay_v=filled(0, 4)),
                layer("1", (3,), kind="sigma-delta", decay_u=filled(0, 3), decay_v=filled(0, 3),
                      bias=np.array([1, -2, 3]) << 12)),
        connections=(Connection(name="1.weight", source=0, target=1, weight=rng.integers(-9, 9, (3, 4)),
                                graded=True),),
    ))  # fmt: skip
    sdnn = read_net(tmp_path / "sdnn.net").network
    assert [item.kind for item in sdnn.layers] == ["delta", "sigma-delta"]
    assert sdnn.layers[1].bias.tolist() == [4096, -8192, 12288]
    assert sdnn.connections[0].graded
    write_net(tmp_path / "rf.net", IntegerNetwork(
        n_inputs=4,
        layers=(layer("1", (3,), kind="rf", decay_v=filled(-100, 3)),),
        connections=(Connection(name="1.weight", source=INPUT, target=0,
                                weight=rng.integers(-9, 9, (6, 4))),),
    ))  # fmt: skip
    rf = read_net(tmp_path / "rf.net").network
    assert (rf.layers[0].kind, int(rf.layers[0].decay_v[0]), rf.connections[0].weight.shape) == (
        "rf",
        -100,
        (6, 4),
    )
    with pytest.raises(Unsupported, match="NIR has no node"):
        NetxFormat().read(tmp_path / "rf.net")


@pytest.mark.parametrize("path", FILES, ids=[path.stem for path in FILES])
def test_net_to_nir_to_net_keeps_every_integer(path: Path, tmp_path: Path) -> None:
    before = read_net(path).network
    write_graph(tmp_path / "a.nir", NetxFormat().read(path))
    NetxFormat().write(tmp_path / "b.net", read_graph(tmp_path / "a.nir"))
    after = read_net(tmp_path / "b.net").network
    assert_same_integers(before, after, delays_of_zeros=False)


def test_nir_to_net_to_nir_keeps_every_integer(build: SimpleNamespace, tmp_path: Path) -> None:
    graph = build.recurrent()
    graph = Pipeline(Loihi2().passes(graph))(graph)
    integers = Loihi2().compile(graph).lowered.network
    NetxFormat().write(tmp_path / "a.net", graph)
    found = read_net(tmp_path / "a.net").network
    for c in integers.connections:
        (d,) = (d for d in found.connections if (c.source, c.target) == (d.source, d.target))
        np.testing.assert_array_equal(c.weight, d.weight)
    for x, y in zip(integers.layers, found.layers, strict=True):
        np.testing.assert_array_equal(x.decay_u, y.decay_u)
        np.testing.assert_array_equal(x.decay_v, y.decay_v)
        np.testing.assert_array_equal(x.threshold if x.spiking else filled(1 << 16, x.size), y.threshold)
    again = NetxFormat().read(tmp_path / "a.net")
    assert isinstance(again.nodes["layer2"], nir.CubaLI)
    NetxFormat().write(tmp_path / "b.net", again)
    assert digest(NetxFormat().read(tmp_path / "b.net")) == digest(again)


def test_spikes_of_the_graph_are_those_of_the_file(tmp_path: Path) -> None:
    """The graph of a file, compiled for loihi2, is the file's own integers again."""
    network = IntegerNetwork(
        n_inputs=4,
        layers=(layer("1", (5,)), layer("2", (3,), threshold=filled(1 << 16, 3))),
        connections=(
            Connection(name="w", source=INPUT, target=0, weight=np.arange(-10, 10).reshape(5, 4)),
            Connection(name="o", source=0, target=1, weight=np.arange(15).reshape(3, 5)),
        ),
    )
    write_net(tmp_path / "a.net", network)
    program = Loihi2().compile(NetxFormat().read(tmp_path / "a.net"))
    lowered = program.lowered.network
    assert_same_integers(
        IntegerNetwork(n_inputs=4, layers=lowered.layers[:1], connections=lowered.connections[:1]),
        IntegerNetwork(n_inputs=4, layers=network.layers[:1], connections=network.connections[:1]),
    )
    assert [item.spiking for item in lowered.layers] == [True, False]


def test_convert_both_ways(tmp_path: Path) -> None:
    network = random_network(7)
    write_net(tmp_path / "a.net", network)
    for source, goal in (("a.net", "b.nir"), ("b.nir", "c.net"), ("c.net", "d.nir")):
        assert main(["convert", str(tmp_path / source), str(tmp_path / goal)]) == 0
    assert_same_integers(network, read_net(tmp_path / "c.net").network, delays_of_zeros=False)
    assert digest(read_graph(tmp_path / "b.nir")) == digest(read_graph(tmp_path / "d.nir"))


def test_graphs_that_are_not_quantised_are_refused(build: SimpleNamespace) -> None:
    with pytest.raises(Unsupported, match=r"no integers of one scale.*\n.*--for loihi2") as raised:
        to_network(build.recurrent())
    assert raised.value.code == "NB212"


def refused(tmp_path: Path, network: IntegerNetwork) -> str:
    with pytest.raises(NirbridgeError) as raised:
        write_net(tmp_path / "no.net", network)
    assert not (tmp_path / "no.net").exists()
    return raised.value.code


def test_what_the_format_cannot_say_is_refused(tmp_path: Path) -> None:
    def net(w: Any, delay: Any = None, **fields: Any) -> IntegerNetwork:
        w = np.asarray(w)
        c = Connection(name="w", source=INPUT, target=0, weight=w, delay=delay)
        return IntegerNetwork(
            n_inputs=w.shape[1], layers=(layer("1", (len(w),), **fields),), connections=(c,)
        )

    good = np.ones((2, 3), int)
    assert refused(tmp_path, net(good, threshold=np.array([1, 2]))) == "NB206"
    assert refused(tmp_path, net(good, bias=np.array([64, 65]))) == "NB207"
    assert refused(tmp_path, net(good, delay=np.full((2, 3), 63))) == "NB208"
    assert refused(tmp_path, net([[256, 0]])) == "NB212"
    assert refused(tmp_path, net([[255, -1]])) == "NB212"
    one = net(good)
    two = IntegerNetwork(n_inputs=3, layers=one.layers, connections=(*one.connections, *one.connections))
    assert refused(tmp_path, two) == "NB202"


def test_a_format_refuses_files_that_no_chip_holds(tmp_path: Path) -> None:
    network = random_network()
    odd = np.array([[129, -3, 0, 1, 2]])
    c = Connection(name="w", source=INPUT, target=0, weight=odd)
    write_net(tmp_path / "odd.net", IntegerNetwork(n_inputs=5, layers=(layer("1", (1,)),), connections=(c,)))
    with pytest.raises(BadInput, match="must be even"):
        NetxFormat().read(tmp_path / "odd.net")
    write_net(tmp_path / "damaged.net", network)
    raw = (tmp_path / "damaged.net").read_bytes()
    (tmp_path / "damaged.net").write_bytes(raw[: len(raw) // 2])
    with pytest.raises(BadInput, match="NB001"):
        NetxFormat().read(tmp_path / "damaged.net")
    write_net(tmp_path / "typed.net", network)
    with h5py.File(tmp_path / "typed.net", "a") as file:
        del file["layer/3/neuron/iDecay"]
        file["layer/3/neuron/iDecay"] = "742"
    with pytest.raises(BadInput, match=r"NB127.*'iDecay' is a string"):
        NetxFormat().read(tmp_path / "typed.net")
    with h5py.File(tmp_path / "typed.net", "a") as file:
        del file["layer/3/neuron/iDecay"]
        file["layer/3/neuron/iDecay"] = 0.5
    with pytest.raises(BadInput, match="expected one integer"):
        NetxFormat().read(tmp_path / "typed.net")
    with h5py.File(tmp_path / "typed.net", "a") as file:
        file["layer/3/neuron/iDecay"][()] = 742.0
        file["layer/3/neuron/vThMant"][()] = (1 << 17) + 1
    with pytest.raises(Unsupported, match=r"NB212.*threshold of 0 to 2\^17"):
        NetxFormat().read(tmp_path / "typed.net")


def test_a_file_in_steps_takes_a_stated_dt_and_keeps_its_integers(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    write_net(path, random_network())
    graph = NetxFormat().read(path)
    metadata = read_metadata(graph)
    assert metadata is not None
    assert (metadata.dt, metadata.time_unit) == (1.0, 1.0)
    assert (metadata.model_extra or {})["in_steps"] is True
    stated = with_dt(graph, 1e-3, None)
    assert (semantics_of(stated).dt, semantics_of(stated).time_unit) == (1e-3, 1e-3)
    assert_same_integers(to_network(stated), to_network(graph))
    Loihi2().compile(stated)


def test_floats_beside_integers_are_refused_in_words_of_the_chip(tmp_path: Path) -> None:
    path = tmp_path / "a.net"
    write_net(path, random_network())
    graph = NetxFormat().read(path)
    broken = replace_nodes(graph, {"layer2_rec": nir.Linear(np.full((5, 5), 0.5, np.float32))})
    with pytest.raises(Unsupported, match="needs integer weights, got floats") as caught:
        Loihi2().compile(broken)
    assert "NetX" not in str(caught.value)


def test_what_is_ignored_is_a_warning(tmp_path, capsys):
    """A refractory time has no model here: the file is read, and reader and command say so."""
    import h5py

    from nirbridge.cli import main
    from nirbridge.errors import FindingWarning
    from nirbridge_loihi2 import NetxFormat

    path = tmp_path / "late.net"
    with h5py.File(path, "w") as file:
        file["layer/0/type"] = np.bytes_("input")
        file["layer/0/shape"] = np.array([3])
        file["layer/1/type"] = np.bytes_("dense")
        file["layer/1/shape"] = np.array([2])
        file["layer/1/weight"] = np.array([[1.0, 2, 3], [4, 5, 6]], dtype=np.float32)
        fields = {"type": np.bytes_("CUBA"), "iDecay": 742, "vDecay": 200, "vThMant": 64, "refDelay": 3}
        for name, value in fields.items():
            file[f"layer/1/neuron/{name}"] = value
    with pytest.warns(FindingWarning, match="refDelay is 3"):
        NetxFormat().read(path)
    assert main(["convert", str(path), str(tmp_path / "late.nir")]) == 0
    said = capsys.readouterr().err
    assert f"warning[NB205] {path}: layer " in said
    assert "refDelay is 3" in said
