"""Rate-coded graphs: their read-out tends to the ANN's scores as 1/T, and scaling an ANN changes no spike."""

from __future__ import annotations

import itertools
import math
import sys
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import nir
import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from numpy.typing import NDArray

from nirbridge.ann import (
    Activation,
    Ann,
    Encoding,
    Layer,
    RateCoding,
    balance,
    encoding_in,
    forward,
    rate_code,
    replace_max_pools,
    spiking_graph,
)
from nirbridge.ann.types import AveragePool, Convolution, Dense, Flatten, MaxPool, Relu, Sum, Window
from nirbridge.data import Images
from nirbridge.errors import BadInput, Unsupported, UsageError
from nirbridge.io import read_graph, write_graph
from nirbridge.io.onnx_in import read_ann
from nirbridge.semantics import semantics_of
from nirbridge.validate import validate
from nirbridge_reference import Reference

sys.path.insert(0, str(Path(__file__).parent))
from onnx_anns import perceptron, save

few = settings(max_examples=12, deadline=None)


def run(graph: nir.NIRGraph, encoding: Encoding, images: Images, record: tuple[str, ...] = ()) -> Any:
    return Reference(arithmetic="float64").compile(graph).run(encoding.spikes(images), record=record)


def rates(graph: nir.NIRGraph, scales: Mapping[str, float], recording: Any) -> dict[str, NDArray[Any]]:
    """λ·N/T of every IF node, (samples, neurons)."""
    found = {}
    for name, scale in scales.items():
        dense = recording.spikes[name].to_dense(recording.dt).sum(axis=1)
        found[name] = scale * dense / recording.n_steps
    return found


def mlp(rng: np.random.Generator, sizes: tuple[int, ...]) -> Ann:
    layers, value = [], "input"
    for k, (n, m) in enumerate(itertools.pairwise(sizes)):
        weight = rng.normal(0, 1.2 / math.sqrt(n), (m, n)).astype(np.float32)
        layers.append(Layer(f"fc{k}", Dense(weight, rng.normal(0, 0.2, m).astype(np.float32)), (value,)))
        value = f"fc{k}"
        if k < len(sizes) - 2:
            layers.append(Layer(f"relu{k}", Relu(), (value,)))
            value = f"relu{k}"
    return Ann(input="input", shape=(sizes[0],), layers=tuple(layers), output=value)


@few
@given(st.integers(0, 2**31), st.sampled_from(["current", "rate"]), st.sampled_from([16, 61, 256, 1024]))
def test_the_error_falls_as_one_over_the_number_of_steps(seed: int, coding: Any, steps: int) -> None:
    """|λN/T − a| ≤ C_l/T, where C_l = λ_l + 3·max_j Σ_i |W_ji|·C_(l−1); C_0 is 0, or a rate input's scale.

    The input of layer l summed up to any step lies within E = Σ|W|·C_(l−1) of a line of slope z ≤ λ. A
    neuron that follows it with one spike a step at most is never further than θ + 2E from zero charge.
    """
    rng = np.random.default_rng(seed)
    ann = mlp(rng, (8, 10, 9, 4))
    images = Images(x=rng.random((6, 8)).astype(np.float32))
    coded = rate_code(ann, images, RateCoding(percentile=100, coding=coding, steps=steps))
    scales = {name: a.scale for name, a in coded.activations.items()}
    recording = run(coded.graph, coded.encoding, images, ("relu0", "relu1"))
    activations: dict[str, Any] = {}
    # the ANN sees what the coding can say: values in whole steps of their scale
    seen = np.rint(images.x / coded.encoding.scale) * coded.encoding.scale
    x = images.x if coding == "rate" else seen.astype(np.float32)
    scores = forward(ann, x, lambda name, out: activations.__setitem__(name, out))
    found = rates(coded.graph, scales, recording)
    bound = coded.encoding.scale if coding == "rate" else 0.0
    for k, layer in enumerate(("relu0", "relu1")):
        weight = ann.layers[2 * k].op.weight  # type: ignore[union-attr]
        bound = scales[layer] + 3 * float(np.abs(weight).sum(axis=1).max()) * bound
        assert np.abs(found[layer] - activations[layer]).max() <= bound / steps + 1e-5
    last = ann.layers[-1].op.weight  # type: ignore[union-attr]
    bound *= float(np.abs(last).sum(axis=1).max())
    assert np.abs(recording.output[:, -1] / steps - scores).max() <= bound / steps + 1e-4


