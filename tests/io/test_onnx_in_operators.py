"""Every operator that is read gives what onnxruntime gives, on random shapes; the others are all listed."""

from __future__ import annotations

import sys
import tempfile
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import pytest
from hypothesis import assume, given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nirbridge.ann import fold_normalization, forward, replace_max_pools
from nirbridge.ann.types import Normalization
from nirbridge.errors import BadInput, NirbridgeError, Unsupported
from nirbridge.io.onnx_in import read_ann
from nirbridge.io.onnx_in.operators import OPERATORS

sys.path.insert(0, str(Path(__file__).parents[1] / "ann"))
from onnx_anns import expected, model, save

pytest.importorskip("onnxruntime")
SEEDS = st.integers(0, 2**31)
few = settings(max_examples=40, deadline=None)


def agrees(nodes: Any, tensors: Any, shape: Any, rng: Any, **options: Any) -> None:
    """Our forward pass, and that of the rewritten ANN, equal onnxruntime."""
    with tempfile.TemporaryDirectory() as folder:
        path = save(Path(folder) / "ann.onnx", nodes, tensors, shape, **options)
        x = rng.normal(0, 1, (3, *shape)).astype(np.float32)
        try:
            wanted = expected(path, x)
        except Exception as error:  # onnxruntime refuses the model too
            if "onnxruntime" in type(error).__module__:
                assume(False)
            raise
        ann = read_ann(path)
        found = forward(ann, x).reshape(3, -1)
        np.testing.assert_allclose(found, wanted, rtol=2e-4, atol=2e-5)
        folded = fold_normalization(ann)
        np.testing.assert_allclose(forward(folded, x).reshape(3, -1), wanted, rtol=2e-4, atol=2e-5)


def values(rng: Any, *shape: int) -> NDArray[np.float32]:
    return np.asarray(rng.normal(0, 1, shape), np.float32)


@few
@given(SEEDS, st.integers(1, 9), st.integers(1, 9), st.booleans(), st.floats(-2, 2), st.floats(-2, 2))
def test_gemm(seed: int, n: int, m: int, transposed: bool, alpha: float, beta: float) -> None:
    rng = np.random.default_rng(seed)
    bias = values(rng, *[(m,), (1, m), (1,)][seed % 3])
    tensors = {"w": values(rng, *((m, n) if transposed else (n, m))), "b": bias}
    attributes = {"alpha": alpha, "beta": beta, "transB": int(transposed)}
    agrees([("Gemm", ["x", "w", "b"], "y", attributes)], tensors, (n,), rng)


@few
@given(SEEDS, st.integers(1, 9), st.integers(1, 9), st.booleans())
def test_matmul_and_a_bias_on_either_side(seed: int, n: int, m: int, first: bool) -> None:
    rng = np.random.default_rng(seed)
    tensors = {"w": values(rng, n, m), "b": values(rng, *[(m,), (1, m), ()][seed % 3])}
    order = ["b", "h"] if first else ["h", "b"]
    agrees([("MatMul", ["x", "w"], "h", {}), ("Add", order, "y", {})], tensors, (n,), rng)


@st.composite
def windows(draw: Any, axes: int, *, dilated: bool = True) -> tuple[dict[str, Any], tuple[int, ...]]:
    """Attributes of a window over ``axes`` axes, and a space that it fits into."""
    each = st.integers(1, 3)
    kernel = draw(st.tuples(*[each] * axes))
    attributes: dict[str, Any] = {"kernel_shape": kernel, "strides": draw(st.tuples(*[each] * axes))}
    if dilated:
        attributes["dilations"] = draw(st.tuples(*[each] * axes))
    pad = draw(st.sampled_from(["pads", "SAME_UPPER", "SAME_LOWER", "VALID", None]))
    if pad == "pads":
        attributes["pads"] = [draw(st.integers(0, k - 1)) for k in (*kernel, *kernel)]
    elif pad is not None:
        attributes["auto_pad"] = pad
    return attributes, draw(st.tuples(*[st.integers(7, 11)] * axes))


