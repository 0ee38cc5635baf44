"""Small valid files of every kind that nirbridge reads: what the mutations start from."""

from __future__ import annotations

import sys
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import h5py
import nir
import numpy as np

from nirbridge import plugins
from nirbridge.graph import GraphMetadata, make, write_metadata
from nirbridge.io import write_dataset, write_graph
from nirbridge.io.yin_yang import yin_yang

TOML = """\
[graph]
dt = 1e-3
hidden = [20, 10]
recurrent = true
input_mean = 1.5

[data]
train = "yin-yang:train:50"
valid = "yin-yang:validation:10"
duration = 0.04
shift = 2

[trainer]
name = "eventprop"
loss = "xent-mean"
epochs = 2
batch = 8
lr = 5e-3

[run]
seed = 1
"""


def endings() -> list[str]:
    """The endings that can be read here; ``.onnx`` only where its reader is installed."""
    graphs = [plugin.name for plugin in plugins.available("formats") if plugin.name != ".txt"]
    known = [ending for ending in (".nir", ".net", ".onnx") if ending in graphs]
    return [*known, ".h5", ".h5.gz", ".npz", ".toml"]


def write_seeds(folder: Path) -> dict[str, list[Path]]:
    """Valid files by ending."""
    makers: dict[str, list[Callable[[Path], object]]] = {
        ".nir": [_every_node, _loop, _nested, _quantised, _by_plain_nir, _recording],
        ".net": [_netx],
        ".onnx": [_onnx],
        ".h5": [_dataset],
        ".h5.gz": [_dataset],
        ".npz": [_dataset],
        ".toml": [lambda path: path.write_text(TOML)],
    }
    seeds: dict[str, list[Path]] = {}
    for ending in endings():
        for at, maker in enumerate(makers[ending]):
            path = folder / f"seed{at}{ending}"
            maker(path)
            seeds.setdefault(ending, []).append(path)
    return seeds


def _lif(*shape: int) -> nir.LIF:
    one = np.ones(shape, np.float32)
    return nir.LIF(one * 0.02, one, one * 0, one, one * 0)


def _ports(n_in: tuple[int, ...], n_out: tuple[int, ...]) -> dict[str, nir.NIRNode]:
    return {"input": nir.Input(np.array(n_in)), "output": nir.Output(np.array(n_out))}


def _chain(nodes: dict[str, nir.NIRNode]) -> list[tuple[str, str]]:
    names = ["input", *(name for name in nodes if name not in ("input", "output")), "output"]
    return list(pairwise(names))


def _dt(graph: nir.NIRGraph) -> nir.NIRGraph:
    return write_metadata(graph, GraphMetadata(dt=1e-3, classes=["a", "b"], readout="count"))


def _every_node(path: Path) -> None:
    rng = np.random.default_rng(0)
    four = np.ones(4, np.float32)
    nodes: dict[str, nir.NIRNode] = {
        **_ports((2, 6, 6), (4,)),
        "conv": nir.Conv2d((6, 6), rng.normal(size=(4, 1, 3, 3)), 1, (1, 1), 1, 2, np.zeros(4)),
        "fire": _lif(4, 6, 6),
        "pool": nir.AvgPool2d(np.array([2, 2]), np.array([2, 2]), np.array([0, 0])),
        "sum": nir.SumPool2d(np.array([3, 3]), np.array([1, 1]), np.array([0, 0])),
        "flat": nir.Flatten({"input": np.array([4, 1, 1])}, 0, -1),
        "affine": nir.Affine(rng.normal(size=(4, 4)), four),
        "cuba": nir.CubaLIF(four * 0.02, four * 0.005, four, four * 0, four, four * 0, four),
        "scale": nir.Scale(four),
        "step": nir.Threshold(four),
        "if": nir.IF(four, four, four * 0),
        "i": nir.I(four),
        "li": nir.LI(four * 0.02, four, four * 0),
        "cubali": nir.CubaLI(four * 0.02, four * 0.005, four, four * 0, four),
    }
    write_graph(path, _dt(make(nodes, _chain(nodes))))


def _loop(path: Path) -> None:
    rng = np.random.default_rng(1)
    nodes: dict[str, nir.NIRNode] = {
        **_ports((3,), (4,)),
        "w": nir.Linear(rng.normal(size=(4, 3)).astype(np.float32)),
        "h": _lif(4),
        "late": nir.Delay(np.full(4, 0.002)),
        "back": nir.Linear(rng.normal(size=(4, 4)).astype(np.float32)),
    }
    edges = [("input", "w"), ("w", "h"), ("h", "late"), ("late", "back"), ("back", "h"), ("h", "output")]
    write_graph(path, _dt(make(nodes, edges)))


def _nested(path: Path) -> None:
    inner = {**_ports((3,), (3,)), "h": _lif(3)}
    nodes: dict[str, nir.NIRNode] = {
        **_ports((2,), (3,)),
        "w": nir.Linear(np.ones((3, 2)), metadata={"note": "text", "numbers": [1, 2]}),
        "block": make(inner, _chain(inner), {"deep": {"er": {"still": 1.5}}}),
    }
    write_graph(path, make(nodes, _chain(nodes)))