@few
@given(st.integers(0, 2**31), st.integers(-6, 6), st.integers(-6, 6))
def test_scaling_the_layers_of_an_ann_changes_no_spike(seed: int, first: int, second: int) -> None:
    """Relu is homogeneous: W₁·c and W₂/c give the same scores, the balanced graph the same spikes.

    Powers of two, so that no product rounds.
    """
    rng = np.random.default_rng(seed)
    ann = mlp(rng, (7, 11, 9, 3))
    one, two = 2.0**first, 2.0**second

    def times(layer: Layer, weight: float, bias: float) -> Layer:
        op: Any = layer.op
        return replace(layer, op=Dense(op.weight * np.float32(weight), op.bias * np.float32(bias)))

    a, relu_a, b, relu_b, c = ann.layers
    scaled = (times(a, one, one), relu_a, times(b, two / one, two), relu_b, times(c, 1 / two, 1.0))
    other = replace(ann, layers=scaled)
    images = Images(x=rng.random((5, 7)).astype(np.float32))
    np.testing.assert_array_equal(forward(ann, images.x), forward(other, images.x))
    recordings = []
    for each in (ann, other):
        coded = rate_code(each, images, RateCoding(steps=64))
        recordings.append(run(coded.graph, coded.encoding, images, ("relu0", "relu1")))
    for layer in ("relu0", "relu1"):
        before, after = (recording.spikes[layer] for recording in recordings)
        assert len(before.times)
        np.testing.assert_array_equal(before.times, after.times)
        np.testing.assert_array_equal(before.units, after.units)
    np.testing.assert_array_equal(recordings[0].output, recordings[1].output)


@few
@given(st.integers(0, 2**31), st.floats(0.5, 100))
def test_the_scale_is_the_percentile_of_the_positive_activations(seed: int, percentile: float) -> None:
    rng = np.random.default_rng(seed)
    ann = mlp(rng, (6, 20, 3))
    x = rng.random((50, 6)).astype(np.float32)
    seen: dict[str, Any] = {}
    forward(ann, x, lambda name, out: seen.__setitem__(name, out))
    positive = np.sort(seen["relu0"][seen["relu0"] > 0])
    found = balance(ann, x, percentile)["relu0"]
    assert found.scale == np.percentile(positive, percentile, method="inverted_cdf")
    assert found.largest == positive[-1]
    assert found.active == len(positive) / seen["relu0"].size
    assert found.clipped == pytest.approx(float((positive > found.scale).mean()))


def test_an_outlier_does_not_move_the_scale_but_the_maximum() -> None:
    ann = mlp(np.random.default_rng(0), (6, 40, 3))
    x = np.random.default_rng(1).random((400, 6)).astype(np.float32)
    calm = balance(ann, x, 99.0)["relu0"]
    x[0] *= 1000
    wild = balance(ann, x, 99.0)["relu0"]
    assert wild.scale < 1.1 * calm.scale
    assert wild.largest > 100 * calm.largest


def test_the_balance_does_not_depend_on_batches(monkeypatch: pytest.MonkeyPatch) -> None:
    ann = mlp(np.random.default_rng(0), (6, 40, 3))
    x = np.random.default_rng(1).random((123, 6)).astype(np.float32)
    whole = balance(ann, x, 97.0)
    monkeypatch.setattr(sys.modules["nirbridge.ann.forward"], "WORKSPACE", 4 * 40 * 7)
    assert balance(ann, x, 97.0) == whole


def test_a_layer_that_is_never_active_stays_silent() -> None:
    weight = np.zeros((3, 2), np.float32)
    layers = (
        Layer("fc", Dense(weight, np.full(3, -1.0, np.float32)), ("input",)),
        Layer("relu", Relu(), ("fc",)),
    )
    ann = Ann(input="input", shape=(2,), layers=layers, output="relu")
    images = Images(x=np.ones((2, 2), np.float32))
    coded = rate_code(ann, images, RateCoding(steps=20))
    assert coded.activations["relu"] == Activation(scale=1.0, largest=0.0, active=0.0, clipped=0.0)
    assert not run(coded.graph, coded.encoding, images).output.any()