@few
@given(SEEDS, st.data(), st.integers(1, 2), st.integers(1, 3), st.integers(1, 2), st.integers(1, 2))
def test_conv(seed: int, data: Any, axes: int, groups: int, per: int, out: int) -> None:
    rng = np.random.default_rng(seed)
    attributes, space = data.draw(windows(axes))
    if "auto_pad" in attributes:
        attributes["dilations"] = [1] * axes  # onnxruntime computes SAME without them
    weight = values(rng, out * groups, per, *attributes["kernel_shape"])
    node = ("Conv", ["x", "w", "b"], "y", {**attributes, "group": groups})
    agrees([node], {"w": weight, "b": values(rng, out * groups)}, (groups * per, *space), rng)


@few
@given(SEEDS, st.data(), st.integers(1, 2), st.booleans())
def test_average_pool(seed: int, data: Any, axes: int, counted: bool) -> None:
    rng = np.random.default_rng(seed)
    attributes, space = data.draw(windows(axes, dilated=False))
    node = ("AveragePool", ["x"], "y", {**attributes, "count_include_pad": int(counted)})
    agrees([node], {}, (2, *space), rng)


@few
@given(SEEDS, st.data(), st.integers(1, 2))
def test_max_pool(seed: int, data: Any, axes: int) -> None:
    rng = np.random.default_rng(seed)
    attributes, space = data.draw(windows(axes))
    if "auto_pad" in attributes:
        attributes.pop("dilations")
    agrees([("MaxPool", ["x"], "y", attributes)], {}, (2, *space), rng)


@few
@given(SEEDS, st.data(), st.integers(1, 2))
def test_a_max_pool_behind_a_relu_is_replaced_by_relus_exactly(seed: int, data: Any, axes: int) -> None:
    rng = np.random.default_rng(seed)
    attributes, space = data.draw(windows(axes))
    with tempfile.TemporaryDirectory() as folder:
        nodes = [("Relu", ["x"], "r", {}), ("MaxPool", ["r"], "y", attributes)]
        ann = read_ann(save(Path(folder) / "ann.onnx", nodes, {}, (2, *space)))
    x = values(rng, 3, 2, *space)
    replaced = replace_max_pools(ann)
    assert not any(type(layer.op).__name__ == "MaxPool" for layer in replaced.layers)
    np.testing.assert_allclose(forward(replaced, x), forward(ann, x), rtol=1e-5, atol=1e-6)


@few
@given(SEEDS, st.integers(1, 2), st.integers(1, 4))
def test_global_average_pool(seed: int, axes: int, channels: int) -> None:
    rng = np.random.default_rng(seed)
    space = (9, 10)[:axes]  # 90 places: beyond those that are combined one by one
    agrees([("GlobalAveragePool", ["x"], "y", {})], {}, (channels, *space), rng)


@few
@given(SEEDS, st.integers(0, 2), st.sampled_from(["Conv", "Gemm", "Relu", None]))
def test_batch_normalization_is_folded_into_the_weight_before_it(
    seed: int, axes: int, before: str | None
) -> None:
    rng = np.random.default_rng(seed)
    assume(before != "Conv" or axes > 0)
    assume(before != "Gemm" or axes == 0)
    shape = (3, 6, 5)[: axes + 1]
    nodes: list[Any] = []
    tensors = {"s": values(rng, 3), "t": values(rng, 3), "m": values(rng, 3), "v": values(rng, 3) ** 2 + 0.1}
    value = "x"
    if before == "Conv":
        tensors |= {"w": values(rng, 3, 3, *(2,) * axes)}
        nodes.append(("Conv", ["x", "w"], "h", {}))
    elif before == "Gemm":
        tensors |= {"w": values(rng, 3, 3), "b": values(rng, 3)}
        nodes.append(("Gemm", ["x", "w", "b"], "h", {}))
    elif before == "Relu":
        nodes.append(("Relu", ["x"], "h", {}))
    value = "h" if nodes else "x"
    nodes.append(("BatchNormalization", [value, "s", "t", "m", "v"], "y", {"epsilon": 1e-3}))
    agrees(nodes, tensors, shape, rng)
    with tempfile.TemporaryDirectory() as folder:
        ann = read_ann(save(Path(folder) / "ann.onnx", nodes, tensors, shape))
    left = [layer for layer in fold_normalization(ann).layers if isinstance(layer.op, Normalization)]
    assert len(left) == (0 if before in ("Conv", "Gemm") else 1)


