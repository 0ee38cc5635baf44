"""Hostile and broken `.onnx` files: each refused with its code, without a large allocation."""

from __future__ import annotations

import sys
import time
import tracemalloc
from collections.abc import Callable
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from onnx import TensorProto, helper, numpy_helper

from nirbridge.errors import BadInput, NirbridgeError
from nirbridge.io.onnx_in import OnnxLimits, read, read_ann

sys.path.insert(0, str(Path(__file__).parents[1] / "ann"))
from onnx_anns import model, perceptron

SMALL = OnnxLimits(max_bytes=1 << 20, max_fields=5000, max_depth=12, max_nodes=500)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "ann.onnx"


def valid() -> onnx.ModelProto:
    nodes, tensors, shape = perceptron(np.random.default_rng(0), (6, 5, 3))
    return model(nodes, tensors, shape)


def refused(path: Path, content: onnx.ModelProto | bytes, limits: OnnxLimits = SMALL) -> NirbridgeError:
    path.write_bytes(content if isinstance(content, bytes) else content.SerializeToString())
    tracemalloc.start()
    began = time.process_time()
    try:
        with pytest.raises(NirbridgeError) as caught:
            read_ann(path, limits=limits)
        assert tracemalloc.get_traced_memory()[1] < 64 << 20
    finally:
        tracemalloc.stop()
    assert time.process_time() - began < 60
    assert str(path) in caught.value.message
    assert caught.value.message.isprintable()
    return caught.value


def test_a_valid_file_is_read(path: Path) -> None:
    path.write_bytes(valid().SerializeToString())
    assert [layer.name for layer in read_ann(path, limits=SMALL).layers] == ["fc0", "relu0", "fc1"]


def test_a_graph_cannot_be_had_without_samples(path: Path) -> None:
    path.write_bytes(valid().SerializeToString())
    with pytest.raises(NirbridgeError, match="--calibration") as caught:
        read(path)
    assert caught.value.exit_code == 2


def test_missing_empty_and_folder(path: Path, tmp_path: Path) -> None:
    for place in (path, tmp_path):
        with pytest.raises(BadInput) as caught:
            read_ann(place)
        assert caught.value.code == "NB001"
    assert refused(path, b"").code == "NB001"


@pytest.mark.parametrize(
    "content", [b"not onnx", b"\x89HDF\r\n\x1a\n", b"\xff" * 40, b"\x00\x00", b"\x3a\xff"]
)
def test_not_an_onnx_file(path: Path, content: bytes) -> None:
    assert refused(path, content).code == "NB001"


@pytest.mark.parametrize("share", [0.2, 0.5, 0.9, 0.99])
def test_a_truncated_file(path: Path, share: float) -> None:
    content = valid().SerializeToString()
    assert refused(path, content[: int(len(content) * share)]).code in ("NB001", "NB013", "NB014")


def test_flipped_bytes_give_a_result_or_an_error_of_ours(path: Path) -> None:
    content = valid().SerializeToString()
    rng = np.random.default_rng(3)
    codes = set()
    for _ in range(1500):
        broken = bytearray(content)
        for at in rng.integers(0, len(content), rng.integers(1, 4)):
            broken[at] = rng.integers(0, 256)
        path.write_bytes(bytes(broken))
        try:
            read_ann(path, limits=SMALL)
        except NirbridgeError as error:
            codes.add(error.code)
    assert {"NB001", "NB012", "NB014", "NB201"} <= codes


def change(edit: Callable[[Any], object]) -> onnx.ModelProto:
    made = valid()
    edit(made.graph)
    return made


def weight(graph: Any) -> Any:
    return graph.initializer[0]


def external(graph: Any) -> None:
    weight(graph).data_location = TensorProto.EXTERNAL
    weight(graph).external_data.add(key="location", value="/etc/hostname")
    weight(graph).ClearField("raw_data")


def huge(graph: Any) -> None:
    del weight(graph).dims[:]
    weight(graph).dims.extend([1 << 40, 1 << 20])


def negative(graph: Any) -> None:
    del weight(graph).dims[:]
    weight(graph).dims.extend([-5, -6])


def many_axes(graph: Any) -> None:
    del weight(graph).dims[:]
    weight(graph).dims.extend([1] * 100)


def empty_but_huge(graph: Any) -> None:
    del weight(graph).dims[:]
    weight(graph).dims.extend([0, 1 << 62, 1 << 62])
    weight(graph).ClearField("raw_data")


def sparse(graph: Any) -> None:
    graph.sparse_initializer.add()


def strings(graph: Any) -> None:
    weight(graph).CopyFrom(numpy_helper.from_array(np.array(["a", "b"], dtype=object), "w0"))


def not_finite(graph: Any) -> None:
    weight(graph).CopyFrom(numpy_helper.from_array(np.full((5, 6), np.nan, np.float32), "w0"))


def cycle(graph: Any) -> None:
    graph.node.add(op_type="Add", input=["r0", "loop2"], output=["loop1"], name="a")
    graph.node.add(op_type="Relu", input=["loop1"], output=["loop2"], name="b")
    graph.node[2].input[0] = "loop2"


def made_twice(graph: Any) -> None:
    graph.node.add(op_type="Relu", input=["x"], output=["r0"])


def absent(graph: Any) -> None:
    graph.node[2].input[0] = "nothing"


def two_outputs(graph: Any) -> None:
    graph.output.add(name="r0")


