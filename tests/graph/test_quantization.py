"""Integers behind a float weight give it bit for bit, or are refused (NB403)."""

from __future__ import annotations

from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from nirbridge.errors import BadInput
from nirbridge.graph.quantization import Quantization, quantization_of


def stored(**changes: Any) -> dict[str, Any]:
    return {
        "q": np.array([[-3, 127]], np.int8),
        "scale": np.array([0.0078125], np.float32),
        "zero_point": 0,
        "bits": 8,
        "axis": -1,
    } | changes


def node(weight: Any = ((-0.0234375, 0.9921875),), **changes: Any) -> nir.Linear:
    made = nir.Linear(weight=np.array(weight, np.float32))
    made.metadata["nirbridge_q"] = stored(**changes)
    return made


def test_the_stated_example() -> None:
    found = quantization_of(node(), "w")
    assert found is not None
    assert found.weight().tolist() == [[-0.0234375, 0.9921875]]
    assert found.weight().dtype == np.float32
    assert quantization_of(nir.Linear(weight=np.eye(2)), "w") is None


@given(seed=st.integers(0, 1000), zero_point=st.integers(-128, 127), axis=st.sampled_from([-1, 0, 1]))
def test_the_product_is_taken_in_float64(seed: int, zero_point: int, axis: int) -> None:
    rng = np.random.default_rng(seed)
    q = rng.integers(-128, 128, (3, 4)).astype(np.int8)
    scale = rng.uniform(1e-4, 1.0, 1 if axis < 0 else q.shape[axis]).astype(np.float32)
    weight = Quantization(q=q, scale=scale, zero_point=zero_point, axis=axis).weight()
    for (row, column), w in np.ndenumerate(weight):
        s = float(scale[0 if axis < 0 else (row, column)[axis]])
        assert w == np.float32((int(q[row, column]) - zero_point) * s)


def test_metadata_come_back() -> None:
    quantization = Quantization(
        q=np.array([[1, -2], [3, 4]], np.int8), scale=np.array([0.5, 0.25], np.float32), bits=4, axis=0
    )
    carrier = nir.Linear(weight=quantization.weight())
    carrier.metadata["nirbridge_q"] = quantization.as_metadata()
    back = quantization_of(carrier, "w")
    assert back is not None
    assert np.array_equal(back.q, quantization.q)
    assert (back.bits, back.axis, back.zero_point) == (4, 0, 0)
    assert np.array_equal(back.scale, quantization.scale)


@pytest.mark.parametrize(
    ("made", "words"),
    [
        (node(weight=((-0.0234375, 0.9921874),)), "are not the stored weight"),
        (node(weight=((0.0, 0.0),)), "are not the stored weight"),
        (node(weight=((-0.0234375,),)), "are not the stored weight"),
        (node(scale=np.array([0.5], np.float32)), "are not the stored weight"),
        (node(zero_point=1), "are not the stored weight"),
        (node(axis=1, scale=np.zeros(3, np.float32)), "not readable"),
        (node(axis=5), "not readable"),
        (node(bits="many"), "not readable"),
        (node(q="text"), "not readable"),
    ],
)
def test_integers_that_do_not_give_the_weight_are_refused(made: nir.Linear, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        quantization_of(made, "w")
    assert caught.value.code == "NB403"
    assert "'w'" in caught.value.message


@pytest.mark.parametrize("value", ["text", {"q": np.zeros((1, 2))}, 3])
def test_a_value_of_another_shape_is_refused(value: Any) -> None:
    made = node()
    made.metadata["nirbridge_q"] = value
    with pytest.raises(BadInput) as caught:
        quantization_of(made, "w")
    assert caught.value.code == "NB403"


def test_integers_at_a_node_without_a_weight_are_refused() -> None:
    scale = nir.Scale(scale=np.ones(2))
    scale.metadata["nirbridge_q"] = stored()
    with pytest.raises(BadInput) as caught:
        quantization_of(scale, "s")
    assert caught.value.code == "NB403"