def test_a_weight_that_something_else_reads_too_is_not_folded(tmp_path: Path) -> None:
    rng = np.random.default_rng(0)
    tensors = {"w": values(rng, 3, 3), "s": values(rng, 3), "t": values(rng, 3), "m": values(rng, 3)}
    nodes = [
        ("MatMul", ["x", "w"], "h", {}),
        ("BatchNormalization", ["h", "s", "t", "m", "v"], "n", {}),
        ("Add", ["h", "n"], "y", {}),
    ]
    agrees(nodes, {**tensors, "v": np.ones(3, np.float32)}, (3,), rng)


def test_a_residual_network_with_everything_else(tmp_path: Path) -> None:
    rng = np.random.default_rng(1)
    tensors: dict[str, Any] = {
        "w": values(rng, 2, 2, 3, 3),
        "cb": values(rng, 1, 2, 1, 1),
        "wt": values(rng, 3, 72),
        "target": np.array([0, -1]),
        "half": values(rng, 3).astype(np.float16),
        "ratio": np.array(0.5, np.float32),
    }
    nodes = [
        ("Conv", ["x", "w"], "c", {"pads": [1, 1, 1, 1]}),
        ("Add", ["c", "cb"], "cc", {}),
        ("Relu", ["cc"], "r", {}),
        ("Add", ["r", "x"], "a", {}),
        ("Add", ["a", "a"], "aa", {}),
        ("Identity", ["aa"], "i", {}),
        ("Dropout", ["i", "ratio"], "d", {}),
        ("Reshape", ["d", "target"], "f", {}),
        ("Transpose", ["wt"], "wtt", {"perm": [1, 0]}),
        ("Identity", ["wtt"], "wi", {}),
        ("MatMul", ["f", "wi"], "m", {}),
        ("Cast", ["half"], "b", {"to": onnx.TensorProto.FLOAT}),
        ("Add", ["m", "b"], "ab", {}),
        ("Constant", [], "k", {"value_floats": [0.5, -1.0, 2.0]}),
        ("Add", ["k", "ab"], "y", {}),
    ]
    agrees(nodes, tensors, (2, 6, 6), rng)


@pytest.mark.parametrize("target", [[-1, 12], [0, 12], [0, -1], [3, -1], [3, 12], [0, 0, 4], [-1, 3, 4]])
def test_reshapes_that_flatten_or_change_nothing(target: list[int]) -> None:
    rng = np.random.default_rng(2)
    nodes = [("Reshape", ["x", "t"], "y", {})]
    agrees(nodes, {"t": np.array(target)}, (3, 4), rng, batch=3)


@pytest.mark.parametrize("target", [[-1, 6], [36], [0, 4, 3], [0, 2, 6], [-1, 4], [0, 0]])
def test_other_reshapes_are_refused(target: list[int], tmp_path: Path) -> None:
    path = save(tmp_path / "a.onnx", [("Reshape", ["x", "t"], "y", {})], {"t": np.array(target)}, (3, 4))
    with pytest.raises(Unsupported, match="Reshape"):
        read_ann(path)


@pytest.mark.parametrize("op", ["Softmax", "LogSoftmax"])
def test_a_softmax_at_the_output_is_left_out_and_noted(op: str, tmp_path: Path) -> None:
    nodes = [("Gemm", ["x", "w"], "s", {}), (op, ["s"], "y", {})]
    path = save(tmp_path / "a.onnx", nodes, {"w": np.eye(4, dtype=np.float32)}, (4,))
    ann = read_ann(path)
    x = values(np.random.default_rng(0), 20, 4)
    assert len(ann.notes) == 1
    assert (forward(ann, x).argmax(1) == expected(path, x).argmax(1)).all()
    nodes = [("Softmax", ["x"], "s", {}), ("Gemm", ["s", "w"], "y", {})]
    with pytest.raises(Unsupported, match="Softmax"):
        read_ann(save(tmp_path / "b.onnx", nodes, {"w": np.eye(4, dtype=np.float32)}, (4,)))