def two_inputs(graph: Any) -> None:
    graph.input.add().CopyFrom(helper.make_tensor_value_info("z", TensorProto.FLOAT, ["n", 3]))


def no_nodes(graph: Any) -> None:
    del graph.node[:]


def wrong_shape(graph: Any) -> None:
    weight(graph).CopyFrom(numpy_helper.from_array(np.ones((5, 7), np.float32), "w0"))


def wide_input(graph: Any) -> None:
    graph.input[0].type.tensor_type.shape.dim[1].dim_value = 1 << 40


def wrong_attribute(graph: Any) -> None:
    graph.node[0].attribute[0].CopyFrom(helper.make_attribute("transB", "yes"))


def constant_output(graph: Any) -> None:
    graph.output[0].name = "w0"


@pytest.mark.parametrize(
    ("edit", "code"),
    [
        (external, "NB004"),
        (huge, "NB001"),
        (negative, "NB001"),
        (many_axes, "NB001"),
        (empty_but_huge, "NB201"),
        (sparse, "NB010"),
        (strings, "NB010"),
        (not_finite, "NB120"),
        (cycle, "NB108"),
        (made_twice, "NB014"),
        (absent, "NB014"),
        (two_outputs, "NB014"),
        (two_inputs, "NB014"),
        (no_nodes, "NB013"),
        (wrong_shape, "NB109"),
        (wide_input, "NB007"),
        (wrong_attribute, "NB014"),
        (constant_output, "NB014"),
    ],
)
def test_each_attack_has_its_reason(path: Path, edit: Callable[[Any], None], code: str) -> None:
    assert refused(path, change(edit)).code == code


def test_no_operator_set_or_one_that_is_too_old(path: Path) -> None:
    for opset in (None, 6):
        made = valid()
        del made.opset_import[:]
        if opset is not None:
            made.opset_import.add(version=opset)
        assert refused(path, made).code == "NB014"


@pytest.mark.parametrize("pads", [[65536, 0, 0, 0], [65000] * 4, [1 << 50, 0, 0, 0]])
def test_padding_that_takes_much_memory(path: Path, pads: list[int]) -> None:
    nodes = [("Conv", ["x", "w"], "y", {"pads": pads})]
    made = model(nodes, {"w": np.ones((1, 64, 1, 1), np.float32)}, (64, 9, 9))
    assert refused(path, made).code in ("NB007", "NB114")


def test_a_kernel_that_takes_much_time(path: Path) -> None:
    attributes = {"kernel_shape": [1000, 1000], "strides": [1, 1]}
    made = model([("AveragePool", ["x"], "y", attributes)], {}, (1, 2000, 2000))
    assert refused(path, made).code == "NB007"


def test_a_file_larger_than_allowed(path: Path) -> None:
    tensors = {"w": np.ones((1000, 300), np.float32)}
    assert refused(path, model([("MatMul", ["x", "w"], "y", {})], tensors, (1000,))).code == "NB007"


def test_a_million_empty_messages(path: Path) -> None:
    """Two bytes each in the file, hundreds once parsed."""
    nodes = b"\x0a\x00" * 1_000_000
    size = len(nodes)
    varint = bytes([size & 0x7F | 0x80, (size >> 7) & 0x7F | 0x80, size >> 14 & 0x7F | 0x80, size >> 21])
    content = b"\x3a" + varint + nodes
    assert refused(path, content, OnnxLimits(max_fields=5000)).code == "NB009"


def test_messages_nested_without_end(path: Path) -> None:
    content = b""
    for _ in range(3000):  # a graph inside an attribute of a node of a graph …
        for field in (b"\x32", b"\x2a", b"\x0a"):
            size = len(content)
            digits = b""
            while size > 0x7F:
                digits, size = digits + bytes([size & 0x7F | 0x80]), size >> 7
            content = field + digits + bytes([size]) + content
        if len(content) > 1 << 19:
            break
    assert refused(path, b"\x3a" + _varint(len(content)) + content).code in ("NB008", "NB009")


def _varint(value: int) -> bytes:
    out = b""
    while value > 0x7F:
        out, value = out + bytes([value & 0x7F | 0x80]), value >> 7
    return out + bytes([value])


def test_more_operators_than_allowed(path: Path) -> None:
    nodes = [("Relu", [f"v{k}" if k else "x"], f"v{k + 1}", {}) for k in range(501)]
    assert refused(path, model(nodes, {}, (3,), output="v501")).code == "NB009"


def test_a_chain_of_a_thousand_operators_needs_no_recursion(path: Path) -> None:
    nodes = [("Relu", [f"v{k}" if k else "x"], f"v{k + 1}", {}) for k in range(5000)]
    path.write_bytes(model(nodes, {}, (3,), output="v5000").SerializeToString())
    assert len(read_ann(path).layers) == 5000


def test_names_become_names_that_a_nir_file_can_hold(path: Path) -> None:
    nodes = [
        ("Relu", ["x"], "a", {"name": "/net/relu.1/Relu\x1b[2J"}),
        ("Relu", ["a"], "b", {"name": "input"}),
        ("Relu", ["b"], "c", {"name": "/net/relu.1/Relu\x1b[2J"}),
        ("Relu", ["c"], "y", {"name": "‮"}),
    ]
    path.write_bytes(model(nodes, {}, (3,)).SerializeToString())
    names = [layer.name for layer in read_ann(path).layers]
    assert names == ["net_relu_1_Relu_2J", "input_2", "net_relu_1_Relu_2J_2", "relu"]
