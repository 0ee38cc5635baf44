"""Reading NetX: the importer's rules and its mended defects, and files that must be refused."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest

from nirbridge.errors import BadInput, NirbridgeError, Unsupported
from nirbridge_loihi2.layers import INPUT
from nirbridge_loihi2.netx import read_net

CUBA = {"type": "CUBA", "iDecay": 742, "vDecay": 200, "vThMant": 300, "refDelay": 1, "gradedSpike": False}


def write(path: Path, *layers: dict[str, Any]) -> Path:
    with h5py.File(path, "w") as file:
        for at, layer in enumerate(layers):
            group = file.create_group(f"layer/{at}")
            for key, value in layer.items():
                if isinstance(value, dict):
                    for inner, item in value.items():
                        group[f"{key}/{inner}"] = item
                else:
                    group[key] = value
    return path


def dense(weight: Any, **fields: Any) -> dict[str, Any]:
    w = np.asarray(weight, dtype=np.float32)
    return {"type": np.array([b"dense"], "S10"), "shape": [len(w)], "weight": w, "neuron": CUBA, **fields}


def source(n: int) -> dict[str, Any]:
    return {"type": np.bytes_("input"), "shape": [n]}


def test_layers_and_import_rule(tmp_path: Path) -> None:
    w = np.array([[5.9, -3.2], [0, 127], [-128, 1]])
    path = write(tmp_path / "a.net", source(2), dense(w, bias=np.array([1.0, -2.0, 0.0])))
    net = read_net(path)
    (layer,), (connection,) = net.network.layers, net.network.connections
    assert connection.weight.tolist() == [[5, -3], [0, 127], [-128, 1]]
    assert (connection.source, connection.exponent, net.network.n_inputs) == (INPUT, 0, 2)
    assert layer.bias.tolist() == [64, -128, 0]
    assert (layer.weight_bits, int(layer.decay_u[0]), int(layer.threshold[0])) == (8, 742, 300)
    (cut,) = net.findings
    assert (cut.code, cut.level) == ("NB212", "warning") and "2 of 6 entries of 'weight'" in cut.message


def test_first_layer_may_carry_weights_and_empty_counts_as_absent(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", dense(np.ones((3, 4)), bias=h5py.Empty("f4"), delay=h5py.Empty("i4")))
    assert read_net(path).network.n_inputs == 4


def test_reset_offsets_count_built_layers(tmp_path: Path) -> None:
    one, two = dense(np.ones((3, 2))), dense(np.ones((2, 3)))
    path = write(tmp_path / "a.net", source(2), one, {"type": np.bytes_("flatten"), "shape": [3]}, two)
    layers = read_net(path, reset_interval=16, reset_offset=3).network.layers
    assert [(n.reset_interval, n.reset_offset) for n in layers] == [(16, 4), (16, 5)]


def test_recurrent_with_both_delays(tmp_path: Path) -> None:
    layer = dense(np.ones((3, 2)), weight_rec=-np.ones((3, 3)), delay=np.full((3, 2), 4), delay_rec=7)
    path = write(tmp_path / "a.net", source(2), {**layer, "type": np.bytes_("dense_rec")})
    forward, loop = read_net(path).network.connections
    assert (forward.max_delay, loop.max_delay) == (4, 7)
    assert loop.weight.tolist() == [[-1, -1, -1]] * 3


def test_one_delay_per_neuron_of_a_square_layer_warns(tmp_path: Path) -> None:
    path = write(tmp_path / "a.net", source(3), dense(np.ones((3, 3)), delay=np.array([1, 2, 3])))
    net = read_net(path)
    assert [f.code for f in net.findings] == ["NB208"]
    assert net.network.connections[0].delay is not None
    assert net.network.connections[0].delay[:, 0].tolist() == [1, 2, 3]


def test_no_neuron_group_warns(tmp_path: Path) -> None:
    layer = dense(np.ones((3, 3)))
    del layer["neuron"]
    net = read_net(write(tmp_path / "a.net", source(3), layer))
    assert [f.level for f in net.findings] == ["warning"]
    assert int(net.network.layers[0].threshold[0]) == 1 << 17


def test_odd_large_mixed_weights_and_minus_256_fail_the_check_only(tmp_path: Path) -> None:
    for weight in ([[129, -3]], [[-256, -1]]):
        net = read_net(write(tmp_path / "a.net", source(2), dense(weight)))
        assert [(f.code, f.level) for f in net.findings] == [("NB212", "error")]
        assert net.network.connections[0].weight.tolist() == weight


@pytest.mark.parametrize("weight", [[[256, 0]], [[-300, 4]], [[255, -1]], [[-257, 0]]])
def test_weights_that_the_importer_would_mangle_are_refused(tmp_path: Path, weight: Any) -> None:
    with pytest.raises(Unsupported, match="clip or zero") as raised:
        read_net(write(tmp_path / "a.net", source(2), dense(weight)))
    assert raised.value.code == "NB212"


@pytest.mark.parametrize("kind", ["convT", "pool", "average", "dense_comp"])
def test_other_layers_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Unsupported, match=f"type '{kind}'") as raised:
        read_net(write(tmp_path / "a.net", source(2), {**dense(np.ones((2, 2))), "type": np.bytes_(kind)}))
    assert raised.value.code == "NB201"


@pytest.mark.parametrize("kind", ["ALIF", ""])
def test_other_neurons_are_refused(tmp_path: Path, kind: str) -> None:
    with pytest.raises(Unsupported, match=f"neuron type '{kind}' is not known"):
        read_net(write(tmp_path / "a.net", source(2), dense(np.ones((2, 2)), neuron={**CUBA, "type": kind})))


def test_long_delays_are_refused(tmp_path: Path) -> None:
    with pytest.raises(Unsupported, match="NB208"):
        read_net(write(tmp_path / "a.net", source(2), dense(np.ones((2, 2)), delay=63)))


def test_shapes_that_do_not_agree(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="NB109"):
        read_net(write(tmp_path / "a.net", source(3), dense(np.ones((2, 2)))))
    with pytest.raises(BadInput, match="NB112"):
        read_net(write(tmp_path / "a.net", source(2), dense(np.ones((2, 2)), bias=np.ones(3))))


def refused(path: Path) -> str:
    with pytest.raises(NirbridgeError) as raised:
        read_net(path)
    return raised.value.code


def test_not_hdf5(tmp_path: Path) -> None:
    assert refused(tmp_path / "absent.net") == "NB001"
    (tmp_path / "text.net").write_text("no")
    assert refused(tmp_path / "text.net") == "NB001"
    with h5py.File(tmp_path / "empty.net", "w"):
        pass
    assert refused(tmp_path / "empty.net") == "NB013"


def test_links_and_outside_storage_are_refused(tmp_path: Path) -> None:
    write(tmp_path / "good.net", source(2), dense(np.ones((2, 2))))
    cases: dict[str, Any] = {
        "NB002": h5py.ExternalLink(str(tmp_path / "good.net"), "/layer/1/weight"),
        "NB003": h5py.SoftLink("/layer/0/shape"),
    }
    for code, link in cases.items():
        path = write(tmp_path / f"{code}.net", source(2), dense(np.ones((2, 2))))
        with h5py.File(path, "a") as file:
            del file["layer/1/weight"]
            file["layer/1/weight"] = link
        assert refused(path) == code
    raw = tmp_path / "raw.bin"
    raw.write_bytes(b"\0" * 64)
    path = write(tmp_path / "external.net", source(2), dense(np.ones((2, 2))))
    with h5py.File(path, "a") as file:
        del file["layer/1/weight"]
        file.create_dataset("layer/1/weight", (2, 2), "f4", external=[(str(raw), 0, 16)])
    assert refused(path) == "NB004"
    with h5py.File(path, "a") as file:
        del file["layer/1/weight"]
        layout = h5py.VirtualLayout((2, 2), "f4")
        layout[:] = h5py.VirtualSource(str(tmp_path / "good.net"), "layer/1/weight", (2, 2))
        file.create_virtual_dataset("layer/1/weight", layout)
    assert refused(path) == "NB005"


def test_cycles_bombs_and_odd_types_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "cycle.net", source(2), dense(np.ones((2, 2))))
    with h5py.File(path, "a") as file:
        file["layer/1/again"] = file["layer"]
    assert refused(path) == "NB006"
    path = write(tmp_path / "bomb.net", source(2), dense(np.ones((2, 2))))
    with h5py.File(path, "a") as file:
        file.create_dataset("layer/1/delay", (1 << 20, 1 << 12), "f8", chunks=(1024, 1024), fillvalue=1)
    assert refused(path) == "NB007"
    path = write(tmp_path / "refs.net", source(2), dense(np.ones((2, 2))))
    with h5py.File(path, "a") as file:
        file["layer/1/delay"] = np.array([file["layer"].ref], dtype=h5py.ref_dtype)
    assert refused(path) == "NB010"