def test_all_unsupported_operators_are_listed_at_once(tmp_path: Path) -> None:
    names = [("Sigmoid", "s1"), ("Tanh", "t1"), ("Sigmoid", "s2"), ("LSTM", "l1"), ("Sigmoid", "s3")]
    nodes: list[Any] = []
    value = "x"
    for op, name in names:
        nodes.append((op, [value], name, {"name": name}))
        value = name
    nodes.append(("Relu", [value], "y", {}))
    with pytest.raises(Unsupported) as caught:
        read_ann(save(tmp_path / "a.onnx", nodes, {}, (4,)))
    error = caught.value
    assert error.code == "NB201" and error.exit_code == 4
    assert [f.node for f in error.findings] == ["'l1'", "'s1'", "'t1'"]
    assert "operator LSTM (1); operator Sigmoid (3); operator Tanh (1)" in error.message
    assert "3 times: 's1', 's2', 's3'" in error.findings[1].message


def test_uses_of_known_operators_that_cannot_be_converted_are_listed_at_once(tmp_path: Path) -> None:
    nodes = [
        ("Flatten", ["x"], "f0", {"axis": 0, "name": "flat"}),
        ("MaxPool", ["x"], "p", {"kernel_shape": [2, 2], "ceil_mode": 1, "strides": [2, 2], "name": "pool"}),
        ("Transpose", ["x"], "t", {"name": "turn"}),
        ("Add", ["f0", "p"], "a", {}),
        ("Add", ["a", "t"], "y", {}),
    ]
    with pytest.raises(Unsupported) as caught:
        read_ann(save(tmp_path / "a.onnx", nodes, {}, (1, 5, 5)))
    assert sorted(f.node for f in caught.value.findings) == ["'flat'", "'pool'", "'turn'"]


def test_operators_that_the_output_does_not_need_are_left_out(tmp_path: Path) -> None:
    nodes = [("Relu", ["x"], "y", {}), ("Sigmoid", ["x"], "unused", {})]
    assert len(read_ann(save(tmp_path / "a.onnx", nodes, {}, (4,))).layers) == 1


@pytest.mark.parametrize("op", sorted(OPERATORS))
def test_no_operator_fails_on_nonsense(op: str, tmp_path: Path) -> None:
    constants = {"c": np.float32([[1, 2], [3, 4]]), "i": np.array([5, -3]), "e": np.zeros(0, np.float32)}
    attributes: list[dict[str, Any]] = [{}, {"kernel_shape": [0, 0]}, {"group": 0}, {"axis": 77}, {"to": 99}]
    attributes += [
        {"perm": [7, 8]},
        {"pads": [-1] * 4},
        {"kernel_shape": [1.5]},
        {"value": 3},
        {"strides": [0]},
    ]
    for inputs in ([], ["x"], ["c"], ["x", "c"], ["x", "i", "e"], ["x", "e", "c", "i", "x"], ["c", "x", "x"]):
        for extra in attributes:
            nodes = [(op, inputs, "h", extra), ("Add", ["h", "x"], "y", {})]
            path = tmp_path / "a.onnx"
            path.write_bytes(model(nodes, constants, (2, 3)).SerializeToString())
            try:
                read_ann(path)
            except NirbridgeError as error:
                assert error.code in ("NB201", "NB014", "NB109", "NB114", "NB209")


@pytest.mark.parametrize("shape", [("n",), (2, 3, 4, 5), (0,), ("h", 3)])
def test_inputs_without_a_fixed_shape_are_refused(shape: Any, tmp_path: Path) -> None:
    shape = () if shape == ("n",) else shape
    with pytest.raises(BadInput) as caught:
        read_ann(save(tmp_path / "a.onnx", [("Relu", ["x"], "y", {})], {}, shape))
    assert caught.value.code == "NB109"