def window(kernel: Any, **options: Any) -> Window:
    n = len(kernel)
    plain = {"stride": (1,) * n, "dilation": (1,) * n, "left": (0,) * n, "right": (0,) * n}
    return Window(kernel=kernel, **{**plain, **options})


def conv(rng: np.random.Generator, out: int, into: int, groups: int = 1, **options: Any) -> Convolution:
    shape = window((3, 3), **options)
    weight = rng.normal(0, 0.4, (out, into // groups, *shape.kernel)).astype(np.float32)
    return Convolution(weight, rng.normal(0, 0.1, out).astype(np.float32), shape, groups)


def everything(rng: np.random.Generator) -> Ann:
    """Two branches that count differently, unequal padding, groups, dilation, every pool."""
    same = {"left": (1, 1), "right": (1, 1)}
    layers = (
        Layer("conv0", conv(rng, 4, 2, **same), ("input",)),
        Layer("relu0", Relu(), ("conv0",)),
        Layer("conv1", conv(rng, 4, 4, 2, dilation=(2, 1), left=(1, 0), right=(3, 2)), ("relu0",)),
        Layer("relu1", Relu(), ("conv1",)),
        Layer("sum", Sum(), ("relu0", "relu1", "relu1")),
        Layer("max", MaxPool(window((2, 3), stride=(2, 2), left=(0, 1), right=(0, 1))), ("sum",)),
        Layer("border", AveragePool(window((2, 2), left=(1, 0), right=(0, 1))), ("max",)),
        Layer("mean", AveragePool(window((2, 2), left=(1, 0), right=(0, 1)), True), ("border",)),
        Layer("relu2", Relu(), ("mean",)),
        Layer("both", Sum(), ("relu2", "max")),
        Layer("flat", Flatten(), ("both",)),
        Layer(
            "fc", Dense(rng.normal(0, 0.2, (5, 64)).astype(np.float32), np.zeros(5, np.float32)), ("flat",)
        ),
    )
    return Ann(input="input", shape=(2, 8, 8), layers=layers, output="fc")


def test_every_operator_tends_to_the_ann(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    ann = everything(rng)
    images = Images(x=rng.random((4, 2, 8, 8)).astype(np.float32))
    scores = forward(ann, images.values())
    errors = []
    for steps in (64, 256, 1024):
        coded = rate_code(ann, images, RateCoding(percentile=100, steps=steps))
        assert [f for f in validate(coded.graph) if f.level != "info"] == []
        output = run(coded.graph, coded.encoding, images).output[:, -1] / steps
        errors.append(float(np.abs(output - scores).max()))
    assert errors[1] < errors[0] / 2 and errors[2] < errors[1] / 2
    assert errors[2] < 0.01 * float(np.abs(scores).max())


def test_the_graph_survives_its_file(tmp_path: Path) -> None:
    rng = np.random.default_rng(5)
    images = Images(
        x=rng.random((2, 2, 8, 8)).astype(np.float32), labels=np.array([0, 1]), classes=("a", "b")
    )
    coded = rate_code(everything(rng), images, RateCoding(steps=20))
    write_graph(tmp_path / "net.nir", coded.graph)
    graph = read_graph(tmp_path / "net.nir")
    assert encoding_in(graph) == coded.encoding
    assert semantics_of(graph).reset == "subtract"
    before, after = (run(g, coded.encoding, images) for g in (coded.graph, graph))
    np.testing.assert_array_equal(before.output, after.output)
    np.testing.assert_array_equal(before.predictions("last"), np.argmax(before.output[:, -1], axis=1))


def test_dt_changes_no_spike() -> None:
    rng = np.random.default_rng(2)
    ann, images = mlp(rng, (6, 8, 3)), Images(x=rng.random((3, 6)).astype(np.float32))
    outputs = []
    for dt in (1e-4, 1e-3, 0.7):
        coded = rate_code(ann, images, RateCoding(steps=50, dt=dt))
        outputs.append(run(coded.graph, coded.encoding, images).output)
    np.testing.assert_array_equal(outputs[0], outputs[1])
    np.testing.assert_array_equal(outputs[0], outputs[2])


def test_whole_numbers_are_coded_exactly_and_rates_evenly() -> None:
    x = np.array([[0, 1, 255]], np.uint8)
    current = Encoding(coding="current", scale=1 / 255, steps=4, dt=1e-3)
    spikes = current.spikes(Images(x=x, scale=1 / 255))
    np.testing.assert_array_equal(spikes.to_dense(1e-3)[0], [[0, 1, 255]] * 4)
    rate = Encoding(coding="rate", scale=1.0, steps=300, dt=1e-3)
    p = np.array([[0.0, 0.3, 1 / 3, 1.0]])
    dense = rate.spikes(Images(x=p)).to_dense(1e-3)[0].cumsum(axis=0)
    t = np.arange(1, 301)[:, None]
    np.testing.assert_array_equal(dense, np.floor(t * p + 1e-7))


def test_negative_values_have_no_rate() -> None:
    encoding = Encoding(coding="rate", scale=1.0, steps=4, dt=1e-3)
    with pytest.raises(BadInput, match="sample 1 has values below 0"):
        encoding.spikes(Images(x=np.array([[0.5], [-0.1]])))


def test_max_pools_are_replaced_averaged_or_refused() -> None:
    rng = np.random.default_rng(0)
    pool = Layer("pool", MaxPool(window((2, 2), stride=(2, 2), left=(1, 1))), ("conv",))
    layers = (Layer("conv", conv(rng, 2, 2), ("input",)), pool)
    ann = Ann(input="input", shape=(2, 8, 8), layers=layers, output="pool")
    for how, expected in (("relu", "may be negative"), ("refuse", "over")):
        with pytest.raises(Unsupported, match=expected) as caught:
            replace_max_pools(ann, how)  # type: ignore[arg-type]
        assert caught.value.code == "NB209"
    averaged = replace_max_pools(ann, "average").layers[-1].op
    assert isinstance(averaged, AveragePool) and averaged.window == pool.op.window  # type: ignore[union-attr]
    with pytest.raises(Unsupported, match="MaxPool"):
        spiking_graph(ann, {}, 1.0)


@pytest.mark.parametrize(
    "options",
    [{"percentile": 0.0}, {"percentile": 100.1}, {"steps": 0}, {"dt": -1.0}, {"samples": 0}, {"coding": "x"}],
)
def test_options_out_of_range(options: Any) -> None:
    with pytest.raises(UsageError):
        RateCoding(**options)


def test_gemm_layers_of_a_file_give_the_spikes_of_the_same_layers(tmp_path: Path) -> None:
    rng = np.random.default_rng(4)
    path = save(tmp_path / "ann.onnx", *perceptron(rng, (6, 8, 3)))
    images = Images(x=rng.random((3, 6)).astype(np.float32))
    coded = rate_code(read_ann(path), images, RateCoding(steps=100, percentile=100))
    output = run(coded.graph, coded.encoding, images).output[:, -1] / 100
    assert np.abs(output - forward(read_ann(path), images.x)).max() < 0.1


def test_neurons_that_no_weight_stands_before_take_what_a_spike_counts() -> None:
    rng = np.random.default_rng(6)
    layers = (
        Layer("relu0", Relu(), ("input",)),
        Layer("mean", AveragePool(window((2, 2), stride=(2, 2))), ("relu0",)),
        Layer("relu1", Relu(), ("mean",)),
        Layer("flat", Flatten(), ("relu1",)),
        Layer("relu2", Relu(), ("flat",)),
    )
    ann = Ann(input="input", shape=(2, 4, 4), layers=layers, output="relu2")
    images = Images(x=(7 * rng.random((4, 2, 4, 4))).astype(np.float32))
    scores = forward(ann, images.values())
    for coding in ("current", "rate"):
        coded = rate_code(ann, images, RateCoding(percentile=100, steps=512, coding=coding))  # type: ignore[arg-type]
        output = run(coded.graph, coded.encoding, images).output[:, -1] / 512
        assert np.abs(output - scores).max() < 0.05 * float(scores.max())