def _quantised(path: Path) -> None:
    q = np.array([[-3, 127], [1, 0]], np.int8)
    scale = np.array([0.0078125, 0.5], np.float32)
    integers = {"q": q, "scale": scale, "zero_point": 0, "bits": 8, "axis": 0}
    weight = (q * scale.astype(np.float64)[:, None]).astype(np.float32)
    nodes: dict[str, nir.NIRNode] = {
        **_ports((2,), (2,)),
        "w": nir.Linear(weight, metadata={"nirbridge_q": integers}),
        "h": _lif(2),
    }
    write_graph(path, _dt(make(nodes, _chain(nodes))))


def _by_plain_nir(path: Path) -> None:
    nodes = {**_ports((40,), (40,)), "w": nir.Linear(np.eye(40)), "h": _lif(40)}
    nir.write(path, nir.NIRGraph(nodes, _chain(nodes)))


def _recording(path: Path) -> None:
    idx, time = np.array([[0, 1, -1], [2, -1, -1]]), np.array([[0.1, 0.2, np.inf], [0.3, np.inf, np.inf]])
    value = np.array([[3, -4, 0], [5, 0, 0]])
    observables = {
        "spikes": nir.EventData(idx, time, 3, 0.5),
        "graded": nir.ValuedEventData(idx=idx, time=time, n_neurons=3, t_max=0.5, value=value),
        "grid": nir.TimeGriddedData(np.eye(5, 3, dtype=bool)[None].repeat(2, 0), 0.1),
    }
    nir.write_data(path, nir.NIRGraphData({name: nir.NIRNodeData({"spikes": item})
                                           for name, item in observables.items()}))  # fmt: skip


def _netx(path: Path) -> None:
    rng = np.random.default_rng(2)
    neuron = {"type": "CUBA", "iDecay": 742, "vDecay": 200, "vThMant": 300, "refDelay": 1, "gradedSpike": 0}

    def weight(*shape: int) -> np.ndarray:
        return rng.integers(-50, 50, shape).astype(np.float32)

    conv = {"kernelSize": [3, 3], "stride": [1, 1], "padding": [1, 1], "dilation": [1, 1], "groups": 1,
            "inChannels": 2, "outChannels": 3, "weight": weight(3, 2, 3, 3)}  # fmt: skip
    dense = {"weight": weight(5, 108), "bias": np.arange(5.0), "delay": rng.integers(0, 9, (5, 108))}
    layers = [
        ("input", [2, 6, 6], {}),
        ("conv", [3, 6, 6], {**conv, "neuron": neuron}),
        ("flatten", [108], {}),
        ("dense", [5], {**dense, "neuron": neuron}),
        ("dense_rec", [4], {"weight": weight(4, 5), "weight_rec": weight(4, 4), "neuron": neuron}),
    ]
    with h5py.File(path, "w") as file:
        for at, (kind, shape, fields) in enumerate(layers):
            group = file.create_group(f"layer/{at}")
            group["type"], group["shape"] = np.array([kind.encode()], "S10"), shape
            for key, value in fields.items():
                for inner, item in value.items() if isinstance(value, dict) else [("", value)]:
                    group[f"{key}/{inner}".rstrip("/")] = item


def _dataset(path: Path) -> None:
    write_dataset(path, yin_yang("train", 12))


def _onnx(path: Path) -> None:
    from onnx import TensorProto, helper, numpy_helper, save

    rng = np.random.default_rng(3)

    def constant(name: str, *shape: int):
        return numpy_helper.from_array(rng.normal(size=shape).astype(np.float32), name)

    nodes = [
        helper.make_node("Conv", ["x", "k", "c"], ["a"], kernel_shape=[3, 3], pads=[1, 1, 1, 1]),
        helper.make_node("BatchNormalization", ["a", "g", "b", "m", "s"], ["n"]),
        helper.make_node("Relu", ["n"], ["r"]),
        helper.make_node("AveragePool", ["r"], ["p"], kernel_shape=[2, 2], strides=[2, 2]),
        helper.make_node("Flatten", ["p"], ["f"]),
        helper.make_node("Gemm", ["f", "w", "d"], ["y"], transB=1),
    ]
    sizes = {"k": (2, 1, 3, 3), "c": (2,), "g": (2,), "b": (2,), "m": (2,), "w": (3, 8), "d": (3,)}
    weights = [constant(name, *shape) for name, shape in sizes.items()]
    weights.append(numpy_helper.from_array(np.ones(2, np.float32), "s"))
    graph = helper.make_graph(
        nodes,
        "ann",
        [helper.make_tensor_value_info("x", TensorProto.FLOAT, ["N", 1, 4, 4])],
        [helper.make_tensor_value_info("y", TensorProto.FLOAT, ["N", 3])],
        weights,
    )
    save(helper.make_model(graph, opset_imports=[helper.make_opsetid("", 17)]), path)


if __name__ == "__main__":
    write_seeds(Path(sys.argv[1]))
